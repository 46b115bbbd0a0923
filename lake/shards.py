"""Tables by shard: the rows of the subjects that hash to one shard, and a digest of them.

Shard i of a table that is split by subject is its data file i. A small table is not split; its rows are parted here, in
memory, once for each version.
"""

import functools
import hashlib
import io
from pathlib import Path

import polars as pl

from data_contracts.base import SHARD_COLUMN
from lake.ids import shard_of


@functools.lru_cache(maxsize=16)
def rows_by_shard(paths: tuple[Path, ...], num_shards: int) -> list[pl.DataFrame]:
    """The rows of data files by the shard of their subject, in the order of the files; versions never change."""
    rows = pl.read_parquet(list(paths), glob=False)
    values = rows[SHARD_COLUMN].unique()
    shards = pl.Series([0 if value is None else shard_of(value, num_shards) for value in values], dtype=pl.Int32)
    marked = rows.with_columns(rows[SHARD_COLUMN].replace_strict(values, shards, return_dtype=pl.Int32).alias("_shard"))
    found = marked.partition_by("_shard", include_key=False, as_dict=True, maintain_order=True)
    return [found.get((shard,), rows.clear()) for shard in range(num_shards)]


@functools.lru_cache(maxsize=64)
def digests_by_shard(paths: tuple[Path, ...], num_shards: int) -> list[str]:
    """A digest of the rows of each shard."""
    return [_digest(rows) for rows in rows_by_shard(paths, num_shards)]


def _digest(rows: pl.DataFrame) -> str:
    buffer = io.BytesIO()
    rows.rechunk().write_ipc(buffer, compat_level=pl.CompatLevel.oldest())
    return hashlib.sha256(buffer.getbuffer()).hexdigest()
