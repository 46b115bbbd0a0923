"""The lake: where tables are published, found, read and pinned.

What does not belong here: Dagster, and any knowledge of a particular table.
"""

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
import polars as pl

from data_contracts.base import SHARD_COLUMN, Contract
from lake import catalogue
from lake.columns import restore_dtype
from lake.files import canonical_json, locked, locked_if_free, make_private, write_atomic
from lake.fingerprints import contract_hash, fingerprint
from lake.ids import id_share_macro
from lake.manifest import CURRENT, TIMING, Manifest, parse_manifest, read_manifest
from lake.memory import Measurement, peak_mb
from lake.publish import ByShard, Provenance, Query, publish
from lake.shards import digests_by_shard, rows_by_shard
from lake.sql import name_of, statement_of, table_names

ROOT = Path(__file__).resolve().parents[1]


class TableMissing(ValueError):  # noqa: N818
    """A table was asked for that has not been published."""

    def __init__(self, table: str) -> None:
        super().__init__(f"table '{table}' is not published; run: dagster asset materialize --select '*{table}'")
        self.table = table


def default_home() -> Path:
    """`$MEDCSP_HOME`, or `.medcsp` beside the repository's README."""
    return Path(os.environ.get("MEDCSP_HOME") or ROOT / ".medcsp").expanduser().resolve()


class Lake:
    """Versioned Parquet tables under one folder.

    Args:
        home: the folder; tables lie in `home/lake`, the catalogue in `home/warehouse.duckdb`.
        memory_limit: what DuckDB may hold before it spills to disk, such as `"2GB"`; a quarter of a gigabyte per core,
            and at least two, by default.
        threads: DuckDB's threads; one per core by default.
        num_shards: files of every table that is split by subject.
        views_file: SQL with further views for the catalogue.
        held: versions that are read in place of the current ones, by table, whatever is published meanwhile.
    """

    def __init__(
        self,
        home: Path,
        *,
        memory_limit: str | None = None,
        threads: int | None = None,
        num_shards: int = 4,
        views_file: Path = ROOT / "sql" / "catalog.sql",
        held: Mapping[str, Manifest] | None = None,
    ) -> None:
        self.home = Path(home).expanduser().resolve()
        self.memory_limit = memory_limit or f"{max(2048, 256 * (os.cpu_count() or 1))}MB"
        self.threads = threads
        self.num_shards = num_shards
        self.views_file = views_file
        self.held = held or {}

    # ---- finding ----------------------------------------------------------------------------------------------

    def folder(self, table: str) -> Path | None:
        """The folder of a published table's versions."""
        found = list(self.home.glob(f"lake/*/{table}/{CURRENT}"))
        return _latest(found).parent if found else None

    def tables(self) -> dict[str, Manifest]:
        """The current manifest of every published table, by name."""
        found: dict[str, list[Path]] = {}
        for path in self.home.glob(f"lake/*/*/{CURRENT}"):
            found.setdefault(path.parent.name, []).append(path)
        folders = {name: _latest(paths).parent for name, paths in sorted(found.items())}
        return {name: manifest for name, folder in folders.items() if (manifest := read_manifest(folder)) is not None}

    def manifest(self, table: str) -> Manifest | None:
        """The manifest of a table that is held, else the current one; None when it is not published."""
        if table in self.held:
            return self.held[table]
        folder = self.folder(table)
        return read_manifest(folder) if folder else None

    def history(self, table: str) -> list[Manifest]:
        """The manifests that the current one replaced, in no order; their data may be gone."""
        paths = sorted((self._home_of(self._published(table)) / "history").glob("*.json"))
        return [parse_manifest(path.read_text(encoding="utf-8"), path) for path in paths]

    def history_path(self, manifest: Manifest) -> Path:
        """Where a manifest that was replaced is kept; written when it was."""
        return self._home_of(manifest) / "history" / f"{manifest.fingerprint}.json"

    def current(
        self, contract: type[Contract], *, code_version: str, inputs: Mapping[str, str], settings: Mapping[str, Any]
    ) -> Manifest | None:
        """The manifest if the table is already published from exactly this code, inputs, settings and contract.

        The data files must be there too. A catalogue that a killed run left behind is brought up to date.
        """
        manifest = self.manifest(contract.table)
        wanted = self.fingerprint(contract, code_version=code_version, inputs=inputs, settings=settings)
        if manifest is None or manifest.fingerprint != wanted or not all(p.is_file() for p in self._paths(manifest)):
            return None
        if not catalogue.shows(self.home, manifest):
            self.refresh_catalogue()
        return manifest

    def fingerprint(
        self, contract: type[Contract], *, code_version: str, inputs: Mapping[str, str], settings: Mapping[str, Any]
    ) -> str:
        """The fingerprint that `publish` gives a table made from these."""
        return fingerprint(
            code_version=code_version, inputs=inputs, settings=settings, contract_hash=self._contract_hash(contract)
        )

    # ---- reading ----------------------------------------------------------------------------------------------

    def files(self, table: str) -> list[Path]:
        """The data files of a table's current version, in order.

        Raises:
            TableMissing: it is not published.
        """
        return self._paths(self._published(table))

    def scan(self, table: str, *, shard: int | None = None) -> pl.LazyFrame:
        """A table's current version, with the contract's dtypes.

        Args:
            table: its name.
            shard: only the rows of the subjects of this shard; all rows of a table without subjects.

        Raises:
            TableMissing: it is not published.
        """
        manifest = self._published(table)
        rows = pl.scan_parquet(self._paths(manifest), glob=False) if shard is None else self._of_shard(manifest, shard)
        stored = rows.collect_schema()
        wanted = {name: restore_dtype(dtype) for name, dtype in manifest.columns}
        return rows.cast({name: dtype for name, dtype in wanted.items() if stored[name] != dtype})

    def shard_digests(self, table: str) -> list[str]:
        """A hash of the rows of each shard of a table's current version: of all its rows where it has no subjects.

        Raises:
            TableMissing: it is not published.
        """
        manifest = self._published(table)
        match self._layout(manifest):
            case "split":
                return [file.sha256 for file in manifest.files]
            case "parted":
                return digests_by_shard(tuple(self._paths(manifest)), self.num_shards)
            case _:
                return [manifest.version] * self.num_shards

    def _of_shard(self, manifest: Manifest, shard: int) -> pl.LazyFrame:
        paths = self._paths(manifest)
        match self._layout(manifest):
            case "split":
                return pl.scan_parquet(paths[shard], glob=False)
            case "parted":
                return rows_by_shard(tuple(paths), self.num_shards)[shard].lazy()
            case _:
                return pl.scan_parquet(paths, glob=False)

    def _layout(self, manifest: Manifest) -> Literal["split", "parted", "whole"]:
        """Whether a table is split by subject on disk, has subjects, or stands for itself.

        Raises:
            ValueError: it is split into another number of shards than this lake's.
        """
        if (num_files := len(manifest.files)) > 1:
            if num_files != self.num_shards:
                raise ValueError(
                    f"table '{manifest.table}' lies in {num_files} shards, and num_shards of the profile is "
                    f"{self.num_shards}; make it again: dagster asset materialize --select '*{manifest.table}'"
                )
            return "split"
        return "parted" if SHARD_COLUMN in dict(manifest.columns) else "whole"

    def rejected(self, table: str) -> pl.LazyFrame:
        """The rows that the current version's publish kept aside: `_rejected` (the rule), then the columns as text."""
        manifest = self._published(table)
        path = self._home_of(manifest) / "rejected" / f"{manifest.fingerprint}.parquet"
        if manifest.rejected:
            return pl.scan_parquet(path, glob=False)
        return pl.LazyFrame(schema=dict.fromkeys(["_rejected", *(name for name, _ in manifest.columns)], pl.String()))

    def connect(
        self,
        tables: Sequence[str] = (),
        variables: Mapping[str, Any] | None = None,
        *,
        shard: int | None = None,
        scratch: Path | None = None,
    ) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection with a view per table over its current version, and the macro `id_share(seed, id)`.

        Args:
            tables: names of lake tables.
            variables: values for `getvariable('name')`.
            shard: the views show the subjects of this shard alone; see `scan`.
            scratch: where it spills; a fresh name under `home/scratch` by default.

        Raises:
            TableMissing: one of the tables is not published.
        """
        manifests = [self._published(table) for table in tables]
        spill = scratch or self.home / "scratch" / "duckdb" / secrets.token_hex(8)
        spill.parent.mkdir(parents=True, exist_ok=True)  # DuckDB makes one level, and only when it needs it
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": self.memory_limit,
            "temp_directory": str(spill),
        }
        if self.threads is not None:
            settings["threads"] = self.threads
        connection = duckdb.connect(config=settings)
        connection.execute("set enable_progress_bar = false")  # it would draw into the log of a run
        connection.execute(id_share_macro())
        for manifest in manifests:
            if shard is not None:
                self._show_shard(connection, manifest, shard)
                continue
            view = catalogue.view_sql(self._home_of(manifest), manifest)
            connection.execute(f"create view {name_of(manifest.table)} as {view}")
        for name, value in (variables or {}).items():
            connection.execute(f"set variable {name_of(name)} = ?", [value])
        return connection

    def count(self, sql: str) -> int | None:
        """Rows that a query over current tables finds; None where a table that it reads is not published."""
        tables = sorted(table_names(sql))
        if any(self.manifest(table) is None for table in tables):
            return None
        with self.connect(tables) as connection:
            ((num_rows,),) = connection.execute(f"select count(*) from ({statement_of(sql)})").fetchall()
        return int(num_rows)

    def _show_shard(self, connection: duckdb.DuckDBPyConnection, manifest: Manifest, shard: int) -> None:
        """Create the view of a table's shard."""
        if self._layout(manifest) == "parted":
            rows = self._of_shard(manifest, shard).collect()
            connection.register(manifest.table, rows.to_arrow(compat_level=pl.CompatLevel.oldest()))
            return
        files = manifest.files if self._layout(manifest) == "whole" else [manifest.files[shard]]
        view = catalogue.view_sql(self._home_of(manifest), replace(manifest, files=list(files)))
        connection.execute(f"create view {name_of(manifest.table)} as {view}")

    @contextmanager
    def pin(self, table: str) -> Iterator[Manifest]:
        """Keep a table's current version from `gc` while the block runs; the pin dies with the process."""
        while True:
            manifest = self._published(table)
            pin = self._home_of(manifest) / ".pins" / f"{manifest.version}-{secrets.token_hex(8)}"
            with locked(pin):
                try:
                    # a gc may have looked before the pin was held: then the pin, or the version's turn, is over
                    if pin.exists() and self._published(table).version == manifest.version:
                        yield manifest
                        return
                finally:
                    pin.unlink(missing_ok=True)

    # ---- writing ----------------------------------------------------------------------------------------------

    def publish(
        self,
        contract: type[Contract],
        rows: pl.LazyFrame | pl.DataFrame | Query | ByShard,
        *,
        code_version: str,
        inputs: Mapping[str, str],
        settings: Mapping[str, Any],
        checks: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        max_rejected_share: float = 0.05,
        confirm: Callable[[], None] = lambda: None,
    ) -> Manifest:
        """Make rows the current version of the contract's table.

        Rows that break a row rule, cannot be cast, repeat a key, or carry a reason in a text column `_rejected`, are
        kept aside and counted. A reader sees the old version or the new one; a crash at any point leaves the old one,
        and the same call again gives the same bytes as if nothing had happened.

        Args:
            contract: says the table's name, layer, columns, key and order.
            rows: a frame with at least the contract's columns, or a query over lake tables; or one of these for each
                shard.
            code_version: the version of the code that makes the rows.
            inputs: version of every table and raw file they are made from.
            settings: plain JSON values that the code was given.
            checks: set rules by name: SQL that returns the rows that break the rule, over this table as it would be
                published, other published tables, and the settings as variables.
            extra: plain JSON values to keep in the manifest; not part of the fingerprint.
            max_rejected_share: more than this share rejected, and at least ten rows or all, is an error. Zero
                tolerates none.
            confirm: called once all is written, just before the commit; what it raises stops the publish.

        Raises:
            PublishError: a column is missing, too many rows are rejected, or a check finds rows; what was published
                before stays.
            TableMissing: a query or a check names a table that is not published.
        """
        start = time.perf_counter()
        provenance = Provenance(
            fingerprint=self.fingerprint(contract, code_version=code_version, inputs=inputs, settings=settings),
            contract_hash=self._contract_hash(contract),
            code_version=code_version,
            inputs=inputs,
            settings=settings,
            extra=extra or {},
        )
        canonical_json(dict(provenance.extra))
        make_private(self.home)
        manifest = publish(
            contract,
            rows,
            folder=self.home / "lake" / contract.layer / contract.table,
            num_shards=self.num_shards,
            connect=self.connect,
            provenance=provenance,
            checks=checks or {},
            max_rejected_share=max_rejected_share,
            confirm=confirm,
        )
        for path in self.home.glob(f"lake/*/{contract.table}/{CURRENT}"):
            if path.parent.parent.name != contract.layer:
                path.unlink()  # the table has moved to another layer
        self.record_timing(
            contract.table, Measurement(seconds=round(time.perf_counter() - start, 3), peak_mb=peak_mb())
        )
        self.refresh_catalogue()
        return manifest

    def record_timing(self, table: str, measurement: Measurement) -> None:
        """Write seconds and peak memory beside a table's manifest, outside every hash."""
        folder = self._home_of(self._published(table))
        now = measurement.created_time or datetime.now(tz=UTC).isoformat(timespec="seconds")
        timing = {
            "seconds": measurement.seconds,
            "cpu_seconds": measurement.cpu_seconds,
            "peak_mb": round(measurement.peak_mb, 1),
            "created_time": now,
        }
        with locked(folder / ".lock"):
            write_atomic(folder / TIMING, canonical_json(timing) + "\n")

    def timing(self, table: str) -> dict[str, Any]:
        """What `record_timing` wrote: seconds, cpu_seconds, peak_mb, created_time."""
        path = self._home_of(self._published(table)) / TIMING
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    def refresh_catalogue(self) -> None:
        """Bring `warehouse.duckdb` up to date with the current versions; quick when it is."""
        make_private(self.home)
        catalogue.refresh(
            self.home,
            lambda: {name: (self._home_of(manifest), manifest) for name, manifest in self.tables().items()},
            self.views_file,
        )

    # ---- folders ----------------------------------------------------------------------------------------------

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """A fresh, empty folder, deleted when the block ends; what dead processes left under the name goes too."""
        base = self.home / "scratch" / name
        base.mkdir(parents=True, exist_ok=True)
        for lock in base.glob("*.lock"):
            with locked_if_free(lock) as free:
                if free:
                    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                    lock.unlink(missing_ok=True)
        while True:
            folder = base / secrets.token_hex(8)
            lock = folder.with_suffix(".lock")
            with locked(lock):
                if not lock.exists():  # another process swept it away before it was held
                    continue
                folder.mkdir()
                try:
                    yield folder
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
                    lock.unlink()
                return

    def run_folder(self, asset: str, run_fingerprint: str) -> Path:
        """The folder of one training or evaluation run, made if need be."""
        folder = self.home / "runs" / asset / run_fingerprint
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _contract_hash(self, contract: type[Contract]) -> str:
        return contract_hash(contract, num_shards=self.num_shards)

    def _published(self, table: str) -> Manifest:
        manifest = self.manifest(table)
        if manifest is None:
            raise TableMissing(table)
        return manifest

    def _home_of(self, manifest: Manifest) -> Path:
        return self.home / "lake" / manifest.layer / manifest.table

    def _paths(self, manifest: Manifest) -> list[Path]:
        return [self._home_of(manifest) / manifest.version / file.path for file in manifest.files]


def _latest(paths: Sequence[Path]) -> Path:
    """The manifest written last: more than one are there while a table moves to another layer."""
    return paths[0] if len(paths) == 1 else max(paths, key=lambda path: path.stat().st_mtime_ns)
