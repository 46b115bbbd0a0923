"""A small tree of every source, written once."""

from pathlib import Path

import polars as pl
import pytest

from pipelines.synthetic import SyntheticSettings, write_sources


@pytest.fixture(scope="session")
def settings() -> SyntheticSettings:
    return SyntheticSettings(num_ehr_subjects=40, num_linked_subjects=14, num_cxr_only_subjects=12, image_size=64)


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory, settings: SyntheticSettings) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "raw"
    write_sources(folder, settings=settings)
    return folder


@pytest.fixture(scope="session")
def read(raw: Path):
    """Read a table of the tree by its path below raw/, every column as text."""

    def read_table(path: str) -> pl.DataFrame:
        if path.endswith(".parquet"):
            return pl.read_parquet(raw / path)
        return pl.read_csv(raw / path, infer_schema=False)

    return read_table


@pytest.fixture(scope="session")
def quirk(read):
    """Give the planted rows of one name."""

    def planted(name: str) -> pl.DataFrame:
        rows = read("truth/quirks.parquet").filter(pl.col("quirk") == name)
        assert len(rows), f"{name} was not planted"
        return rows

    return planted
