"""The columns of a contract as plain data: names and dtypes that JSON can hold and Polars can have back.

Parquet written by DuckDB forgets some of what a contract says (an enum comes back as text, a duration as an integer),
so a manifest keeps the dtypes and a scan restores them.
"""

from typing import Any

import polars as pl

from data_contracts.base import Contract

Dtype = str | dict[str, Any]

_SIMPLE: dict[str, pl.DataType] = {
    str(dtype): dtype
    for dtype in (
        *(pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64()),
        *(pl.Float32(), pl.Float64(), pl.Boolean(), pl.String(), pl.Binary(), pl.Date(), pl.Time()),
    )
}


def describe_dtype(dtype: pl.DataType) -> Dtype:
    """A Polars dtype as plain data: its name, or a one-entry map from its name to its parameters.

    Raises:
        ValueError: the dtype has no place in a published table.
    """
    if str(dtype) in _SIMPLE:
        return str(dtype)
    match dtype:
        case pl.Datetime():
            return {"Datetime": [dtype.time_unit, dtype.time_zone]}
        case pl.Duration():
            return {"Duration": dtype.time_unit}
        case pl.Enum():
            return {"Enum": dtype.categories.to_list()}
        case pl.Decimal():
            return {"Decimal": [dtype.precision, dtype.scale]}
        case pl.List():
            return {"List": describe_dtype(_instance(dtype.inner))}
        case pl.Array():
            return {"Array": [describe_dtype(_instance(dtype.inner)), dtype.size]}
        case pl.Struct():
            return {"Struct": [[field.name, describe_dtype(_instance(field.dtype))] for field in dtype.fields]}
        case _:
            raise ValueError(
                f"a published table cannot hold the dtype {dtype}; use text, numbers, times, enums or lists"
            )


def restore_dtype(description: Dtype) -> pl.DataType:
    """The inverse of `describe_dtype`."""
    if isinstance(description, str):
        return _SIMPLE[description]
    ((name, parameters),) = description.items()
    match name:
        case "Datetime":
            return pl.Datetime(*parameters)
        case "Duration":
            return pl.Duration(parameters)
        case "Enum":
            return pl.Enum(parameters)
        case "Decimal":
            return pl.Decimal(*parameters)
        case "List":
            return pl.List(restore_dtype(parameters))
        case "Array":
            return pl.Array(restore_dtype(parameters[0]), parameters[1])
        case "Struct":
            return pl.Struct({field: restore_dtype(inner) for field, inner in parameters})
        case _:
            raise ValueError(f"unknown dtype {name!r} in a manifest: it was written by another version of this project")


def contract_columns(contract: type[Contract]) -> list[list[Any]]:
    """`[name, dtype description]` of every column, in the contract's order."""
    return [[name, describe_dtype(_instance(column.dtype))] for name, column in contract.columns().items()]


def _instance(dtype: Any) -> pl.DataType:
    """Polars accepts `pl.Int32` and `pl.Int32()` alike; here always the second."""
    return dtype() if isinstance(dtype, type) else dtype
