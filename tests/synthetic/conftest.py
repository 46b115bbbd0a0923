"""Three synthetic worlds, each written once for all tests, however many processes run them.

`raw` has every source in its first layout, `other` in its other one, `hospital` the evaluation patients of the demo.
"""

import fcntl
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pipelines.synthetic import SyntheticSettings, write_sources
from pipelines.synthetic.settings import DEMO_SUBJECTS, FOLDERS

WORLD = SyntheticSettings(
    num_ehr_subjects=50,
    num_linked_subjects=14,
    num_cxr_only_subjects=40,
    num_holdout_subjects=4,
    image_size=64,
    num_metavision_subjects=24,
    num_carevue_subjects=40,
    num_twins=8,
    num_open_i=30,
    num_covid19=10,
    num_chexpert=20,
    jpg_images=True,
    sources=tuple(FOLDERS),
)
OTHER = replace(
    WORLD,
    num_metavision_subjects=6,
    num_carevue_subjects=8,
    num_twins=2,
    mimic_iv_release="3.1",
    mimic_cxr_release="2.1.0",
    report_layout="zip",
    mimic_iii_layout="demo",
    open_i_layout="kaggle",
    covid19_layout="v4",
    chexpert_layout="full",
    num_compressed=4,
    checksums=True,
)
HOSPITAL = SyntheticSettings(
    num_ehr_subjects=40,
    num_linked_subjects=0,
    num_cxr_only_subjects=0,
    num_holdout_subjects=DEMO_SUBJECTS,
    sources=("mimic_iv", "mimic_iii", "mimic_iii_carevue"),
)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, SyntheticSettings], Path]:
    """Write a world, or wait for the process that writes it; tests read it and change nothing."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # which all processes of a run share

    def write(name: str, settings: SyntheticSettings) -> Path:
        raw = folder / f"synthetic_{name}" / "raw"
        raw.parent.mkdir(exist_ok=True)
        with (raw.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not raw.exists():
                write_sources(raw, settings=settings)
        return raw

    return write


@pytest.fixture(scope="session")
def raw(written: Callable[[str, SyntheticSettings], Path]) -> Path:
    return written("world", WORLD)


@pytest.fixture(scope="session")
def other(written: Callable[[str, SyntheticSettings], Path]) -> Path:
    return written("other", OTHER)


@pytest.fixture(scope="session")
def hospital(written: Callable[[str, SyntheticSettings], Path]) -> Path:
    return written("hospital", HOSPITAL)


@pytest.fixture(scope="session")
def hospital_settings() -> SyntheticSettings:
    return HOSPITAL


@pytest.fixture(scope="session")
def settings() -> SyntheticSettings:
    return WORLD


@pytest.fixture(scope="session")
def read(raw: Path):
    """Read a table of the tree by its path below raw/, every column as text; a table is read once."""
    tables: dict[str, pl.DataFrame] = {}

    def read_table(path: str) -> pl.DataFrame:
        if path not in tables:
            is_parquet = path.endswith(".parquet")
            tables[path] = pl.read_parquet(raw / path) if is_parquet else pl.read_csv(raw / path, infer_schema=False)
        return tables[path]

    return read_table


@pytest.fixture(scope="session")
def quirk(read):
    """Give the planted rows of one name."""

    def planted(name: str) -> pl.DataFrame:
        rows = read("truth/quirks.parquet").filter(pl.col("quirk") == name)
        assert len(rows), f"{name} was not planted"
        return rows

    return planted
