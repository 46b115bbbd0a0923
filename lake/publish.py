"""Publishing: from rows to a committed version of a table, in steps that a crash cannot leave half done.

check and write, batch by batch, into sorted data files -> key -> name by content -> rename into place -> commit the
manifest. The rows are looked at once, as they come; `lake.parts` says how they get into their order. DuckDB settles
keys that repeat (it spills to disk). Nothing here knows who calls it or why.
"""

import filecmp
import hashlib
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import dataframely as dy
import duckdb
import polars as pl
import pyarrow as pa

from data_contracts.base import Contract
from lake.columns import contract_columns
from lake.files import canonical_json, fsync_path, link_or_copy, locked, sha256_file
from lake.fingerprints import NUM_HEX_DIGITS
from lake.manifest import DataFile, Manifest, Shard, commit_manifest, read_manifest
from lake.memory import keep_freed_memory
from lake.parts import Parts, num_parquet_rows, part_name
from lake.sql import name_of, parquet_of, quoted, statement_of, table_names, unordered

REASON = "_rejected"
DUPLICATE_ROW = "duplicate row"
CONFLICTING_KEY = "conflicting key"
FEW_ROWS = 10
PARQUET = "format parquet, compression zstd, compression_level 3, row_group_size 122880"
STAGED = "format parquet, compression lz4"
BATCH_ROWS = 131_072
BATCH_BYTES = 32_000_000  # notes are wide

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
        shard: the shard that the tables are restricted to; see `Lake.scan`.
    """

    sql: str
    tables: Sequence[str] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    shard: int | None = None

    @classmethod
    def read(cls, path: Path, tables: Sequence[str] = (), variables: Mapping[str, Any] | None = None) -> "Query":
        """The query in an SQL file."""
        return cls(path.read_text(encoding="utf-8"), tables, variables or {})


Rows = pl.LazyFrame | pl.DataFrame | Query


@dataclass(frozen=True)
class ByShard:
    """The rows of a table that is split by subject, made one data file at a time.

    Attributes:
        make: gives the rows of a shard, whose subjects all hash to it.
        keys: for every shard a hash of all that its rows are made from, code and settings included. A shard that was
            published from an equal key, without rejects, is linked and not made.
    """

    make: Callable[[int], Rows]
    keys: Sequence[str]


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
    rows: Rows | ByShard,
    *,
    folder: Path,
    num_shards: int,
    connect: Callable[..., duckdb.DuckDBPyConnection],
    provenance: Provenance,
    checks: Mapping[str, str],
    max_rejected_share: float,
    confirm: Callable[[], None],
) -> Manifest:
    """Validate, sort, write and commit; see `Lake.publish` for what it promises.

    Args:
        contract: the table's contract.
        rows: its rows.
        folder: where its versions lie.
        num_shards: files of a table that is split by subject.
        connect: opens DuckDB over tables of the lake.
        provenance: goes into the manifest.
        checks: SQL that returns failing rows, by name.
        max_rejected_share: more than this share of rejected rows, and at least ten, fail the publish.
        confirm: called just before the commit; what it raises stops it.
    """
    keep_freed_memory()
    staging = folder / ".staging"
    with locked(folder / ".lock"):
        shutil.rmtree(staging, ignore_errors=True)  # what a killed run left
        staging.mkdir(parents=True)
        former = _Former.read(folder, provenance.contract_hash)
        try:
            manifest = _publish(
                _Steps(contract, staging, connect, num_shards, former),
                rows,
                folder,
                provenance,
                checks,
                max_rejected_share,
                confirm,
            )
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return manifest


def _publish(
    steps: "_Steps",
    rows: Rows | ByShard,
    folder: Path,
    made: Provenance,
    checks: Mapping[str, str],
    max_rejected_share: float,
    confirm: Callable[[], None],
) -> Manifest:
    """The steps in their order, the last of which is the commit."""
    contract = steps.contract
    if isinstance(rows, ByShard):
        steps.write_by_shard(rows)
    else:
        steps.write(rows)
    steps.settle_keys()
    steps.keep_rejected(folder / "rejected" / f"{made.fingerprint}.parquet", max_rejected_share)
    files = steps.files()
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
        num_duplicate_rows=steps.num_duplicates,
        inputs=dict(made.inputs),
        settings=dict(made.settings),
        code_version=made.code_version,
        contract=contract.__name__,
        contract_hash=made.contract_hash,
        columns=contract_columns(contract),
        files=files,
        engines={"dataframely": dy.__version__, "duckdb": duckdb.__version__, "polars": pl.__version__},
        extra=dict(made.extra),
        shards=steps.shards,
    )
    confirm()
    commit_manifest(folder, manifest)
    return manifest


def content_hash(columns: list[list[Any]], files: Sequence[DataFile]) -> str:
    """The version of a table: 16 hex digits over its columns and the bytes of its files."""
    text = canonical_json([columns, [[file.path, file.sha256] for file in files]])
    return hashlib.sha256(text.encode()).hexdigest()[:NUM_HEX_DIGITS]


def _move_into_place(staged: Path, target: Path, files: Sequence[DataFile]) -> None:
    """Rename a complete, durable folder to its final name; one that lies there with the same bytes stays."""
    if target.exists():
        if all(_same_bytes(staged / file.path, target / file.path) for file in files):
            return
        target.rename(staged.parent / "damaged")
    for file in files:
        fsync_path(staged / file.path)
    fsync_path(staged)
    staged.rename(target)
    fsync_path(target.parent)


def _same_bytes(staged: Path, found: Path) -> bool:
    """Whether a file is there and holds what was staged; most often they are one file, see `_Former.share`."""
    return found.is_file() and (found.samefile(staged) or filecmp.cmp(staged, found, shallow=False))


class _Former:
    """The version that is current, as far as its files can be used again."""

    def __init__(self, folder: Path, manifest: Manifest | None) -> None:
        found = {} if manifest is None else {folder / manifest.version / file.path: file for file in manifest.files}
        self._files = {
            path: file for path, file in found.items() if path.is_file() and path.stat().st_size == file.num_bytes
        }
        self._shards = [] if manifest is None else manifest.shards

    @classmethod
    def read(cls, folder: Path, contract_hash: str) -> "_Former":
        """What a folder has that follows the same contract."""
        manifest = read_manifest(folder)
        return cls(folder, manifest if manifest and manifest.contract_hash == contract_hash else None)

    def made_from(self, key: str, name: str) -> tuple[Path, Shard] | None:
        """The data file of this name that was made from this key, if its bytes are still those that were published."""
        shards = {part_name(number): shard for number, shard in enumerate(self._shards)}
        at = next((path for path in self._files if path.name == name), None)
        if at is None or name not in shards or shards[name].key != key or sha256_file(at) != self._files[at].sha256:
            return None
        return at, shards[name]

    def share(self, path: Path, sha256: str) -> None:
        """Replace a new file by a link to one of the same bytes, so that they are stored once."""
        for former, file in self._files.items():
            if file.sha256 == sha256 and filecmp.cmp(former, path, shallow=False):
                path.unlink()
                link_or_copy(former, path)
                return


class _Steps:
    """The steps of one publish, each leaving files in the staging folder for the next."""

    def __init__(
        self,
        contract: type[Contract],
        staging: Path,
        connect: Callable[..., duckdb.DuckDBPyConnection],
        num_shards: int,
        former: _Former,
    ) -> None:
        self.contract = contract
        self.staging = staging
        self.connect = connect
        self.num_shards = num_shards
        self.former = former
        self.shards: list[Shard] = []
        self.num_reject_files = 0
        self.rejected: dict[str, int] = {}
        self.num_rows_in = 0
        self.num_rows = 0
        self.num_duplicates = 0
        self.keys_differ = False
        self.version = staging / "version"

    def write(self, rows: Rows) -> None:
        """Check the rows as they come, one batch after the other, and write the good ones into the data files."""
        parts = self._write(rows)
        self.keys_differ = parts.keys_grew or parts.keys_differ
        self.num_rows, self.num_duplicates = parts.num_rows, parts.num_duplicates

    def write_by_shard(self, rows: ByShard) -> None:
        """Link the files whose rows are made from what they were made from before, and make the others."""
        assert self.contract.sharded and len(rows.keys) == self.num_shards, self.contract.table
        self.version.mkdir()
        self.keys_differ = True
        for number, key in enumerate(rows.keys):
            found = self.former.made_from(key, part_name(number))
            if found is None:
                num_reject_files = self.num_reject_files
                parts = self._write(rows.make(number), only=number)
                self.keys_differ = self.keys_differ and parts.keys_differ
                is_clean = num_reject_files == self.num_reject_files
                shard = Shard(key=key if is_clean else "", num_rows=parts.num_rows, num_duplicates=parts.num_duplicates)
            else:
                path, shard = found
                link_or_copy(path, self.version / path.name)
                self.num_rows_in += shard.num_rows
            self.shards.append(shard)
        self.num_rows = sum(shard.num_rows for shard in self.shards)
        self.num_duplicates = sum(shard.num_duplicates for shard in self.shards)

    def _write(self, rows: Rows, only: int | None = None) -> Parts:
        parts = Parts(self.contract, self.version, self.staging / "parts", self.num_shards, only)
        table = self.contract.table
        try:
            with self._batches(rows) as batches:
                for batch in batches:
                    if missing := [name for name in self.contract.column_names() if name not in batch.columns]:
                        raise PublishError(f"table '{table}': missing columns {missing}; the rows have {batch.columns}")
                    if batch.height:
                        self.num_rows_in += batch.height
                        parts.add(self._good(batch))
        except (duckdb.Error, pl.exceptions.PolarsError, OSError) as error:
            raise PublishError(f"table '{table}': its rows cannot be made: {error}") from error
        parts.finish()
        return parts

    @contextmanager
    def _batches(self, rows: Rows) -> Iterator[Iterator[pl.DataFrame]]:
        """The rows in batches of a fair size; the first may be empty, so that its columns can be seen."""
        if isinstance(rows, Query):
            with self.connect(
                rows.tables, rows.variables, shard=rows.shard, scratch=self.staging / "duckdb"
            ) as connection:
                reader = connection.sql(statement_of(unordered(rows.sql))).to_arrow_reader(BATCH_ROWS)
                none = pa.Table.from_batches([], reader.schema)  # schema.empty_table() imports pandas
                empty = pl.DataFrame(pl.from_arrow(none))
                yield chain([empty], (pl.DataFrame(pl.from_arrow(batch)) for batch in reader))
        elif isinstance(rows, pl.DataFrame):
            yield chain([rows[:0]], rows.iter_slices(BATCH_ROWS))
        else:
            empty = pl.DataFrame(schema=rows.collect_schema())
            yield chain([empty], _of_fair_size(rows.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True)))

    def _good(self, batch: pl.DataFrame) -> pl.DataFrame:
        """The rows that pass the row rules, with the dtypes of the contract; the others are kept aside."""
        names = self.contract.column_names()
        if REASON in batch.columns:
            is_good = batch[REASON].is_null()
            if not is_good.all():
                self._reject("source", batch.filter(~is_good).select(pl.col(REASON).cast(pl.String), *names))
                batch = batch.filter(is_good)
        batch = batch.select(names)
        schema = pl.Schema(self.contract)
        good, failure = self.contract.filter(batch, cast=batch.schema != schema)
        if len(failure):
            broken = failure.details()
            rules = [name for name in broken.columns if name not in names]
            first = pl.coalesce(pl.when(pl.col(rule) == "invalid").then(pl.lit(rule)) for rule in rules)
            self._reject("rules", broken.select(first.alias(REASON), *names))
        # -0.0 becomes 0.0: the two sort as equal, so their order would be anybody's guess. (Adding 0.0 is not enough:
        # Polars 2.1 leaves a leading -0.0 as it is in some columns with nulls.)
        floats = [name for name, dtype in schema.items() if dtype.is_float()]
        zeros = [pl.when(pl.col(name) == 0).then(0.0).otherwise(name).alias(name) for name in floats]
        rows = good.with_columns(zeros)
        return rows if rows.schema == schema else rows.cast(schema)

    def _reject(self, kind: str, rows: pl.DataFrame) -> None:
        rows.write_parquet(self.staging / f"rejected-{kind}-{self.num_reject_files:06d}.parquet")
        self.num_reject_files += 1

    def settle_keys(self) -> None:
        """Reject repeats of a key: of exactly equal rows one stays, of conflicting ones none."""
        if not self.contract.key or self.keys_differ:
            return
        key = ", ".join(map(name_of, self.contract.key))
        with self._duckdb() as sql:
            rows = parquet_of(self._written())
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
            sql.execute(
                f"copy (select {columns} from {rows} r anti join repeated k on {same} "
                f"union all select {columns} from judged where _variants = 1) "
                f"to {quoted(self.staging / 'unique.parquet')} ({STAGED})"
            )
            sql.execute(
                f"copy (select if(_variants = 1, '{DUPLICATE_ROW}', '{CONFLICTING_KEY}') as {REASON}, {columns} "
                f"from judged, range(_copies - if(_variants = 1, 1, 0))) "
                f"to {quoted(self.staging / 'rejected-keys-0.parquet')} ({STAGED})"
            )
        shutil.rmtree(self.version)
        self.shards = []  # what a shard holds depends on the others now
        num_rows_in = self.num_rows_in
        self.write(pl.scan_parquet(self.staging / "unique.parquet", glob=False).cast(pl.Schema(self.contract)))
        self.num_rows_in = num_rows_in

    def keep_rejected(self, target: Path, max_share: float) -> None:
        """Write all rejects, as text, to one file; fail when they are too many."""
        kinds = [sorted(self.staging.glob(f"rejected-{kind}-*.parquet")) for kind in ("keys", "rules", "source")]
        sources = [paths for paths in kinds if paths]
        columns = ", ".join(
            f"cast({name_of(name)} as varchar) as {name_of(name)}" for name in self.contract.column_names()
        )
        union = " union all ".join(f"select {REASON}, {columns} from {parquet_of(paths)}" for paths in sources)
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
        num_rows = self.num_rows_in
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

    def files(self) -> list[DataFile]:
        """Describe the data files; those that are as before are stored once."""
        paths = self._written()
        files = [data_file(path) for path in paths]
        for path, file in zip(paths, files, strict=True):
            self.former.share(path, file.sha256)
        num_rows = sum(file.num_rows for file in files)
        assert num_rows == self.num_rows, f"{self.contract.table}: {num_rows} rows of {self.num_rows} written"
        return files

    def check(self, checks: Mapping[str, str], settings: Mapping[str, Any], target: Path) -> None:
        """Run the set rules on the table as it would be published; failing rows are kept aside."""
        table = self.contract.table
        for name, text in checks.items():
            needed = sorted(table_names(text) - {table})
            with self.connect(needed, settings, scratch=self.staging / "duckdb") as sql:
                sql.execute(f"create view {name_of(table)} as from {parquet_of(self._written())}")
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

    def _written(self) -> list[Path]:
        """The data files as they are now, in order."""
        return sorted(self.version.iterdir())

    def _duckdb(self) -> duckdb.DuckDBPyConnection:
        return self.connect((), {}, scratch=self.staging / "duckdb")


def data_file(path: Path) -> DataFile:
    """Describe a Parquet file."""
    return DataFile(
        path=path.name, num_rows=num_parquet_rows(path), num_bytes=path.stat().st_size, sha256=sha256_file(path)
    )


def _of_fair_size(batches: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows in batches that are not so small that the work around each is more than the work on its rows."""
    waiting: list[pl.DataFrame] = []
    num_bytes = 0
    for batch in batches:
        waiting.append(batch)
        num_bytes += int(batch.estimated_size())
        if sum(frame.height for frame in waiting) >= BATCH_ROWS // 2 or num_bytes > BATCH_BYTES:
            yield pl.concat(waiting)
            waiting, num_bytes = [], 0
    if waiting:
        yield pl.concat(waiting)
