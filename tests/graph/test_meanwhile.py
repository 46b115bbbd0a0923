"""What is edited or published while a step is being made: a table is made from what its manifest says, or not made."""

from collections.abc import Callable
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest

from data_contracts.base import Contract
from lake import PublishError
from pipelines.assets import step as steps
from pipelines.assets.glue import build_and_publish
from pipelines.assets.step import Build, Step
from pipelines.profiles import demo
from pipelines.resources import Sources, Workspace


class Sizes(Contract):
    """One row per size."""

    table = "sizes"
    layer = "tables"
    key = ("size",)

    size = dy.Int64()


class Lengths(Contract):
    """One row per length, by subject."""

    table = "lengths"
    layer = "tables"
    key = ("subject_id",)

    subject_id = dy.Int64()
    size = dy.Int64()


def publish_lengths(workspace: Workspace, size: int) -> str:
    """Publish one row, as another run with other settings may; give its version."""
    rows = pl.DataFrame({"subject_id": [1], "size": [size]})
    return workspace.lake.publish(Lengths, rows, code_version="-", inputs={}, settings={"size": size}).version


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


def test_rows_are_made_from_the_versions_that_the_manifest_names(workspace: Workspace) -> None:
    def make(build: Build) -> pl.DataFrame:
        publish_lengths(workspace, 2)
        return build.frame(Lengths).select("size")

    first = publish_lengths(workspace, 1)
    step = steps.step(Sizes, inputs=[Lengths], is_generic=True)(make)
    manifest = build_and_publish(step, workspace, step.input_versions(workspace), log=print)
    assert manifest.inputs == {"lengths": first}
    assert workspace.lake.scan("sizes").collect().to_series().to_list() == [1]
    assert step.current(workspace, step.input_versions(workspace)) is None  # the next run makes it from the other


def test_whoever_holds_a_version_sees_it_everywhere(workspace: Workspace) -> None:
    publish_lengths(workspace, 1)
    held = workspace.holding(["lengths"]).lake
    before = held.shard_digests("lengths"), held.files("lengths")
    publish_lengths(workspace, 2)
    assert (held.shard_digests("lengths"), held.files("lengths")) == before
    assert workspace.lake.files("lengths") != before[1]
    with held.connect(["lengths"]) as connection:
        assert connection.sql("select size from lengths").fetchall() == [(1,)]


def test_a_table_that_was_published_again_before_a_step_began_stops_it(workspace: Workspace) -> None:
    step = steps.step(Sizes, inputs=[Lengths], is_generic=True)(lambda build: build.frame(Lengths).select("size"))
    publish_lengths(workspace, 1)
    inputs = step.input_versions(workspace)
    publish_lengths(workspace, 2)
    with pytest.raises(ValueError, match=r"sizes: the table lengths, which another run .* run it again"):
        build_and_publish(step, workspace, inputs, log=print)


def test_rows_made_while_a_raw_file_was_replaced_are_not_published(tmp_path: Path, workspace: Workspace) -> None:
    def make(build: Build) -> pl.DataFrame:
        file.write_text("size\n2\n")
        return pl.read_csv(file)

    file = tmp_path / "raw.csv"
    file.write_text("size\n1\n")
    step = steps.step(Sizes, raw=lambda workspace: {"raw:sizes": file.read_text()}, is_generic=True)(make)
    with pytest.raises(ValueError, match="sizes: raw:sizes changed during this run"):
        build_and_publish(step, workspace, step.input_versions(workspace), log=print)
    assert workspace.lake.manifest("sizes") is None
