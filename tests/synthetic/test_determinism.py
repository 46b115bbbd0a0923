"""Equal settings give equal bytes; a tree appears whole or not at all."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.ids import id_share
from pipelines.synthetic import SyntheticSettings, write_sources
from pipelines.synthetic.latent import CHRONIC, draw_admissions, draw_subjects, severity_at
from pipelines.synthetic.randomness import generator, unique_ids
from pipelines.synthetic.settings import FOLDERS
from pipelines.synthetic.writing import new_folder

TINY = SyntheticSettings(num_ehr_subjects=6, num_linked_subjects=3, num_cxr_only_subjects=2, image_size=64)
WHOLE = replace(
    TINY,
    sources=tuple(FOLDERS),
    num_holdout_subjects=2,
    num_metavision_subjects=3,
    num_carevue_subjects=8,
    num_twins=1,
    num_open_i=3,
    num_covid19=2,
    num_chexpert=2,
    jpg_images=True,
)


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_two_writes_give_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, settings in (("first", TINY), ("again", TINY), ("other", replace(TINY, seed=1))):
        write_sources(tmp_path / name, settings=settings)
    first, again, other = (_digests(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    data = [path for path in first if path.endswith(("events.csv.gz", "discharge.csv.gz"))]
    assert data and all(first[path] != other[path] for path in data)
    images = {path for path in first if path.endswith(".dcm")}
    assert images.isdisjoint(other)


def test_every_tree_comes_out_the_same_twice_and_no_tree_depends_on_another_being_written(tmp_path: Path) -> None:
    for name, settings in (
        ("first", WHOLE),
        ("again", replace(WHOLE, report_layout="zip", sources=tuple(reversed(WHOLE.sources)))),
        ("alone", replace(WHOLE, sources=("mimic_iii",))),
    ):
        write_sources(tmp_path / name, settings=settings)
    first, again, alone = (_digests(tmp_path / name) for name in ("first", "again", "alone"))
    reports = {path for path in first if path.startswith("mimic-cxr/") and path.endswith(".txt")}
    assert {path: first[path] for path in first.keys() - reports} == {
        path: digest for path, digest in again.items() if path != "mimic-cxr/mimic-cxr-reports.zip"
    }
    assert {path.name for path in (tmp_path / "alone").iterdir()} == {"mimic-iii", "truth"}
    files = {path for path in alone if path.startswith("mimic-iii/")}
    assert len(files) == 17 and all(alone[path] == first[path] for path in files)


def test_held_out_subjects_leave_everybody_else_as_they_were(tmp_path: Path) -> None:
    sources = ("mimic_iv", "mimic_iv_note")
    more = replace(WHOLE, sources=sources, num_holdout_subjects=4)
    for name, settings in (("without", replace(more, num_holdout_subjects=0)), ("with", more)):
        write_sources(tmp_path / name, settings=settings)
    tables = sorted(path for path in (tmp_path / "without").rglob("*.csv.gz"))
    before = set(pl.read_csv(tmp_path / "without/mimic-iv/hosp/patients.csv.gz")["subject_id"])
    for path in tables:
        relative = path.relative_to(tmp_path / "without")
        one, other = (pl.read_csv(tmp_path / name / relative, infer_schema=False) for name in ("without", "with"))
        if "subject_id" in one.columns:
            other = other.filter(pl.col("subject_id").cast(pl.Int64).is_in(before))
            one, other = (rows.sort("subject_id", maintain_order=True) for rows in (one, other))
        assert one.equals(other), relative
    after = set(pl.read_csv(tmp_path / "with/mimic-iv/hosp/patients.csv.gz")["subject_id"])
    assert len(after - before) == 4 and all(id_share(0, id_) < 0.15 for id_ in after - before)


def test_gzip_headers_hold_neither_name_nor_time(raw: Path) -> None:
    for path in raw.rglob("*.gz"):
        header = path.read_bytes()[:10]
        assert header[3] == 0 and header[4:8] == bytes(4), path.name


def test_an_older_tree_is_replaced_whole_and_kept_when_writing_fails(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    with new_folder(folder) as beside:
        (beside / "old").write_text("old")
    with pytest.raises(OSError, match="disk"), new_folder(folder) as beside:
        (beside / "new").write_text("new")
        raise OSError("disk full")
    assert [path.name for path in tmp_path.rglob("*")] == ["raw", "old"]
    with new_folder(folder) as beside:
        (beside / "new").write_text("new")
    assert [path.name for path in tmp_path.rglob("*")] == ["raw", "new"]


def test_what_a_killed_writer_left_is_deleted_by_the_next(tmp_path: Path) -> None:
    for left in (".raw.writing", ".raw.old", ".raw.writing-123"):  # the last one as it was named before
        (tmp_path / left / "mimic-iv").mkdir(parents=True)
    with new_folder(tmp_path / "raw") as beside:
        (beside / "new").write_text("new")
    assert [path.name for path in tmp_path.rglob("*")] == ["raw", "new"]


def test_a_subject_does_not_change_when_others_are_added(settings: SyntheticSettings) -> None:
    more = draw_subjects(replace(settings, num_cxr_only_subjects=settings.num_cxr_only_subjects + 5))
    fewer = draw_subjects(settings)
    shared = len(fewer.subject_id)
    assert (more.subject_id[:shared] == fewer.subject_id).all()
    assert (more.signature[:shared] == fewer.signature).all()


@given(number=st.integers(0, 200), spare=st.integers(0, 50), seed=st.integers(0, 5))
def test_ids_are_distinct_in_range_and_not_taken(number: int, spare: int, seed: int) -> None:
    taken = set(range(100, 110))
    ids = unique_ids(seed, "x", number, first=100, last=100 + number + 9 + spare, taken=taken)
    assert len(set(ids.tolist())) == number == len(ids)
    assert not taken & set(ids.tolist())
    assert all(100 <= value <= 100 + number + 9 + spare for value in ids.tolist())


def test_generators_differ_by_name_and_agree_by_seed() -> None:
    assert generator(0, "a", 1).random() == generator(0, "a", 1).random()
    draws = {generator(seed, *names).random() for seed in (0, 1) for names in (("a", 1), ("a", 2), ("b", 1))}
    assert len(draws) == 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_linked_subjects": 301},
        {"num_cxr_only_subjects": -1},
        {"num_ehr_subjects": 0, "num_linked_subjects": 0},
        {"image_size": 63},
        {"images_per_study": (0.5, 0.4)},
        {"studies_per_linked_subject": 0.5},
        {"sources": ("mimic_iv", "eicu")},
        {"sources": ("mimic_cxr_jpg",)},
        {"mimic_iv_release": "1.0"},
        {"covid19_layout": "v6"},
        {"num_twins": -1},
        {"num_holdout_subjects": 1, "holdout_share": 0.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        SyntheticSettings(**wrong)


def test_severity_stays_between_the_chronic_share_and_what_is_carried() -> None:
    subjects = draw_subjects(TINY)
    admissions = draw_admissions(subjects, seed=0)
    row = admissions.subject
    for shift in (-100, -1, 0, 2, 40):
        time = admissions.admit + np.timedelta64(shift, "D")
        severity = severity_at(subjects, admissions, subject=row, time=time)
        assert (severity <= subjects.carried[row] + 1e-12).all()
        assert (severity >= subjects.carried[row] * CHRONIC - 1e-12).all()
    peak = severity_at(subjects, admissions, subject=row, time=admissions.admit)
    later = severity_at(subjects, admissions, subject=row, time=admissions.discharge)
    last = np.append(row[1:] != row[:-1], True)
    assert peak[last].sum() > later[last].sum()
