"""The total order of a table's rows, in memory, at the cost of a comparison where they come in order already.

Nulls stand last, text goes by its bytes, an enum by its list, NaN after every number.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl

BLOCK_ROWS = 65_536
TAIL_ROWS = 1_024


def in_total_order(frame: pl.DataFrame, lead: Sequence[str]) -> tuple[pl.DataFrame, pl.Series]:
    """Sort rows by the leading columns, then by all others.

    Args:
        frame: any number of rows.
        lead: columns that compare with `>`; the others (lists, structs) need not. May be empty.

    Returns:
        The rows, and for every row but the first whether it equals the one above in the leading columns.
    """
    rest = [name for name in frame.columns if name not in lead]
    if frame.height < 2 or not lead:
        frame = frame.sort(rest, nulls_last=True) if frame.height > 1 else frame
        return frame, pl.repeat(value=True, n=max(frame.height - 1, 0), eager=True)
    ordered, tied = compare_neighbours(frame[-TAIL_ROWS:], lead)  # what came last shows best whether there is work
    if ordered.all() and frame.height > TAIL_ROWS:
        ordered, tied = compare_neighbours(frame, lead)
    if not ordered.all():
        frame = _sorted_by(frame, lead)
        tied = _ties(frame, lead)
    return (_settle_ties(frame, tied, rest) if rest and tied.any() else frame), tied


def compare_neighbours(frame: pl.DataFrame, columns: Sequence[str]) -> tuple[pl.Series, pl.Series]:
    """For every row but the first: whether it may follow the row above, and whether it equals it in these columns."""
    ordered, tied = pl.lit(value=True), pl.lit(value=True)
    for name in reversed(columns):
        above, here = pl.col(name).shift(1), pl.col(name)
        if frame[name].null_count():
            same = here.eq_missing(above)
            later = ((here > above) | (here.is_null() & above.is_not_null())).fill_null(value=False)
        else:
            same, later = here == above, here > above
        ordered, tied = later | (same & ordered), same & tied
    compared = frame.select(columns).select(ordered=ordered, tied=tied)
    return compared["ordered"][1:], compared["tied"][1:]


def _ties(frame: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """For every row but the first whether it equals the row above in these columns."""
    same = [pl.col(name).eq_missing(pl.col(name).shift(1)) for name in columns]
    return frame.select(tied=pl.all_horizontal(same))["tied"][1:]


def num_duplicates(frame: pl.DataFrame, tied: pl.Series, lead: Sequence[str]) -> int:
    """Rows of a frame in total order that equal the row above in every column, as they do in the leading ones."""
    at = tied.arg_true()
    if not at.len():
        return 0
    rest = frame.select(name for name in frame.columns if name not in lead)
    here, above = rest[at + 1], rest[at]
    same = [here[name].eq_missing(above[name]) for name in rest.columns]
    return int(pl.select(pl.all_horizontal(*same)).to_series().sum()) if same else at.len()


def _sorted_by(frame: pl.DataFrame, lead: Sequence[str]) -> pl.DataFrame:
    """Sort by the leading columns; many rows first by one of them, then in blocks that stay in the cache."""
    if frame.height <= BLOCK_ROWS or len(lead) < 2:
        return frame.sort(lead, nulls_last=True)
    frame = frame.sort(lead[0], nulls_last=True)
    first = frame[lead[0]]
    begins = np.append(first.ne_missing(first.shift(1)).arg_true().to_numpy(), frame.height)
    cuts = begins[np.searchsorted(begins, np.arange(0, frame.height, BLOCK_ROWS))]
    blocks = pairwise(np.unique([0, *cuts, frame.height]).tolist())
    return pl.concat([frame[start:stop].sort(lead, nulls_last=True) for start, stop in blocks])


def _settle_ties(frame: pl.DataFrame, tied: pl.Series, rest: Sequence[str]) -> pl.DataFrame:
    """Sort runs of rows that are equal in the leading columns by the others."""
    follows = pl.concat([pl.Series([False]), tied])
    in_run = follows | follows.shift(-1, fill_value=False)
    at = in_run.arg_true()
    runs = frame[at].select(rest).with_columns((~follows).cum_sum().gather(at).alias("_run"))
    by = runs.with_row_index("_at").sort(["_run", *rest], nulls_last=True)["_at"]
    if by.is_sorted():
        return frame
    places = pl.int_range(frame.height, dtype=pl.get_index_type(), eager=True)
    places = places.scatter(at, at.gather(by))
    return frame.with_columns(
        frame.select(rest)[places]
    )  # the leading columns are the same wherever rows change places
