"""The data files of a version: rows come in, in batches and in any order, and leave as sorted Parquet files.

A file's bytes follow from its rows alone: they stand in a total order, in row groups of a fixed size, written by one
thread. Where rows arrive in the order of their first column, whole row groups are written as they come and nothing is
sorted but what stands side by side; where they do not, they wait on disk, apart for each file, and are sorted in
memory. What does not belong here: which rows are good.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from data_contracts.base import SHARD_COLUMN, SHARD_NUMBER_COLUMN, Contract
from lake.files import link_or_copy
from lake.ids import shard_of
from lake.ordering import in_total_order, num_duplicates

GROUP_ROWS = 32_768
ENOUGH_ROWS = 40_000  # what a file holds in memory before whole row groups of it are written
MOST_HELD_BYTES = 640_000_000  # rows that wait for the rest of their row group
PUT_ASIDE_BYTES = 128_000_000  # rows that wait to be sorted, before they are put on disk
FEW_RUNS = 32  # more slices of a batch than this cost more than to bring together the rows of each file
SORTED_BYTES = 400_000_000  # what is sorted at once; more goes by ranges of the first column


class Parts:
    """Rows on their way into the data files of one version.

    Args:
        contract: its columns, order, and whether it is split, by subject or by the number of the file.
        folder: where the files go, `part-00000.parquet` and so on; made here.
        scratch: where rows wait; the caller deletes it.
        num_shards: files of a table that is split.
        only: the one file that all rows belong to, where they are made shard by shard.

    Raises:
        ValueError: from `add`, where a row belongs to another file than the only one.
    """

    def __init__(
        self, contract: type[Contract], folder: Path, scratch: Path, num_shards: int, only: int | None = None
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._lead = lead_columns(contract)
        self._is_split = contract.sharded
        self._has_subjects = SHARD_COLUMN in contract.column_names()
        self._split_by = SHARD_COLUMN if self._has_subjects else SHARD_NUMBER_COLUMN
        self._num_shards = num_shards if contract.sharded else 1
        self._shard_of: dict[Any, int] = {None: 0}
        self._last: dict[str, pl.Series] = {}
        self._is_ordered = bool(self._lead)
        self._growing = contract.key[0] if len(contract.key) == 1 else None
        stays_in_file = not contract.sharded or self._split_by in contract.key
        self._ties_are_repeats = stays_in_file and set(self._lead) == set(contract.key)
        self._num_bytes = 0
        self.num_rows = 0
        self._files = {
            shard: PartFile(folder / part_name(shard), scratch / f"{shard:05d}", contract)
            for shard in (range(self._num_shards) if only is None else [only])
        }

    @property
    def keys_grew(self) -> bool:
        """Whether each row came with a key, of one column, above that of the row before: then no two are equal."""
        return self._growing is not None

    @property
    def keys_differ(self) -> bool:
        """Whether rows of one key would stand side by side in one file, and none do; known once all is finished."""
        return self._ties_are_repeats and not any(file.has_ties for file in self._files.values())

    def add(self, batch: pl.DataFrame) -> None:
        """Take the next rows, with the columns and dtypes of the contract."""
        if not batch.height:
            return
        self.num_rows += batch.height
        self._num_bytes += int(batch.estimated_size())
        if self._is_ordered:
            self._is_ordered = self._with_last(batch, self._lead[0]).is_sorted(nulls_last=True)
        if self._growing:
            values = self._with_last(batch, self._growing, "key")
            self._growing = self._growing if (values[1:] > values[:-1]).all() else None
        for shard, rows in self._split(batch):
            if shard not in self._files:
                raise ValueError(f"{rows.height} rows of shard {shard} among those of shard {list(self._files)}")
            file = self._files[shard]
            file.held.append(rows)
            file.num_held += rows.height
            if self._is_ordered and file.num_held >= ENOUGH_ROWS:
                file.write_whole_groups()
        self._relieve()

    def finish(self) -> list[Path]:
        """Write what is left and close the files; all of them exist then, the empty ones too, which are one file."""
        empty = None
        for file in self._files.values():
            if file.is_empty and empty is not None:
                link_or_copy(empty, file.path)
                continue
            empty = file.path if file.is_empty else empty
            file.finish(self._row_bytes, is_ordered=self._is_ordered)
        return [file.path for file in self._files.values()]

    @property
    def num_duplicates(self) -> int:
        """Rows that equal another, one of them not counted, in a table without a key; known once all is finished."""
        return sum(file.num_duplicates for file in self._files.values())

    @property
    def _row_bytes(self) -> float:
        return self._num_bytes / max(self.num_rows, 1)

    def _with_last(self, batch: pl.DataFrame, name: str, use: str = "order") -> pl.Series:
        """A column with its last value of the batch before in front."""
        values = batch[name]
        values = pl.concat([self._last[use], values]) if use in self._last else values
        self._last[use] = values[-1:]
        return values

    def _split(self, batch: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
        """The rows of each file, in their order."""
        if not self._is_split:
            yield 0, batch
            return
        runs = batch[self._split_by].rle().struct.unnest()
        values = runs["value"].unique()
        shards = pl.Series([self._shard(value) for value in values], dtype=pl.Int16)
        of_run = runs["value"].replace_strict(values, shards).to_numpy()
        lengths = runs["len"].to_numpy()
        if (of_run == of_run[0]).all():
            of_run, lengths = of_run[:1], np.array([batch.height])
        elif len(of_run) > FEW_RUNS:
            of_row = np.repeat(of_run, lengths)
            batch = batch.rechunk()[np.argsort(of_row, kind="stable")]  # text in several chunks is slow to gather
            lengths = np.bincount(of_row, minlength=self._num_shards)
            of_run = np.arange(self._num_shards)
        stop = 0
        for shard, length in zip(of_run.tolist(), lengths.tolist(), strict=True):
            start, stop = stop, stop + length
            if length:
                yield shard, batch[start:stop]

    def _shard(self, value: Any) -> int:
        if value not in self._shard_of:
            self._shard_of[value] = shard_of(value, self._num_shards) if self._has_subjects else value
        return self._shard_of[value]

    def _relieve(self) -> None:
        """Put rows on disk where too many are in memory."""
        held_bytes = sum(file.num_held for file in self._files.values()) * self._row_bytes
        if self._is_ordered and held_bytes > MOST_HELD_BYTES:
            self._is_ordered = False
        if not self._is_ordered and held_bytes > PUT_ASIDE_BYTES:
            for file in self._files.values():
                file.put_aside()


def part_name(shard: int) -> str:
    """The name of a data file."""
    return f"part-{shard:05d}.parquet"


class PartFile:
    """One data file, and the rows that are not in it yet.

    Attributes:
        path: the file.
        held: rows in memory, as they came.
        num_held: their number.
        num_duplicates: rows written that equal another, one of them not counted; 0 in a table with a key.
        has_ties: whether rows written are equal in the columns that sort them.
    """

    def __init__(self, path: Path, scratch: Path, contract: type[Contract]) -> None:
        self.path = path
        self.held: list[pl.DataFrame] = []
        self.num_held = 0
        self._scratch = scratch
        self._contract = contract
        self._lead = lead_columns(contract)
        self._writer: pq.ParquetWriter | None = None
        self._tail: list[pl.DataFrame] = []  # in order, less than a row group
        self._aside: list[Path] = []
        self._num_written = 0
        self._num_aside = 0
        self._counts_duplicates = not contract.key
        self.num_duplicates = 0
        self.has_ties = False

    @property
    def is_empty(self) -> bool:
        """Whether no row has come yet."""
        return not (self.num_held or self._tail or self._num_written or self._aside)

    def write_whole_groups(self) -> None:
        """Write the row groups that no row to come can change; rows come in the order of their first column."""
        rows, tied = self._take()
        first = rows[self._lead[0]]
        final = int(first.ne_missing(first[-1]).sum())  # the last value may still get company
        self._append(rows[:final], tied[: max(final - 1, 0)])
        self._hold([rows[final:]])

    def put_aside(self) -> None:
        """Put the rows in memory on disk, to be sorted at the end; what is in the file already goes with them."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._aside.append(self.path.rename(self._scratch / "begun.parquet"))
        rows = [*self._tail, *self.held]
        if rows:
            self._aside.append(self._scratch / f"{len(self._aside):06d}.arrow")
            pl.concat(rows).write_ipc(self._aside[-1])
        self._num_aside += self._num_written + sum(frame.height for frame in rows)
        self._num_written, self._tail, self.num_duplicates = 0, [], 0
        self._hold([])

    def finish(self, row_bytes: float, *, is_ordered: bool) -> None:
        """Write every row, in order, and close the file; what it holds already counts where rows came in order."""
        if self._aside or (self._num_written and not is_ordered):
            self.put_aside()
            for rows in self._in_ranges(math.ceil(self._num_aside * row_bytes / SORTED_BYTES)):
                self._append(*in_total_order(rows, self._lead))
        else:
            self._append(*self._take())
        self._write_tail()
        assert self._writer is not None
        self._writer.close()
        for path in self._aside:
            path.unlink()

    def _hold(self, rows: list[pl.DataFrame]) -> None:
        self.held = rows
        self.num_held = sum(frame.height for frame in rows)

    def _take(self) -> tuple[pl.DataFrame, pl.Series]:
        """The rows in memory, in order; none are held then."""
        schema = pl.Schema(self._contract)
        rows = pl.concat(self.held, rechunk=True) if self.held else pl.DataFrame(schema=schema)
        self._hold([])
        return in_total_order(rows, self._lead)

    def _in_ranges(self, num_ranges: int) -> Iterator[pl.DataFrame]:
        """The rows on disk by ranges of their first column, one range after the other."""
        schema = pl.Schema(self._contract)
        scans = [
            (pl.scan_parquet if path.suffix == ".parquet" else pl.scan_ipc)(path, glob=False).cast(schema)
            for path in self._aside
        ]
        rows = pl.concat(scans)
        if num_ranges < 2 or not self._lead:
            yield rows.collect()
            return
        name = self._lead[0]
        values = rows.select(name).collect()[name].sort(nulls_last=True)
        cuts = values.gather_every(math.ceil(values.len() / num_ranges))[1:].drop_nulls().unique(maintain_order=True)
        for low, high in pairwise([None, *cuts, None]):
            above = pl.lit(value=True) if low is None else (pl.col(name) >= low) | pl.col(name).is_null()
            below = pl.lit(value=True) if high is None else pl.col(name) < high
            yield rows.filter(above & below).collect()

    def _append(self, rows: pl.DataFrame, tied: pl.Series) -> None:
        """Write whole row groups of rows in order, of which no equal ones come later, and keep what is left."""
        self.has_ties = self.has_ties or bool(tied.any())
        if self._counts_duplicates:
            self.num_duplicates += num_duplicates(rows, tied, self._lead)
        self._tail.append(rows)
        num_waiting = sum(frame.height for frame in self._tail)
        if num_waiting >= GROUP_ROWS:
            waiting = pl.concat(self._tail, rechunk=True)
            num_ready = num_waiting - num_waiting % GROUP_ROWS
            self._write(waiting[:num_ready])
            self._tail = [waiting[num_ready:]]

    def _write_tail(self) -> None:
        """Write the last row group; a file without rows has none."""
        self._write(pl.concat(self._tail))
        self._tail = []

    def _write(self, rows: pl.DataFrame) -> None:
        if self._writer is None:
            self._writer = _writer(self.path, self._contract)
        if rows.height:
            self._writer.write_table(_arrow(rows), row_group_size=GROUP_ROWS)
        self._num_written += rows.height


def lead_columns(contract: type[Contract]) -> list[str]:
    """The columns that a table is sorted by before all others: its order and key, else the first; plain values only."""
    names = list(dict.fromkeys([*contract.order, *contract.key])) or contract.column_names()[:1]
    schema = pl.Schema(contract)
    nested = next((at for at, name in enumerate(names) if schema[name].is_nested()), len(names))
    return names[:nested]


def _writer(path: Path, contract: type[Contract]) -> pq.ParquetWriter:
    """A Parquet file with pinned codec; only the column that sorts the rows first has statistics.

    Times and floats have no dictionary: they repeat too seldom to pay for one, and get smaller without.
    """
    schema = pl.Schema(contract)
    plain = [name for name, dtype in schema.items() if dtype.is_temporal() or dtype.is_float() or dtype.is_nested()]
    return pq.ParquetWriter(
        path,
        _arrow(pl.DataFrame(schema=schema)).schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name in schema if name not in plain],
        write_statistics=lead_columns(contract)[:1],
        store_schema=False,
    )


def _arrow(rows: pl.DataFrame) -> pa.Table:
    """Rows as Arrow, without a copy where all columns are plain; pyarrow writes no enum of string views."""
    is_plain = not any(dtype.is_nested() or isinstance(dtype, pl.Enum) for dtype in rows.schema.values())
    return rows.to_arrow(compat_level=pl.CompatLevel.newest() if is_plain else pl.CompatLevel.oldest())


def num_parquet_rows(path: Path) -> int:
    """The rows of a Parquet file, from its footer."""
    return int(pq.read_metadata(path).num_rows)
