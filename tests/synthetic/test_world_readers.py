"""What the generator writes, the project reads: every table of every tree, no row rejected, releases told apart."""

from pathlib import Path

import polars as pl
import pytest

from pipelines.sources import SOURCES
from pipelines.sources.checksums import check_sums
from pipelines.sources.release_detection import detect_release
from pipelines.synthetic.settings import FOLDERS

# Tables that only one of the two layouts holds.
ONE_LAYOUT = {
    "mimic_cxr_jpg__test_labels": "other",
    "chexpert__chexbert": "other",
    "chexpert__visual_chexbert": "other",
}
NOT_METAVISION = {"mimic_iii_carevue__inputevents_mv", "mimic_iii_carevue__procedureevents_mv"}
RELEASES = {
    "first": {"mimic_iv": "2.2", "mimic_iii": "1.4", "mimic_iii_carevue": "1.4"},
    "other": {"mimic_iv": "3.1", "mimic_iii": "demo 1.4", "mimic_iii_carevue": "1.4"},
}


@pytest.fixture(params=["first", "other"])
def world(request: pytest.FixtureRequest) -> tuple[str, Path]:
    return request.param, request.getfixturevalue("raw" if request.param == "first" else "other")


def test_checksums_are_those_of_every_file(world: tuple[str, Path], tmp_path: Path) -> None:
    layout, raw = world
    for folder in FOLDERS.values():
        files = [path for path in (raw / folder).rglob("*") if path.is_file() and path.name != "SHA256SUMS.txt"]
        checked = check_sums(files, root=raw / folder, home=tmp_path, mode="all")
        assert checked.num_hashed == (len(files) if layout == "other" else 0)


def test_the_folders_are_those_of_the_sources() -> None:
    assert {name: SOURCES[name].folder for name in FOLDERS} == FOLDERS


@pytest.mark.parametrize("name", FOLDERS)
def test_every_table_is_read_without_a_rejected_row(world: tuple[str, Path], name: str) -> None:
    layout, raw = world
    source, root = SOURCES[name], raw / FOLDERS[name]
    assert detect_release(source, root) == RELEASES[layout].get(name, detect_release(source, root))
    for table in source.tables:
        rows = table.read(root).collect()
        rejected = rows["_rejected"].drop_nulls() if "_rejected" in rows.columns else pl.Series()
        assert rejected.is_empty(), (table.table, rejected.value_counts())
        kept, failures = table.contract.filter(rows, cast=True)
        assert len(kept) == len(rows), (table.table, failures.counts())
        is_there = table.table not in NOT_METAVISION and ONE_LAYOUT.get(table.table, layout) == layout
        assert bool(len(rows)) == is_there, table.table
