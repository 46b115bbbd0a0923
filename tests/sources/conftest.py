"""Writes tiny raw trees."""

import gzip
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pipelines.synthetic import SyntheticSettings, write_sources

sys.path.insert(0, str(Path(__file__).parent))  # for xray_mutations

Writer = Callable[[str, str, Iterable[str]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Write a CSV file below the root: its header and its lines, gzipped where the name says so."""

    def write_csv(name: str, header: str, lines: Iterable[str] = ()) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = "\n".join([header, *lines, ""]).encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write_csv


@pytest.fixture
def rejected() -> Callable[[pl.LazyFrame], dict[str, int]]:
    """Count rejected rows by rule."""

    def count(frame: pl.LazyFrame) -> dict[str, int]:
        rules = frame.select("_rejected").drop_nulls().collect()["_rejected"].value_counts()
        return dict(sorted(rules.iter_rows()))

    return count


@pytest.fixture(scope="session")
def xray_trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write the X-ray sources twice: every one in its first layout, and in the other."""
    first = SyntheticSettings(
        num_ehr_subjects=4,
        num_linked_subjects=3,
        num_cxr_only_subjects=4,
        image_size=64,
        num_open_i=5,
        num_covid19=3,
        num_chexpert=4,
        jpg_images=True,
        sources=("mimic_cxr", "mimic_cxr_jpg", "open_i", "covid19", "chexpert"),
    )
    other = replace(
        first,
        mimic_cxr_release="2.1.0",
        report_layout="zip",
        open_i_layout="kaggle",
        covid19_layout="v4",
        chexpert_layout="full",
    )
    roots = {name: tmp_path_factory.mktemp(name) / "raw" for name in ("first", "other")}
    for root, settings in zip(roots.values(), (first, other), strict=True):
        write_sources(root, settings=settings)
    return roots
