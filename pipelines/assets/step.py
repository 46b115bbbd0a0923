"""A step: one table, what it is made from, and the function or SQL file that makes it. No dagster here.

A step whose code, inputs and settings are those of the published table is current and is not run again.
"""

import functools
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from data_contracts import Contract
from lake import ByShard, Lake, Manifest, Query, code_version, fingerprint, sha256_file
from lake.sql import SqlFile
from pipelines.launcher import ProcessUsage
from pipelines.profiles import Profile
from pipelines.resources import REPOSITORY, Workspace

SQL_FOLDER = REPOSITORY / "sql"
GLUE = (
    "pipelines.assets.raw",
    "pipelines.assets.step",
    "pipelines.launcher",
    "pipelines.processes",
    "pipelines.profiles",
    "pipelines.resources",
)
"""Modules that bring settings and inputs to a step: those count by their values, not by this code."""

Rows = pl.LazyFrame | pl.DataFrame | Query


class InputMissingError(RuntimeError):
    """A step was asked to run before its inputs were published."""


@dataclass(frozen=True)
class Made:
    """What a step made: the rows of its table, and what the manifest shall remember beside them."""

    rows: Rows | ByShard
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Build:
    """What the function of a step works with.

    Attributes:
        observe: shows numbers of what is still being made.
        done: says that a part of a partitioned whole is done: which, by dimension.
        shard: what a step that is made shard by shard makes now: `scan`, `frame` and `query` give the rows of its
            subjects, and all rows of tables without subjects.
    """

    step: "Step"
    workspace: Workspace
    settings: dict[str, Any]
    inputs: dict[str, str]
    fingerprint: str
    log: Callable[[str], None]
    observe: Callable[[dict[str, float]], None] = lambda numbers: None
    done: Callable[[dict[str, str]], None] = lambda part: None
    processes: list[ProcessUsage] = field(default_factory=list)
    shard: int | None = None

    @property
    def lake(self) -> Lake:
        """The lake that is read and published to."""
        return self.workspace.lake

    def scan(self, contract: type[Contract]) -> pl.LazyFrame:
        """Return the current version of an input.

        Raises:
            AssertionError: the table is not declared among the inputs of the step.
        """
        assert contract.table in self.step.inputs, f"{self.step.name} reads {contract.table} without declaring it"
        return self.lake.scan(contract.table, shard=self.shard)

    def frame(self, contract: type[Contract]) -> pl.DataFrame:
        """Return the current version of an input in memory."""
        return self.scan(contract).collect()

    def query(self) -> Query:
        """Return the step's SQL file over its inputs, its settings as variables."""
        tables = list(self.step.inputs)
        return Query(self.step.statement(), tables=tables, variables=self.settings, shard=self.shard)

    def made(self, *, fresh: bool = False) -> Made:
        """Return what the step makes, of all shards or of each alone.

        Args:
            fresh: make every shard, also those that were made from the same before.
        """
        if not self.step.by_shard:
            made = self.step.make(self)
            return made if isinstance(made, Made) else Made(made)
        keys = self.step.shard_keys(self.workspace, self.inputs)
        unknown = [secrets.token_hex(8)] * len(keys)
        return Made(ByShard(self._rows_of_shard, unknown if fresh else keys))

    def _rows_of_shard(self, shard: int) -> Rows:
        made = self.step.make(replace(self, shard=shard))
        assert not isinstance(made, Made), f"{self.step.name}: what is made by shard has nothing to remember beside"
        return made

    def run_folder(self) -> Path:
        """Return the folder for files that are no table: named by the fingerprint, so that a killed run resumes."""
        return self.lake.run_folder(self.step.name, self.fingerprint)

    def launch(self, module: str, settings: dict[str, Any], *, together: bool = False) -> None:
        """Run a module of `medcsp_model` in the step's run folder, one at a time per device.

        Args:
            module: the command.
            settings: what it is told.
            together: whether all of the workspace's processes share its work.
        """
        device = self.workspace.profile.training.run.device
        usage = self.workspace.launcher.run(
            module,
            settings,
            folder=self.run_folder(),
            lock=self.lake.home / "locks" / f"device-{device}.lock",
            log=self.log,
            together=together,
        )
        self.processes.append(usage)

    def folder_of(self, contract: type[Contract]) -> Path:
        """Return the run folder of an input's current version."""
        manifest = self.lake.manifest(contract.table)
        assert manifest is not None
        return self.lake.run_folder(contract.table, manifest.fingerprint)


def made_by(workspace: Workspace, tables: Iterable[str]) -> dict[str, str]:
    """Return the fingerprint of what each table was made by, as inputs of a step that reads more of it than its rows.

    A version is named by rows alone: files beside them, or what a manifest says, may change where they do not.
    """
    found = {name: workspace.lake.manifest(name) for name in sorted(set(tables))}
    return {f"made:{name}": manifest.fingerprint for name, manifest in found.items() if manifest is not None}


def gathering(*contracts: type[Contract]) -> dict[str, Any]:
    """Return what steps have in common that gather files which lie beside the rows of these inputs; see `made_by`."""
    return {
        "inputs": contracts,
        "raw": lambda workspace: made_by(workspace, [contract.table for contract in contracts]),
        "on_device": True,
        "kinds": ("polars",),
    }


def _no_settings(profile: Profile) -> dict[str, Any]:
    return {}


def _no_raw(workspace: Workspace) -> dict[str, str]:
    return {}


def _verify_nothing(workspace: Workspace) -> None:
    pass


def _nothing_beside(workspace: Workspace) -> bool:
    return True


@dataclass(frozen=True)
class Step:
    """One asset of the graph.

    Attributes:
        contract: the table it publishes.
        make: makes the rows.
        inputs: tables it reads.
        settings: the part of the profile that can change its rows; JSON values.
        raw: digests of the raw files it reads, `raw:<source>/<file>` to sha256.
        raw_keys: names of the raw assets it reads.
        verify: compares raw files with their release's own list, each time the step runs; a ValueError stops it.
        sql: the file that makes it, if SQL does; parts of it may lie in a folder of its name.
        data_files: files of the repository that `make` reads.
        code: modules that make the rows and that `make` does not import, for instance those of another process.
        by_shard: True where a table split by subject is made one file at a time, from inputs of the same subjects and
            tables without any. A file whose inputs are as before is linked, not made: what a step reads of one subject
            may decide nothing about another. The result is that of making everything, byte for byte.
        is_generic: True where `make` serves many steps and says nothing about the rows of this one.
        leaves: files of the run folder without which the published table is worth nothing.
        is_whole: whether what the published rows name outside the lake's tables is still there; where it is not, the
            step runs again.
        on_device: True for what trains or embeds: it has its own automation.
        kinds: what Dagster shows as its technology.
    """

    contract: type[Contract]
    make: Callable[[Build], Rows | Made]
    inputs: tuple[str, ...] = ()
    settings: Callable[[Profile], dict[str, Any]] = _no_settings
    raw: Callable[[Workspace], dict[str, str]] = _no_raw
    raw_keys: tuple[str, ...] = ()
    verify: Callable[[Workspace], None] = _verify_nothing
    sql: Path | None = None
    data_files: tuple[Path, ...] = ()
    code: tuple[ModuleType | str, ...] = ()
    leaves: tuple[str, ...] = ()
    is_whole: Callable[[Workspace], bool] = _nothing_beside
    on_device: bool = False
    by_shard: bool = False
    is_generic: bool = False
    kinds: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The table, which is the asset."""
        return self.contract.table

    @property
    def description(self) -> str:
        """The first line of the contract."""
        return (self.contract.__doc__ or "").strip().split("\n")[0]

    def code_version(self) -> str:
        """Return the digest of the code that makes the rows; comments and docstrings do not count.

        It is taken once a process: what runs is what was imported and read then, whatever is edited meanwhile.
        """
        return _code_of(self).version

    def statement(self) -> str:
        """Return the SQL that makes the rows, as it was when the code version was taken."""
        return _code_of(self).statement

    def checks(self) -> dict[str, str]:
        """Return the set rules that a new version must pass before it is published: SQL that returns failing rows.

        They are the text that the code version was taken of.
        """
        return _code_of(self).checks

    def hold_inputs(self, workspace: Workspace, inputs: dict[str, str]) -> Workspace:
        """Return a workspace that goes on reading these versions of the tables, whatever another run publishes.

        Raises:
            ValueError: a table was published again since its version was looked up.
        """
        held = workspace.holding(self.inputs)
        for name, manifest in held.held.items():
            if inputs.get(name, manifest.version) != manifest.version:
                raise self._changed(f"the table {name}, which another run in this home published again,")
        return held

    def confirm(self, workspace: Workspace, inputs: dict[str, str]) -> None:
        """Refuse rows made while a file was replaced: it is read later than its digest was taken.

        Raises:
            ValueError: a raw file, or a data file of the repository, is not what it was.
        """
        for path, digest in _code_of(self).data_files.items():
            if not path.is_file() or sha256_file(path) != digest:
                raise self._changed(str(path.relative_to(REPOSITORY)))
        before = {name: version for name, version in inputs.items() if name not in self.inputs}
        if changed := sorted(name for name, _ in before.items() ^ self.raw(workspace).items()):
            raise self._changed(changed[0])

    def _changed(self, what: str) -> ValueError:
        return ValueError(f"{self.name}: {what} changed during this run; nothing was published, run it again")

    def warning_files(self) -> dict[str, Path]:
        """Return the set rules whose failing rows are counted and shown, but stop nothing."""
        return _named_after(self.name, SQL_FOLDER / "checks" / "warnings")

    def input_versions(self, workspace: Workspace) -> dict[str, str]:
        """Return the version of every table and raw file that the step reads.

        Raises:
            InputMissingError: a table is not published; the first line says which, and what to run.
        """
        versions: dict[str, str] = {}
        for name in self.inputs:
            manifest = workspace.lake.manifest(name)
            if manifest is None:
                raise InputMissingError(
                    f"{self.name} needs the table {name}, which is not published; "
                    f"run: dagster asset materialize --select '*{self.name}'"
                )
            versions[name] = manifest.version
        return {**versions, **self.raw(workspace)}

    def fingerprint(self, workspace: Workspace, inputs: dict[str, str]) -> str:
        """Return the digest of code, inputs, settings and contract."""
        return workspace.lake.fingerprint(
            self.contract,
            code_version=self.code_version(),
            inputs=inputs,
            settings=self.settings(workspace.profile),
        )

    def shard_keys(self, workspace: Workspace, inputs: dict[str, str]) -> list[str]:
        """Return for every shard the digest of code, settings and its part of the inputs."""
        lake = workspace.lake
        digests = {name: lake.shard_digests(name) for name in self.inputs}
        whole = {name: version for name, version in inputs.items() if name not in self.inputs}
        settings = self.settings(workspace.profile)
        return [
            fingerprint(
                code_version=self.code_version(),
                inputs={**whole, **{name: parts[shard] for name, parts in digests.items()}},
                settings=settings,
            )
            for shard in range(lake.num_shards)
        ]

    def current(self, workspace: Workspace, inputs: dict[str, str]) -> Manifest | None:
        """Return the published version if it was made by this code from these inputs and is whole, else None."""
        manifest = workspace.lake.current(
            self.contract,
            code_version=self.code_version(),
            inputs=inputs,
            settings=self.settings(workspace.profile),
        )
        if manifest is None or not self.is_whole(workspace):
            return None
        leaves = self.leaves if manifest.rows else ()  # an empty table leaves nothing
        folder = workspace.lake.run_folder(self.name, manifest.fingerprint) if leaves else Path()
        return manifest if all((folder / name).is_file() for name in leaves) else None


@dataclass(frozen=True)
class _Code:
    """What makes the rows of a step, read at one moment: its version, its SQL, and the digests of its data files."""

    version: str
    statement: str
    checks: dict[str, str]
    data_files: dict[Path, str]


@functools.cache
def _code_of(step: Step) -> _Code:
    entry_points = step.code if step.is_generic else (step.make, *step.code)
    digests = {path: sha256_file(path) for path in step.data_files}
    sql = SqlFile.read(step.sql) if step.sql else None
    checks = {
        name: path.read_text(encoding="utf-8") for name, path in _named_after(step.name, SQL_FOLDER / "checks").items()
    }
    texts = [*([sql.text, *sql.parts.values()] if sql else []), *checks.values()]
    version = code_version(*entry_points, sql_texts=texts, data_files=step.data_files, exclude=GLUE)
    return _Code(version, sql.statement() if sql else "", checks, digests)


def _named_after(table: str, folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob(f"{table}__*.sql"))}


def step(contract: type[Contract], **options: Any) -> Callable[[Callable[[Build], Rows | Made]], Step]:
    """Make a step of the function below; `inputs` may be contracts."""
    options["inputs"] = tuple(c.table for c in options.pop("inputs", ()))
    return lambda make: Step(contract=contract, make=make, **options)


def sql_step(contract: type[Contract], sql: str, **options: Any) -> Step:
    """Return a step whose rows are one SQL file under `sql/`."""
    options.setdefault("kinds", ("duckdb", "sql"))
    return step(contract, sql=SQL_FOLDER / sql, is_generic=True, **options)(_run_query)


def _run_query(build: Build) -> Rows:
    return build.query()
