"""A tiny task folder whose label can be read from series and notes, and a checkpoint at random weights that fits it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medcsp_model.checkpoint import write_json, write_tensors
from medcsp_model.corpus import CorpusWriter
from medcsp_model.evaluation.task_data import TaskData
from medcsp_model.model import MedCSP, ModelDescription
from medcsp_model.settings import ImageTower, ModelSettings, Settings, TextTower

PAD, CLS, SEP = 0, 1, 2
BINS, FEATURES, DIAGNOSES, DRUGS, WORDS, DEMOGRAPHICS = 8, 14, 9, 7, 24, 4
NUM_TRAIN, NUM_OTHER = 32, 16
TASKS = {"mortality": ("series", "demographics"), "readmission": ()}
"""Tasks by name, with the inputs that their folder has; none: all."""


def csr(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Compressed sparse rows of lists of numbers."""
    return np.cumsum([0] + [len(row) for row in rows]), np.array([x for row in rows for x in row], dtype=np.int64)


def write_task_folder(folder: Path, *, inputs: tuple[str, ...] = (), features: int = FEATURES, seed: int = 0) -> Path:
    """Write it: the label raises features 0 and 9 of the own stay and shows as a word; 9 % of everything is absent."""
    rng = np.random.default_rng(seed)
    count = NUM_TRAIN + 2 * NUM_OTHER
    label = np.arange(count) % 2 == 0
    writer = CorpusWriter(folder, name="task", synthetic=True, splits=["evaluation"], history_size=DIAGNOSES)
    writer.add_source(
        "ehr",
        record_id=[f"icu-{number:04d}" for number in range(count)],
        subject_id=np.arange(count) // 2,
        study_id=np.arange(count),
        time_days=np.full(count, np.nan),
        split=np.zeros(count),
        history_indptr=np.zeros(count + 1),
        history_indices=[],
    )
    _add_vectors(writer, label, rng, inputs)
    _add_series(writer, label, rng, features)
    if not inputs:
        texts = [
            [CLS, 3 + int(positive), *rng.integers(5, WORDS, size=rng.integers(1, 8)), SEP] if number % 11 else []
            for number, positive in enumerate(label)
        ]
        offsets, tokens = csr([text for text in texts if text])
        row = np.where([bool(text) for text in texts], np.cumsum([bool(text) for text in texts]) - 1, -1)
        writer.add_text("ehr", "note", row=row, offsets=offsets, tokens=tokens, size=WORDS, pad_id=PAD)
    writer.finish()
    write_labels(folder, label=label)
    return folder


def write_labels(folder: Path, *, label: np.ndarray, **changes: Any) -> None:
    """Write labels.npz: pairs of records are one patient; `changes` replace columns."""
    count = len(label)
    subject = np.arange(count) // 2
    split = np.array(["train"] * NUM_TRAIN + ["validation"] * NUM_OTHER + ["test"] * NUM_OTHER)
    columns = {
        "record_id": np.array([f"icu-{number:04d}" for number in range(count)], dtype="S"),
        "task": np.full(count, "mortality", dtype="S16"),
        "horizon": np.full(count, "unbounded", dtype="S16"),
        "cohort": np.full(count, "carevue", dtype="S16"),
        "label": label,
        "split": split.astype("S"),
        "fold": (subject % 5).astype(np.int32),
        "group_sex": np.where(subject % 3, "F", "M").astype("S"),
    }
    np.savez(folder / "labels.npz", **(columns | changes))


def _add_vectors(writer: CorpusWriter, label: np.ndarray, rng: np.random.Generator, inputs: tuple[str, ...]) -> None:
    count = len(label)
    present = np.arange(count) % 13 != 5
    values = rng.normal(size=(count, DEMOGRAPHICS)) * present[:, None]
    writer.add_dense("ehr", "demographics", values=values, present=present)
    for name, size in (("diagnosis", DIAGNOSES), ("drug", DRUGS)):
        if not inputs:
            held = [sorted(set(rng.integers(0, size, size=rng.integers(0, 5)).tolist())) for _ in range(count)]
            indptr, indices = csr(held)
            writer.add_codes("ehr", name, indptr=indptr, indices=indices, size=size)


def _add_series(writer: CorpusWriter, label: np.ndarray, rng: np.random.Generator, features: int) -> None:
    stays = [0 if number % 12 == 7 else 1 + number % 3 for number in range(len(label))]
    own = [number for number, held in enumerate(stays) for _ in range(held)]
    is_last = [place == held - 1 for held in stays for place in range(held)]
    cells: dict[str, list[np.ndarray]] = {"bin": [], "feature": [], "value": []}
    for record, last in zip(own, is_last, strict=True):
        values = rng.normal(size=(BINS, features)) * (rng.random((BINS, features)) < 0.4)
        values[:, [0, features - 5]] = (1.5 if label[record] and last else -1.5) + 0.2 * rng.normal(size=(BINS, 2))
        bins, which = np.nonzero(values)
        for name, array in zip(cells, (bins, which, values[bins, which]), strict=True):
            cells[name].append(array)
    writer.add_series(
        "ehr",
        "series",
        stay_indptr=np.cumsum([0, *stays]),
        cell_indptr=np.cumsum([0] + [len(array) for array in cells["bin"]]),
        **{name: np.concatenate(arrays) for name, arrays in cells.items()},
        size=features,
        num_bins=BINS,
        max_stays=3,
    )


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Task folders by task."""
    root = tmp_path_factory.mktemp("tasks")
    return {name: write_task_folder(root / name, inputs=inputs) for name, inputs in TASKS.items()}


@pytest.fixture(scope="session")
def tasks(folders: dict[str, Path]) -> dict[str, TaskData]:
    """The same, opened."""
    return {
        name: TaskData.open(folder, task="mortality", horizon="unbounded", cohort="carevue")
        for name, folder in folders.items()
    }


@pytest.fixture(scope="session")
def checkpoint(tasks: dict[str, TaskData], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the tiny size at random weights, for all modalities."""
    folder = tmp_path_factory.mktemp("checkpoint")
    settings = Settings(
        model=ModelSettings(
            embed_dim=16,
            hidden_dim=16,
            image=ImageTower(timm_model_name="test_convnext", image_size=32),
            text=TextTower(
                vocab_size=0, context_length=32, width=16, num_layers=1, num_heads=2, mlp_width=16, pooler="mean_pooler"
            ),
        )
    )
    torch.manual_seed(0)
    description = ModelDescription.of_corpus(tasks["readmission"].inputs.corpus, settings=settings)
    write_tensors(folder / "model.safetensors", MedCSP(description).state_dict())
    write_json(folder / "model.json", {"model": description.to_json()})
    return folder
