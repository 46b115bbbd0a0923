"""What the generator writes, the project reads: every table of every tree, no row rejected, releases told apart."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pipelines.sources import SOURCES
from pipelines.sources.checksums import check_sums
from pipelines.sources.releases import detect_release
from pipelines.synthetic import SyntheticSettings, write_sources
from pipelines.synthetic.settings import FOLDERS

WORLD = SyntheticSettings(
    num_ehr_subjects=24,
    num_linked_subjects=6,
    num_cxr_only_subjects=14,
    num_holdout_subjects=4,
    image_size=64,
    num_metavision_subjects=10,
    num_carevue_subjects=12,
    num_twins=3,
    num_open_i=8,
    num_covid19=3,
    num_chexpert=4,
    jpg_images=True,
    sources=tuple(FOLDERS),
)
OTHER = replace(
    WORLD,
    mimic_iv_release="3.1",
    mimic_cxr_release="2.1.0",
    report_layout="zip",
    mimic_iii_layout="demo",
    open_i_layout="kaggle",
    covid19_layout="v4",
    chexpert_layout="full",
    num_compressed=2,
    checksums=True,
)
# Tables that only one of the two layouts holds.
ONE_LAYOUT = {
    "mimic_cxr_jpg__test_labels": "other",
    "chexpert__chexbert": "other",
    "chexpert__visual_chexbert": "other",
}
NOT_METAVISION = {"mimic_iii_carevue__inputevents_mv", "mimic_iii_carevue__procedureevents_mv"}
RELEASES = {
    "first": {"mimic_iv": "2.2", "mimic_iii": "1.4", "mimic_iii_carevue": "1.4"},
    "other": {"mimic_iv": "3.0 or 3.1", "mimic_iii": "demo 1.4", "mimic_iii_carevue": "1.4"},
}


@pytest.fixture(scope="module", params=["first", "other"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    raw = tmp_path_factory.mktemp(request.param) / "raw"
    write_sources(raw, settings=WORLD if request.param == "first" else OTHER)
    return request.param, raw


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
