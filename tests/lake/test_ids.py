"""The hash of ids is one function in Python and SQL."""

import hashlib
from collections.abc import Iterator

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.ids import id_share, id_share_macro, id_share_sql, id_shares, shard_of

SEEDS = st.one_of(st.integers(-5, 10**6), st.text(max_size=5).filter(lambda text: "\x00" not in text))


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as opened:
        opened.execute(id_share_macro())
        yield opened


@given(SEEDS, st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(max_size=8).filter(lambda text: "\x00" not in text)))
def test_python_and_sql_give_the_same_number(connection, seed, value):
    share = id_share(seed, value)
    sql_type = "bigint" if isinstance(value, int) else "varchar"
    sql = f"select {id_share_sql(seed, 'v')}, id_share($seed, v) from (select $value::{sql_type} v)"
    found = connection.execute(sql, {"seed": seed, "value": value}).fetchall()
    assert found == [(share, share)]
    assert 0 <= share < 1


def test_the_share_is_the_leading_bits_of_md5():
    expected = int(hashlib.md5(b"seed:17").hexdigest()[:13], 16) / 2**52
    assert id_share("seed", 17) == expected
    assert np.array_equal(id_shares("seed", [17, "17"]), [expected, expected])


def test_shares_are_spread_evenly_and_differ_between_seeds():
    shares = id_shares(0, range(10_000))
    counts = np.bincount((shares * 10).astype(int), minlength=10)
    assert counts.min() > 900 and counts.max() < 1100
    assert abs(np.corrcoef(shares, id_shares(1, range(10_000)))[0, 1]) < 0.05


def test_every_shard_is_used():
    assert {shard_of(value, 8) for value in range(200)} == set(range(8))
