"""A signal that stops a run ends it, whatever library was at work, and the run says so in one line."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import dagster as dg
import dataframely as dy
import duckdb
import polars as pl
import pytest

from data_contracts.base import Contract
from pipelines.assets.glue import as_asset
from pipelines.assets.step import Build, Step
from pipelines.profiles import demo
from pipelines.resources import Sources, Workspace
from pipelines.run import STOPPED, failures


class Halves(Contract):
    """One row per half."""

    table = "halves"
    layer = "tables"
    key = ("half",)

    half = dy.Int64()


class Wholes(Contract):
    """One row per whole; no step reads the halves."""

    table = "wholes"
    layer = "tables"
    key = ("whole",)

    whole = dy.Int64()


def stop(number: int = 1) -> int:
    """Ask this process to stop, as a cancel does."""
    os.kill(os.getpid(), signal.SIGTERM)
    return number


def in_python() -> None:
    stop()


def in_duckdb() -> None:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.create_function("stop", stop)
        connection.execute("select stop(1)").fetchall()


def in_polars() -> None:
    pl.LazyFrame({"half": [1]}).select(pl.col("half").map_elements(stop, return_dtype=pl.Int64)).collect()


def swallowed() -> None:
    with suppress(dg.DagsterExecutionInterruptedError):
        stop()


@pytest.mark.parametrize("work", [in_python, in_duckdb, in_polars, swallowed])
def test_a_stop_in_the_middle_of_a_step_ends_the_run(work: Callable[[], None], tmp_path: Path) -> None:
    made = []

    def halves(build: Build) -> pl.DataFrame:
        work()
        return pl.DataFrame({"half": [1]})

    def wholes(build: Build) -> pl.DataFrame:
        made.append("wholes")
        return pl.DataFrame({"whole": [1]})

    made_by = ((Halves, halves), (Wholes, wholes))
    steps = [Step(contract, make, is_generic=True, code=("pipelines.stopping",)) for contract, make in made_by]
    definitions = dg.Definitions(
        assets=[as_asset(step) for step in steps],
        jobs=[dg.define_asset_job("both", dg.AssetSelection.all())],
        resources={"workspace": Workspace(home=tmp_path, profile=demo(), sources=Sources(roots={}))},
    )
    with dg.instance_for_test() as instance:
        result = definitions.resolve_job_def("both").execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success and made == []
    assert failures(result) == [STOPPED]
    (event,) = result.filter_events(lambda event: event.is_step_failure)
    first_line = str(event.step_failure_data.error.message).splitlines()[0]
    assert first_line.endswith("halves was stopped; the same run again goes on where it was")
