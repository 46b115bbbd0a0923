"""The streaming writer: as many rows as asked for, block by block."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from pipelines.synthetic import chartevents_stream, write_chartevents
from pipelines.synthetic.chartevents_stream import ROWS_PER_STAY

STAYS_PER_BLOCK = 4
ONE_BLOCK = ROWS_PER_STAY * STAYS_PER_BLOCK


@pytest.mark.parametrize("num_rows", [1, ROWS_PER_STAY + 1, ONE_BLOCK, ONE_BLOCK + 7, 3 * ONE_BLOCK - 1])
def test_rows_are_counted_exactly_and_belong_to_stays(
    tmp_path: Path, num_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chartevents_stream, "STAYS_PER_BLOCK", STAYS_PER_BLOCK)
    write_chartevents(tmp_path / "tree", num_rows=num_rows, seed=0)
    charted = pl.read_csv(tmp_path / "tree/icu/chartevents.csv.gz", try_parse_dates=True)
    stays = pl.read_csv(tmp_path / "tree/icu/icustays.csv.gz", try_parse_dates=True)
    assert len(charted) == num_rows
    assert len(stays) == -(-num_rows // ROWS_PER_STAY)
    keys = ["subject_id", "hadm_id", "stay_id"]
    joined = charted.join(stays, on=keys)
    assert len(joined) == num_rows
    assert (joined["charttime"] >= joined["intime"]).all()
    assert (joined["charttime"] <= joined["outtime"]).all()
    assert charted["stay_id"].is_sorted()
    items = pl.read_csv(tmp_path / "tree/icu/d_items.csv.gz")
    assert set(charted["itemid"]) <= set(items["itemid"])


def test_the_tree_has_patients_and_admissions_and_repeats(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_chartevents(tmp_path / name, num_rows=1000, seed=seed)
    files = ["hosp/patients", "hosp/admissions", "icu/icustays", "icu/d_items", "icu/chartevents"]
    for file in files:
        assert (tmp_path / f"a/{file}.csv.gz").read_bytes() == (tmp_path / f"b/{file}.csv.gz").read_bytes()
    assert (tmp_path / "a/icu/chartevents.csv.gz").read_bytes() != (tmp_path / "c/icu/chartevents.csv.gz").read_bytes()
    with gzip.open(tmp_path / "a/hosp/admissions.csv.gz", "rt") as lines:
        assert lines.readline().startswith("subject_id,hadm_id,admittime,dischtime,deathtime,")
    patients = pl.read_csv(tmp_path / "a/hosp/patients.csv.gz")
    assert len(patients) == 3


def test_no_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one row"):
        write_chartevents(tmp_path / "tree", num_rows=0, seed=0)
    assert not list(tmp_path.iterdir())
