"""Task folders: what a batch holds, against the planted rows; parts; and each way in which a folder can be wrong."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medcsp_model.baselines.ehr.medcsp import MedCspHead, read_description
from medcsp_model.corpus import Series
from medcsp_model.evaluation.task_data import TaskData, TaskError

OPEN = {"task": "mortality", "horizon": "unbounded", "cohort": "carevue"}
LABEL = np.arange(64) % 2 == 0


def rewrite(folder: Path, target: Path, **changes: Any) -> Path:
    """A copy of a task folder with other columns."""
    shutil.copytree(folder, target)
    with np.load(folder / "labels.npz") as file:
        columns = {name: file[name] for name in file.files}
    np.savez(target / "labels.npz", **{name: values for name, values in (columns | changes).items() if len(values)})
    return target


def test_a_batch_holds_the_own_stay_and_all_stays(tasks: dict[str, TaskData]) -> None:
    data = tasks["readmission"]
    rows = np.array([7, 2, 5, 3])  # no stay, three, three, one
    batch = data.batch(rows, ("series", "stays", "demographics", "diagnosis", "drug", "note", "record"))
    series = data.inputs.source.modalities["series"]
    assert isinstance(series, Series)
    for place, row in enumerate(rows):
        first, last = series.stay_indptr[row : row + 2]
        for slot, stay in enumerate(range(last - 1, first - 1, -1)):
            expected = np.zeros((8, 14), dtype=np.float32)
            cells = slice(series.cell_indptr[stay], series.cell_indptr[stay + 1])
            expected[series.bin[cells], series.feature[cells]] = series.value[cells]
            found = (batch.stay_record_S == place) & (batch.stay_slot_S == slot)
            assert np.array_equal(batch.stays_STF[found][0].numpy(), expected)
            if slot == 0:
                assert np.array_equal(batch.series_BTF[place].numpy(), expected)
    assert not batch.series_BTF[0].any()
    assert (batch.stay_record_S == 0).sum() == 1  # an empty stay stands for none
    assert batch.note_BL.shape == (4, 32)
    assert batch.diagnosis_BC.shape == (4, 9)
    assert batch.record is not None
    assert batch.record.inputs["series"].rows.tolist() == [1, 2, 3]
    assert not batch.demographics_BE[2].any()


def test_what_is_not_read_has_no_width(tasks: dict[str, TaskData]) -> None:
    batch = tasks["readmission"].batch(np.arange(3), ("demographics",))
    assert (len(batch), batch.series_BTF.shape[2], batch.note_BL.shape[1], batch.record) == (3, 0, 0, None)
    sizes = tasks["mortality"].sizes
    assert (sizes.series, sizes.demographics, sizes.diagnosis, sizes.vocabulary) == (14, 4, 0, 0)


def test_parts_share_no_patient(tasks: dict[str, TaskData]) -> None:
    data = tasks["mortality"]
    for name in ("split", *(f"fold-{fold}" for fold in range(5))):
        part = data.part(name)
        held = [set(data.subject_N[rows].tolist()) for rows in (part.train, part.validation, part.test)]
        assert sum(map(len, held)) == len(set.union(*held)) == 32
    folds = [data.part(f"fold-{fold}") for fold in range(5)]
    assert sorted(np.concatenate([part.test for part in folds])) == list(range(64))
    assert [set(data.fold_N[part.validation]) for part in folds] == [{1}, {2}, {3}, {4}, {0}], "the next fold validates"


def test_fewer_positives_keep_the_prevalence(tasks: dict[str, TaskData]) -> None:
    data = tasks["mortality"]
    part = data.part()
    draws = [data.fewer(part, positives=4, draw=draw) for draw in range(3)]
    for fewer in draws:
        assert (data.label_N[fewer.train].sum(), len(fewer.train)) == (4, 8)
        assert set(fewer.train) <= set(part.train)
        assert fewer.test is part.test
    assert len({tuple(fewer.train) for fewer in draws}) == 3
    assert np.array_equal(data.fewer(part, positives=4, draw=0).train, draws[0].train)
    with pytest.raises(TaskError, match="99 positives asked for, 16 train"):
        data.fewer(part, positives=99, draw=0)


ONE_CLASS = np.where(np.arange(64) < 32, LABEL, False)


@pytest.mark.parametrize(
    ("changes", "part", "message"),
    [
        ({"label": np.zeros(64, dtype=bool)}, "split", "train of part 'split' has 0 positives of 32 examples"),
        ({"label": ONE_CLASS}, "split", "validation of part 'split' has 0 positives of 16.*larger cohort"),
        ({"fold": (np.arange(64) // 32).astype(np.int32)}, "fold-0", "at least 3 must hold patients.*fewer folds"),
        ({}, "fold-7", "folds \\[0, 1, 2, 3, 4\\]"),
        ({"fold": (np.arange(64) % 5).astype(np.int32)}, "split", "a patient stands in two parts"),
        (
            {"cohort": np.full(64, "metavision", dtype="S16")},
            "split",
            r"no example of mortality/unbounded/carevue; cohorts that have any: metavision",
        ),
        (
            {"record_id": np.array([f"x{n:03d}" for n in range(64)], dtype="S")},
            "split",
            "64 of 64 examples are no record of the corpus; publish",  # and none of them by its id
        ),
        ({"split": np.full(64, "dev", dtype="S3")}, "split", "'dev' is none of train, validation, test"),
        ({"label": LABEL.astype(np.int64)}, "split", "column label is int64, expected kind 'b'"),
        ({"fold": np.zeros(0)}, "split", "column fold is missing"),
        ({"label": LABEL[:9]}, "split", "differ in length"),
    ],
)
def test_what_cannot_be_learned_says_so(
    changes: dict[str, Any], part: str, message: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = rewrite(folders["mortality"], tmp_path / "task", **changes)
    with pytest.raises(TaskError, match=message):
        TaskData.open(folder, **OPEN).part(part)


def test_a_torn_description_of_a_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(ValueError, match=r"model\.json: not readable as JSON"):
        read_description(tmp_path)


def test_no_labels(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["mortality"], tmp_path / "task")
    (tmp_path / "task" / "labels.npz").unlink()
    with pytest.raises(TaskError, match=r"labels.npz: missing; publish"):
        TaskData.open(tmp_path / "task", **OPEN)


def test_a_checkpoint_of_another_vocabulary(checkpoint: Path, tasks: dict[str, TaskData], tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "other")
    path = tmp_path / "other" / "model.json"
    description = json.loads(path.read_text())
    description["model"]["shapes"]["ehr"]["series"]["size"] = 99
    path.write_text(json.dumps(description))
    method = MedCspHead(checkpoint=str(tmp_path / "other"))
    with pytest.raises(ValueError, match="series has 14 features or codes, the checkpoint was trained with 99"):
        method.check(tasks["mortality"].inputs)
    (tmp_path / "other" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model.safetensors: missing; train first"):
        method.to_json()


def test_a_start_is_named_by_what_it_reads(checkpoint: Path, tmp_path: Path) -> None:
    """From scratch: the towers' file and the description, not the trained weights."""
    folder = shutil.copytree(checkpoint, tmp_path / "checkpoint")
    towers = tmp_path / "towers" / "open_clip_pytorch_model.bin"
    towers.parent.mkdir()
    scratch = MedCspHead(checkpoint=str(folder), start="scratch", towers_folder=str(towers.parent))
    tuned = MedCspHead(checkpoint=str(folder))
    towers.write_bytes(b"some weights")
    before = scratch.to_json(), tuned.to_json()
    (folder / "model.safetensors").write_bytes(b"trained once more")
    assert scratch.to_json() == before[0] and tuned.to_json() != before[1]
    towers.write_bytes(b"other weights")
    assert scratch.to_json() != before[0]
    assert str(tmp_path) not in json.dumps(scratch.to_json())
    towers.unlink()
    with pytest.raises(ValueError, match="no weights in"):
        scratch.to_json()


def test_an_unfinished_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model.json: missing; train first"):
        MedCspHead(checkpoint=str(tmp_path)).to_json()
