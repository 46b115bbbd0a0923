"""What is edited while a step is being made: its table is what its manifest says it was made from, or is not there."""

from collections.abc import Callable
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest

from data_contracts.base import Contract
from lake import PublishError
from pipelines.assets import step as steps
from pipelines.assets.glue import build_and_publish
from pipelines.assets.step import Step
from pipelines.profiles import demo
from pipelines.resources import Sources, Workspace


class Sizes(Contract):
    """One row per size."""

    table = "sizes"
    layer = "tables"
    key = ("size",)

    size = dy.Int64()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(home=tmp_path / "home", profile=demo(), sources=Sources(roots={}))


@pytest.fixture
def publish(workspace: Workspace) -> Callable[..., list[int]]:
    """Make a step as a run does, and give the rows of its table."""

    def make(step: Step) -> list[int]:
        build_and_publish(step, workspace, step.input_versions(workspace), log=print)
        return workspace.lake.scan(step.name).collect().to_series().to_list()

    return make


@pytest.fixture
def sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of SQL with one statement and no checks."""
    folder = tmp_path / "sql"
    (folder / "checks").mkdir(parents=True)
    (folder / "sizes.sql").write_text("select 1::bigint as size")
    monkeypatch.setattr(steps, "SQL_FOLDER", folder)
    return folder


def test_sql_that_is_edited_after_its_version_was_taken_runs_as_it_was(
    sql: Path, publish: Callable[..., list[int]]
) -> None:
    step = steps.sql_step(Sizes, "sizes.sql")
    step.code_version()  # taken when the graph is loaded
    (sql / "sizes.sql").write_text("select 2::bigint as size")
    assert publish(step) == [1]
    steps._code_of.cache_clear()  # as the next process
    assert publish(step) == [2]


def test_a_rule_that_is_edited_after_the_version_was_taken_counts_as_it_was(
    sql: Path, publish: Callable[..., list[int]]
) -> None:
    rule = sql / "checks" / "sizes__is_small.sql"
    rule.write_text("select * from sizes where size > 0")
    step = steps.sql_step(Sizes, "sizes.sql")
    step.code_version()
    rule.write_text("select * from sizes where size > 9")
    with pytest.raises(PublishError, match="check 'sizes__is_small' found 1 failing rows"):
        publish(step)


def test_rows_made_while_a_data_file_was_edited_are_not_published(
    tmp_path: Path, workspace: Workspace, publish: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "REPOSITORY", tmp_path)
    data = tmp_path / "sizes.csv"
    data.write_text("size\n1\n")
    step = steps.step(Sizes, data_files=(data,), is_generic=True)(lambda build: pl.read_csv(data))
    step.code_version()
    data.write_text("size\n2\n")
    with pytest.raises(ValueError, match=r"sizes: sizes\.csv changed during this run; .* run it again"):
        publish(step)
    assert workspace.lake.manifest("sizes") is None
    steps._code_of.cache_clear()
    assert publish(step) == [2]
