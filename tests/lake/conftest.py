"""A lake in a temporary folder, and three small contracts to publish into it."""

from datetime import datetime
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest

from data_contracts.base import Contract
from lake import Lake


class Readings(Contract):
    """What was measured, one row per subject and time."""

    table = "readings"
    layer = "tables"
    key = ("subject_id", "charttime")

    subject_id = dy.Int64(min=1)
    charttime = dy.Datetime(time_unit="us")
    value = dy.Float64(nullable=True, min=0)
    codes = dy.List(dy.Int32(), nullable=True)
    sex = dy.Enum(["M", "F"], nullable=True)

    @dy.rule()
    def plausible(cls):  # noqa: N805
        return cls.value.col < 1000


class Events(Contract):
    """What happened; rows may repeat."""

    table = "events"
    layer = "tables"
    order = ("subject_id", "name")

    subject_id = dy.Int64()
    name = dy.String(nullable=True)
    value = dy.Float64(nullable=True)


class ShardedEvents(Events):
    """What happened, in four files."""

    table = "sharded_events"
    sharded = True


@pytest.fixture
def readings() -> type[Contract]:
    return Readings


@pytest.fixture
def events() -> type[Contract]:
    return Events


@pytest.fixture
def sharded_events() -> type[Contract]:
    return ShardedEvents


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "home", threads=1, views_file=tmp_path / "catalog.sql")


@pytest.fixture
def made_from() -> dict[str, object]:
    """Arguments of publish that a test does not care about."""
    return {"code_version": "code", "inputs": {"raw": "1"}, "settings": {"theta_days": 30}}


@pytest.fixture
def readings_rows() -> pl.DataFrame:
    """Three valid rows, not in order."""
    return pl.DataFrame(
        {
            "subject_id": [3, 1, 2],
            "charttime": [datetime(2150, 1, day) for day in (3, 1, 2)],
            "value": [3.5, None, -0.0],
            "codes": [[3, 4], None, []],
            "sex": ["F", None, "M"],
        },
        schema_overrides={"codes": pl.List(pl.Int32)},
    )
