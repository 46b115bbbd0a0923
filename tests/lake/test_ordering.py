"""Rows come out in one total order, however they came in, also where only some of them were out of place."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal, assert_series_equal

from lake import ordering
from lake.ordering import in_total_order

KEYS = st.one_of(st.none(), st.sampled_from([0.0, 1.0, float("nan")]))
ROWS = st.lists(st.tuples(st.integers(0, 2), KEYS, st.sampled_from(["", "a", None])), min_size=2, max_size=40)


@given(rows=ROWS, tail=st.integers(2, 6), presorted=st.integers(0, 40))
@settings(max_examples=150)
def test_the_order_is_that_of_one_sort_by_every_column(rows, tail, presorted):
    frame = pl.DataFrame(rows, schema={"key": pl.Int64, "number": pl.Float64, "text": pl.String}, orient="row")
    expected = frame.sort(frame.columns, nulls_last=True)
    begun = pl.concat([frame[:presorted].sort(frame.columns, nulls_last=True), frame[presorted:]])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ordering, "TAIL_ROWS", tail)
        patched.setattr(ordering, "BLOCK_ROWS", 8)
        found, tied = in_total_order(begun, ["key", "number"])
    assert_frame_equal(found, expected)
    same = [here[:2] == above[:2] for above, here in zip(_keys(expected), _keys(expected)[1:], strict=False)]
    assert_series_equal(tied, pl.Series(same, dtype=pl.Boolean), check_names=False)


def _keys(frame: pl.DataFrame) -> list[tuple[int, str]]:
    """Leading columns by their text, in which a NaN equals a NaN."""
    return [(key, str(number)) for key, number in frame.select("key", "number").iter_rows()]


@pytest.mark.parametrize("misplaced", [0, 2_500, 4_998])
def test_two_rows_out_of_place_anywhere_are_seen(misplaced: int):
    numbers = list(range(5_000))
    numbers[misplaced], numbers[misplaced + 1] = numbers[misplaced + 1], numbers[misplaced]
    found, tied = in_total_order(pl.DataFrame({"key": numbers, "other": numbers}), ["key"])
    assert found["key"].to_list() == found["other"].to_list() == list(range(5_000))
    assert not tied.any()
