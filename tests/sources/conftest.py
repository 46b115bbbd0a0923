"""Writes tiny raw trees."""

import gzip
from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl
import pytest

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
