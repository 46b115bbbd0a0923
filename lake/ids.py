"""Hashing of ids: one function in two languages, for shards, held-out shares and any other seeded choice.

The share of an id is the leading 52 bits of md5("seed:id") as a fraction of 2^52: a float64 holds that exactly, so
Python and SQL give the same number, and it never rounds up to 1.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

NUM_HEX_DIGITS = 13  # 52 bits
SCALE = float(16**NUM_HEX_DIGITS)
SHARD_SEED = "shard"


def id_share(seed: str | int, value: str | int) -> float:
    """The share of an id, in [0, 1): uniform over ids, the same on every machine."""
    digest = hashlib.md5(f"{seed}:{value}".encode(), usedforsecurity=False).hexdigest()
    return int(digest[:NUM_HEX_DIGITS], 16) / SCALE


def id_shares(seed: str | int, values: Iterable[str | int]) -> NDArray[np.float64]:
    """`id_share` of many ids: float64, one per id, in their order."""
    return np.fromiter((id_share(seed, value) for value in values), dtype=np.float64)


def id_share_sql(seed: str | int, column: str) -> str:
    """A DuckDB expression that equals `id_share(seed, column)`; `column` is SQL, an integer or text."""
    text = str(seed).replace("'", "''")
    return _share_of(f"'{text}:' || cast({column} as varchar)")


def id_share_macro() -> str:
    """The DuckDB statement that creates the macro `id_share(seed, id)`; `Lake.connect` runs it."""
    share = _share_of("cast(seed as varchar) || ':' || cast(id as varchar)")
    return f"create or replace macro id_share(seed, id) as {share}"


def shard_of(value: str | int, num_shards: int) -> int:
    """The shard, 0 to num_shards - 1, that an id's rows lie in."""
    return int(id_share(SHARD_SEED, value) * num_shards)


def _share_of(text_sql: str) -> str:
    return f"(cast('0x' || left(md5({text_sql}), {NUM_HEX_DIGITS}) as bigint) / cast({SCALE:.0f} as double))"
