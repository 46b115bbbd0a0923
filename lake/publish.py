"""Publishing: from rows to a committed version of a table, in steps that a crash cannot leave half done.

stage -> validate -> key -> sort into data files -> name by content -> rename into place -> commit the manifest. Polars
validates (its streaming engine holds 0.4 GB at 20 million rows), DuckDB sorts (it spills to disk, and its output does
not depend on the number of threads when the order is total). Nothing here knows who calls it or why.
"""

import hashlib
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dataframely as dy
import duckdb
import polars as pl

from data_contracts.base import Contract
from lake.columns import contract_columns
from lake.files import canonical_json, fsync_path, locked, sha256_file
from lake.fingerprints import NUM_HEX_DIGITS
from lake.ids import shard_sql
from lake.manifest import DataFile, Manifest, commit_manifest
from lake.sql import name_of, quoted, statement_of, table_names

REASON = "_rejected"
DUPLICATE_ROW = "duplicate row"
CONFLICTING_KEY = "conflicting key"
FEW_ROWS = 10
PARQUET = "format parquet, compression zstd, compression_level 3, row_group_size 122880"
STAGED = "format parquet, compression lz4"

logger = logging.getLogger(__name__)


class PublishError(ValueError):
    """The rows cannot be published; what was published before stays."""


@dataclass(frozen=True)
class Query:
    """One SELECT over tables of the lake, run by DuckDB.

    Attributes:
        sql: the statement.
        tables: the lake tables it names.
        variables: what `getvariable('name')` gives in it.
    """

    sql: str
    tables: Sequence[str] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, tables: Sequence[str] = (), variables: Mapping[str, Any] | None = None) -> "Query":
        """The query in an SQL file."""
        return cls(path.read_text(encoding="utf-8"), tables, variables or {})


@dataclass(frozen=True)
class Provenance:
    """What a version is made from; see `Manifest`."""

    fingerprint: str
    contract_hash: str
    code_version: str
    inputs: Mapping[str, str]
    settings: Mapping[str, Any]
    extra: Mapping[str, Any]


def publish(
    contract: type[Contract],
    rows: pl.LazyFrame | pl.DataFrame | Query,
    *,
    folder: Path,
    connect: Callable[..., duckdb.DuckDBPyConnection],
    provenance: Provenance,
    checks: Mapping[str, str],
    max_rejected_share: float,
) -> Manifest:
    """Validate, sort, write and commit; see `Lake.publish` for what it promises.

    Args:
        contract: the table's contract.
        rows: its rows.
        folder: where its versions lie.
        connect: opens DuckDB over tables of the lake.
        provenance: goes into the manifest.
        checks: SQL that returns failing rows, by name.
        max_rejected_share: more than this share of rejected rows, and at least ten, fail the publish.
    """
    staging = folder / ".staging"
    with locked(folder / ".lock"):
        shutil.rmtree(staging, ignore_errors=True)  # what a killed run left
        staging.mkdir(parents=True)
        try:
            manifest = _publish(
                _Steps(contract, staging, connect), rows, folder, provenance, checks, max_rejected_share
            )
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return manifest


def _publish(
    steps: "_Steps",
    rows: pl.LazyFrame | pl.DataFrame | Query,
    folder: Path,
    made: Provenance,
    checks: Mapping[str, str],
    max_rejected_share: float,
) -> Manifest:
    """The steps in their order, the last of which is the commit."""
    contract = steps.contract
    steps.stage(rows)
    steps.validate()
    steps.settle_keys()
    steps.keep_rejected(folder / "rejected" / f"{made.fingerprint}.parquet", max_rejected_share)
    files = steps.write()
    steps.check(checks, made.settings, folder / "rejected" / made.fingerprint)
    version = content_hash(contract_columns(contract), files)
    _move_into_place(steps.staging / "version", folder / version, files)
    manifest = Manifest(
        table=contract.table,
        description=(contract.__doc__ or "").strip().partition("\n")[0],
        layer=contract.layer,
        version=version,
        fingerprint=made.fingerprint,
        rows=sum(file.num_rows for file in files),
        rejected=steps.rejected,
        num_duplicate_rows=steps.count_duplicates(folder / version, files),
        inputs=dict(made.inputs),
        settings=dict(made.settings),
        code_version=made.code_version,
        contract=contract.__name__,
        contract_hash=made.contract_hash,
        columns=contract_columns(contract),
        files=files,
        engines={"dataframely": dy.__version__, "duckdb": duckdb.__version__, "polars": pl.__version__},
        extra=dict(made.extra),
    )
    commit_manifest(folder, manifest)
    return manifest


def content_hash(columns: list[list[Any]], files: Sequence[DataFile]) -> str:
    """The version of a table: 16 hex digits over its columns and the bytes of its files."""
    text = canonical_json([columns, [[file.path, file.sha256] for file in files]])
    return hashlib.sha256(text.encode()).hexdigest()[:NUM_HEX_DIGITS]


def _move_into_place(staged: Path, target: Path, files: Sequence[DataFile]) -> None:
    """Rename a complete, durable folder to its final name; one that lies there with the same bytes stays."""
    if target.exists():
        if all(
            (target / file.path).is_file() and (target / file.path).stat().st_size == file.num_bytes for file in files
        ):
            return
        target.rename(staged.parent / "damaged")
    for file in files:
        fsync_path(staged / file.path)
    fsync_path(staged)
    staged.rename(target)
    fsync_path(target.parent)


class _Steps:
    """The steps of one publish, each leaving files in the staging folder for the next."""

    def __init__(
        self, contract: type[Contract], staging: Path, connect: Callable[..., duckdb.DuckDBPyConnection]
    ) -> None:
        self.contract = contract
        self.staging = staging
        self.connect = connect
        self.rejected: dict[str, int] = {}
        self.raw = staging / "raw.parquet"
        self.good = staging / "good.parquet"

    def stage(self, rows: pl.LazyFrame | pl.DataFrame | Query) -> None:
        """Write the rows as they come, so that a source is read once however often its rows are looked at."""
        try:
            if isinstance(rows, Query):
                with self.connect(rows.tables, rows.variables, scratch=self.staging / "duckdb") as connection:
                    connection.execute(f"copy ({statement_of(rows.sql)}) to {quoted(self.raw)} ({STAGED})")
            else:
                rows.lazy().sink_parquet(self.raw, compression="lz4")
        except (duckdb.Error, pl.exceptions.PolarsError, OSError) as error:
            raise PublishError(f"table '{self.contract.table}': its rows cannot be made: {error}") from error
        columns = pl.scan_parquet(self.raw).collect_schema().names()
        if missing := [name for name in self.contract.column_names() if name not in columns]:
            raise PublishError(f"table '{self.contract.table}': missing columns {missing}; the rows have {columns}")

    def validate(self) -> None:
        """Split the rows by the contract's row rules into `good.parquet` (contract dtypes) and rejects."""
        rows = pl.scan_parquet(self.raw)
        names = self.contract.column_names()
        if REASON in rows.collect_schema():
            flagged = rows.filter(pl.col(REASON).is_not_null()).select(pl.col(REASON).cast(pl.String), *names)
            flagged.sink_parquet(self.staging / "rejected-source.parquet")
            rows = rows.filter(pl.col(REASON).is_null())
        result, failure = self.contract.filter(rows, cast=True)
        floats = [name for name, dtype in result.collect_schema().items() if dtype.is_float()]
        # -0.0 becomes 0.0: the two sort as equal, so their order would be anybody's guess. (Adding 0.0 is not enough:
        # Polars 2.1 leaves a leading -0.0 as it is in some columns with nulls.)
        zeros = [pl.when(pl.col(name) == 0).then(0.0).otherwise(pl.col(name)).alias(name) for name in floats]
        result.with_columns(zeros).cast(result.collect_schema()).sink_parquet(self.good, compression="lz4")
        evaluated = self.staging / "rules.parquet"
        failure.sink_parquet(evaluated)
        broken = pl.scan_parquet(evaluated)
        rules = [name for name in broken.collect_schema() if name not in names]
        if rules:
            first = pl.coalesce(pl.when(~pl.col(rule)).then(pl.lit(rule)) for rule in rules)
            broken.select(first.alias(REASON), *names).sink_parquet(self.staging / "rejected-rules.parquet")

    def settle_keys(self) -> None:
        """Reject repeats of a key: of exactly equal rows one stays, of conflicting ones none."""
        if not self.contract.key:
            return
        key = ", ".join(map(name_of, self.contract.key))
        with self._duckdb() as sql:
            rows = f"read_parquet({quoted(self.good)})"
            sql.execute(f"create temp table repeated as select {key} from {rows} group by {key} having count(*) > 1")
            if not sql.sql("from repeated limit 1").fetchall():
                return
            same = " and ".join(f"r.{name} is not distinct from k.{name}" for name in map(name_of, self.contract.key))
            sql.execute(f"create temp view suspects as select r.* from {rows} r semi join repeated k on {same}")
            columns = ", ".join(map(name_of, self.contract.column_names()))
            sql.execute(
                f"create temp table judged as select {columns}, count(*) as _copies, "
                f"count(*) over (partition by {key}) as _variants from suspects group by {columns}"
            )
            kept = self.staging / "unique.parquet"
            sql.execute(
                f"copy (select {columns} from {rows} r anti join repeated k on {same} "
                f"union all select {columns} from judged where _variants = 1) to {quoted(kept)} ({STAGED})"
            )
            sql.execute(
                f"copy (select if(_variants = 1, '{DUPLICATE_ROW}', '{CONFLICTING_KEY}') as {REASON}, {columns} "
                f"from judged, range(_copies - if(_variants = 1, 1, 0))) "
                f"to {quoted(self.staging / 'rejected-keys.parquet')} ({STAGED})"
            )
        self.good = kept

    def keep_rejected(self, target: Path, max_share: float) -> None:
        """Write all rejects, as text, to one file; fail when they are too many."""
        sources = sorted(self.staging.glob("rejected-*.parquet"))
        columns = ", ".join(
            f"cast({name_of(name)} as varchar) as {name_of(name)}" for name in self.contract.column_names()
        )
        union = " union all ".join(f"select {REASON}, {columns} from read_parquet({quoted(path)})" for path in sources)
        num_rejected = 0
        if sources:
            staged = self.staging / "all-rejected.parquet"
            with self._duckdb() as sql:
                counts = f"select {REASON}, count(*) from ({union}) group by 1 order by 1"
                self.rejected = dict(sql.sql(counts).fetchall())
                num_rejected = sum(self.rejected.values())
                if num_rejected:
                    sql.execute(f"copy (select * from ({union}) order by all) to {quoted(staged)} ({PARQUET})")
            if num_rejected:
                target.parent.mkdir(exist_ok=True)
                fsync_path(staged)
                staged.rename(target)
        num_rows = num_parquet_rows(self.raw)
        too_many = num_rejected > max_share * num_rows and (
            num_rejected >= FEW_ROWS or num_rejected == num_rows or not max_share
        )
        if num_rejected:
            told = (
                f"table '{self.contract.table}': {num_rejected} of {num_rows} rows rejected {self.rejected}: {target}"
            )
            if too_many:
                raise PublishError(f"{told}; nothing was published (at most a share of {max_share} may be rejected)")
            logger.warning(told)

    def write(self) -> list[DataFile]:
        """Sort the good rows into the version's data files."""
        target = self.staging / "version"
        target.mkdir()
        contract = self.contract
        lead = contract.order or contract.key
        order = ", ".join(map(name_of, dict.fromkeys([*lead, *contract.column_names()])))
        columns = ", ".join(map(name_of, contract.column_names()))
        num_rows = 0
        with self._duckdb() as sql:
            for shard, source in enumerate(self._shards(sql)):
                path = target / f"part-{shard:05d}.parquet"
                sql.execute(f"copy (select {columns} from {source} order by {order}) to {quoted(path)} ({PARQUET})")
                num_rows += num_parquet_rows(path)
        assert num_rows == num_parquet_rows(self.good), f"{contract.table}: {num_rows} rows written"
        return [data_file(path) for path in sorted(target.iterdir())]

    def _shards(self, sql: duckdb.DuckDBPyConnection) -> list[str]:
        """The rows of every shard as SQL; many shards are first parted on disk, so each sort fits in memory."""
        rows = f"read_parquet({quoted(self.good)})"
        num_shards = self.contract.num_shards
        if num_shards == 1:
            return [rows]
        parted, column = self.staging / "shards", name_of(self.contract.shard_by)
        sql.execute(
            f"copy (with shards as ("
            f"select distinct {column} as _id, {shard_sql(column, num_shards)} as _shard from {rows}) "
            f"select r.*, s._shard from {rows} r join shards s on r.{column} is not distinct from s._id) "
            f"to {quoted(parted)} ({STAGED}, partition_by (_shard))"
        )
        return [
            f"read_parquet({quoted(parted / f'_shard={shard}' / '*.parquet')}, hive_partitioning = false)"
            if (parted / f"_shard={shard}").exists()
            else f"(select * from {rows} limit 0)"
            for shard in range(num_shards)
        ]

    def check(self, checks: Mapping[str, str], settings: Mapping[str, Any], target: Path) -> None:
        """Run the set rules on the table as it would be published; failing rows are kept aside."""
        table = self.contract.table
        for name, text in checks.items():
            needed = sorted(table_names(text) - {table})
            with self.connect(needed, settings, scratch=self.staging / "duckdb") as sql:
                files = quoted(self.staging / "version" / "*.parquet")
                sql.execute(f"create view {name_of(table)} as from read_parquet({files})")
                sql.execute(f"create temp table failing as {statement_of(text)}")
                ((num_failing,),) = sql.sql("select count(*) from failing").fetchall()
                if num_failing:
                    path = target.with_name(f"{target.name}-{name}.parquet")
                    path.parent.mkdir(exist_ok=True)
                    sql.execute(f"copy (from failing order by all) to {quoted(path)} ({PARQUET})")
                    raise PublishError(
                        f"table '{table}': check '{name}' found {num_failing} failing rows, kept in {path}; "
                        "nothing was published"
                    )

    def count_duplicates(self, version: Path, files: Sequence[DataFile]) -> int:
        """Surplus rows among exactly equal ones; they stand side by side after the sort. Zero where there is a key."""
        if self.contract.key:
            return 0
        same_as_above = pl.all_horizontal(pl.all().eq_missing(pl.all().shift(1))).fill_null(value=False)
        rows = (pl.scan_parquet(version / file.path).select(same_as_above.sum().alias("n")) for file in files)
        return sum(int(frame.item()) for frame in pl.collect_all(list(rows), engine="streaming"))

    def _duckdb(self) -> duckdb.DuckDBPyConnection:
        return self.connect((), {}, scratch=self.staging / "duckdb")


def data_file(path: Path) -> DataFile:
    """Describe a Parquet file."""
    return DataFile(
        path=path.name, num_rows=num_parquet_rows(path), num_bytes=path.stat().st_size, sha256=sha256_file(path)
    )


def num_parquet_rows(path: Path) -> int:
    """The rows of a Parquet file, from its footer."""
    return int(pl.scan_parquet(path).select(pl.len()).collect().item())
