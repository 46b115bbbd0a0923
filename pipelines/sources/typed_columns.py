"""Casts text columns to the dtypes of a contract and says, row by row, which value did not cast.

Does not belong here: ranges and patterns, which the contract's own rules check at publishing.
"""

from collections.abc import Mapping

import dataframely as dy
import polars as pl

from data_contracts import Contract
from pipelines.sources.refusals import REJECTED

DATETIME_FORMAT = "%Y-%m-%d %H:%M:%S%.f"
BLANKS = " \t"
VERBATIM = frozenset({"text"})
"""Columns whose blanks belong to them: notes and reports."""


def typed(
    frame: pl.LazyFrame,
    contract: type[Contract],
    *,
    casts: Mapping[str, pl.Expr] | None = None,
    failure: pl.Expr | None = None,
) -> pl.LazyFrame:
    """Cast every column of a contract from text.

    Empty text is null. Where a value does not cast, or a column that must be there is empty, `_rejected` names the
    first such column and the reason, for instance "charttime: not a timestamp".

    Args:
        frame: one string column per contract column (and whatever `casts` reads); of its `_rejected`, if it has one,
            every reason goes before all others.
        contract: the target.
        casts: expressions for columns that are not one text column cast; null is reported as a failed cast.
        failure: text expression, a reason to reject the row that goes before any cast.

    Returns:
        The contract's columns in order, then `_rejected`.
    """
    casts = casts or {}
    rejected = REJECTED in frame.collect_schema()
    columns = contract.columns()
    texts = {name: pl.col(name) for name in columns if name not in casts}
    cleaned = frame.with_columns(_clean(name).alias(name) for name in texts if isinstance(columns[name], dy.String))
    cast = cleaned.with_columns(
        casts[name].alias(_cast_name(name)) if name in casts else _cast(pl.col(name), column).alias(_cast_name(name))
        for name, column in columns.items()
    )
    return cast.select(
        *[pl.col(_cast_name(name)).alias(name) for name in columns],
        pl.coalesce(
            pl.col(REJECTED) if rejected else pl.lit(None, pl.String),
            pl.lit(None, pl.String) if failure is None else failure,
            *[_problem(name, column, has_text=name in texts) for name, column in columns.items()],
        ).alias(REJECTED),
    )


def _cast_name(name: str) -> str:
    return f"_typed_{name}"


def _clean(name: str) -> pl.Expr:
    text = pl.col(name) if name in VERBATIM else pl.col(name).str.strip_chars_end()
    return pl.when(text.str.len_bytes() > 0).then(text)


def _cast(text: pl.Expr, column: dy.Column) -> pl.Expr:
    match column:
        case dy.String():
            return text
        case dy.Datetime():
            return parse_time(text)
        case dy.Date():
            return parse_time(text.str.strip_chars(BLANKS)).dt.date()
        case dy.Float64() | dy.Float32():
            number = text.str.strip_chars(BLANKS).cast(column.dtype, strict=False)
            return pl.when(number.is_finite()).then(number)
        case dy.Int8() | dy.Int16() | dy.Int32() | dy.Int64():
            return text.str.strip_chars(BLANKS).cast(column.dtype, strict=False)
        case _:
            return text.cast(column.dtype, strict=False)


def parse_time(text: pl.Expr) -> pl.Expr:
    """Return the microsecond timestamp of ISO 8601 text without a zone; null for the rest.

    Date and time are apart by a blank or a T; what is left out of hours, minutes and seconds is zero.
    """
    whole = text
    for num_bytes, rest in ((10, " 00:00:00"), (13, ":00:00"), (16, ":00")):
        whole = pl.when(text.str.len_bytes() == num_bytes).then(text + pl.lit(rest)).otherwise(whole)
    apart = pl.when(whole.str.slice(10, 1) == "T").then(whole.str.replace("T", " ", literal=True)).otherwise(whole)
    return apart.str.to_datetime(DATETIME_FORMAT, time_unit="us", strict=False)


def _problem(name: str, column: dy.Column, *, has_text: bool) -> pl.Expr:
    is_null = pl.col(_cast_name(name)).is_null()
    if not has_text:
        return pl.when(is_null).then(pl.lit(f"{name}: {_expected(column)}")) if not column.nullable else pl.lit(None)
    empty = pl.col(name).is_null() | (pl.col(name).str.len_bytes() == 0)
    not_cast = pl.when(is_null & ~empty).then(pl.lit(f"{name}: {_expected(column)}"))
    return not_cast if column.nullable else pl.coalesce(pl.when(empty).then(pl.lit(f"{name}: empty")), not_cast)


def _expected(column: dy.Column) -> str:
    match column:
        case dy.Datetime():
            return "not a timestamp"
        case dy.Date():
            return "not a date"
        case dy.Float64() | dy.Float32():
            return "not a number"
        case dy.Enum():
            return f"not one of {', '.join(column.categories)}"
        case dy.String():
            return "not text"
        case _:
            return "not a whole number"
