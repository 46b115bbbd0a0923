"""Typed tables: one step per raw table, read by its source module. Not here: how a file is read (`sources/`)."""

from data_contracts import CONTRACTS
from pipelines.assets.raw import raw_digests, why_empty
from pipelines.assets.step import Build, Made, Step
from pipelines.resources import Workspace
from pipelines.sources import SOURCES, TABLES, RawTable, detect_release
from pipelines.sources.checksums import check_sums


def _step(raw_table: RawTable) -> Step:
    def read(build: Build) -> Made:
        sources = build.workspace.sources
        reason = why_empty(raw_table, sources)
        root = sources.root(raw_table.source)
        if reason or root is None:
            return Made(raw_table.empty(), extra={"empty": reason})
        return Made(raw_table.read(root), extra={"synthetic": raw_table.source in sources.synthetic})

    def inputs(workspace: Workspace) -> dict[str, str]:
        return {**raw_digests(raw_table, workspace), **release_of(raw_table, workspace)}

    def verify(workspace: Workspace) -> None:
        root = workspace.sources.root(raw_table.source)
        if root is not None and not why_empty(raw_table, workspace.sources):
            check_sums(raw_table.raw_files(root), root=root, home=workspace.home, mode=workspace.checksums)

    return Step(
        contract=CONTRACTS[raw_table.table],
        make=read,
        raw=inputs,
        raw_keys=(raw_table.table,),
        verify=verify,
        code=(raw_table.module,),
        is_generic=True,
        kinds=("polars", "parquet"),
    )


def release_of(raw_table: RawTable, workspace: Workspace) -> dict[str, str]:
    """Return the release that a table is read from as an input of it: a file may be that of two releases.

    Raises:
        ValueError: the source is required and has no root, or its tree is of no known release.
    """
    root = workspace.sources.root(raw_table.source)
    if root is None or why_empty(raw_table, workspace.sources):
        return {}
    release = detect_release(SOURCES[raw_table.source], root)
    return {f"release:{raw_table.source}": release} if release else {}


STEPS = tuple(_step(raw_table) for raw_table in TABLES.values())
