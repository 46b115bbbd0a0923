"""Parses one block of CSV records: into text, or straight into the dtypes of a contract.

Casting inside Arrow's parser costs a fifth of casting text afterwards, but stops at the first value that does not
cast. So a block is parsed straight; where that fails, or gives what only the careful way can judge, that block alone is
parsed as text and cast by `typed_columns`, which says what is wrong with which row. Both ways give equal tables.

Does not belong here: which block is next (`csv_records`) and which columns a table has (`csv_files`).
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from data_contracts import Contract
from pipelines.sources.csv_records import MAX_RECORD_BYTES, PIECE_BYTES, Block, line_at
from pipelines.sources.refusals import REJECTED, SourceError
from pipelines.sources.typed_columns import VERBATIM, typed

_ARROW: Mapping[type[pl.DataType], pa.DataType] = {
    pl.Int64: pa.int64(),
    pl.Int32: pa.int32(),
    pl.Int16: pa.int16(),
    pl.Int8: pa.int8(),
    pl.Float64: pa.float64(),
    pl.Float32: pa.float32(),
    pl.Datetime: pa.timestamp("us"),
    pl.Date: pa.date32(),
    pl.String: pa.string(),
}
SHORT = "row: fewer fields than the header"
"""Why a row is rejected of which nobody can tell what it lacks."""
_FIELD_BEGINS = (b"", b",", b"\n", b'"')

csv.field_size_limit(MAX_RECORD_BYTES)


@dataclass(frozen=True, kw_only=True)
class BlockParser:
    """Parses the blocks of one file.

    Attributes:
        path: the file, for messages.
        header: its column names.
        positions: position in the header of every wanted column, by our name.
        contract: what the columns are cast to; None leaves them text.
    """

    path: Path
    header: Sequence[str]
    positions: Mapping[str, int]
    contract: type[Contract] | None = None

    def schema(self) -> dict[str, pl.DataType]:
        """Return the columns of a parsed frame."""
        if self.contract is None:
            return dict.fromkeys([*self.positions, REJECTED], pl.String())
        dtypes = {name: column.dtype for name, column in self.contract.columns().items()}
        return {**dtypes, REJECTED: pl.String()}

    def prepare(self, block: Block, wanted: Sequence[str]) -> pa.Table | None:
        """Return a block straight as the contract's dtypes, or None where it must be read carefully; any thread.

        Args:
            block: whole records.
            wanted: columns of `schema()` that are needed.
        """
        if self.contract is None:
            text = [name for name in wanted if name != REJECTED] or list(self.positions)
            return self._arrow(block, dict.fromkeys(text, pa.string()))
        columns = self.contract.columns()
        names = list(columns) if REJECTED in wanted else wanted
        types = {name: _ARROW.get(type(columns[name].dtype)) for name in names}
        if None in types.values() or _may_hold_hex(block):
            return None
        return self._arrow(block, types)

    def finish(self, block: Block, table: pa.Table | None, wanted: Sequence[str]) -> pl.DataFrame:
        """Return the wanted columns of a block.

        Args:
            block: the block.
            table: what `prepare` made of it.
            wanted: columns of `schema()` that are needed.

        Raises:
            SourceError: a row has more fields than the header, the file's last row has fewer, or text is not UTF-8.
        """
        if self.contract is None:
            return self._text(block, table).select(wanted)
        frame = None if table is None else _finished(table, self.contract)
        return (self._careful(block) if frame is None else frame).select(wanted)

    def _careful(self, block: Block) -> pl.DataFrame:
        assert self.contract is not None
        table = self._arrow(block, dict.fromkeys(self.positions, pa.string()))
        return typed(self._text(block, table).lazy(), self.contract).collect()

    def _text(self, block: Block, table: pa.Table | None) -> pl.DataFrame:
        """Return a block as text and why each row is rejected, from what Arrow made of it where it made something."""
        if table is None:
            return self._rows(block)
        return pl.DataFrame(table).with_columns(pl.lit(None, pl.String).alias(REJECTED))

    def _arrow(self, block: Block, types: Mapping[str, pa.DataType]) -> pa.Table | None:
        """Return columns of a block; None where a row is too short or too long, or a value is not of its type."""
        numbers = {name: str(self.positions[name]) for name in types}
        try:
            table = arrow_csv.read_csv(
                pa.py_buffer(block.text).slice(0, block.num_bytes),
                read_options=arrow_csv.ReadOptions(
                    use_threads=False,
                    block_size=block.num_bytes + 1,
                    # Positions as names: a header that repeats a column we do not need must not break the parse.
                    column_names=[str(position) for position in range(len(self.header))],
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={numbers[name]: dtype for name, dtype in types.items()},
                    include_columns=list(numbers.values()),
                    null_values=[""],
                    strings_can_be_null=True,
                    timestamp_parsers=[arrow_csv.ISO8601],
                ),
            )
        except pa.ArrowInvalid:
            return None
        return table.rename_columns(list(types))

    def _rows(self, block: Block) -> pl.DataFrame:
        """Return a block as text, row by row: a short row may lack any field, not just the last, and is rejected."""
        reader = csv.reader(io.StringIO(self._decoded(block), newline=""))
        width = len(self.header)
        rows: dict[str, list[str | None]] = {name: [] for name in (*self.positions, REJECTED)}
        num_fields, line = width, 0
        for row in reader:
            if not row:
                continue
            num_fields, line = len(row), reader.line_num
            if num_fields > width:
                raise self._refusal(block, line, f"a row has more fields than the header ({num_fields}, not {width})")
            for name, position in self.positions.items():
                rows[name].append((row[position] or None) if position < num_fields else None)
            rows[REJECTED].append(SHORT if num_fields < width else None)
        if block.is_last and num_fields < width:
            raise self._refusal(
                block, line, f"the last row has {num_fields} of {width} fields; cut off? unpack or download it again"
            )
        return pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String))

    def _decoded(self, block: Block) -> str:
        try:
            return block.text[: block.num_bytes].decode()
        except UnicodeDecodeError as error:
            line = line_at(self.path, block.offset + error.start)
            raise SourceError(f"{self.path}, line {line}: holds text that is not UTF-8") from error

    def _refusal(self, block: Block, line: int, reason: str) -> SourceError:
        """Return an error about a line of a block, counted from 1."""
        return SourceError(f"{self.path}, line {line_at(self.path, block.offset) + line - 1}: {reason}")


def _finished(table: pa.Table, contract: type[Contract]) -> pl.DataFrame | None:
    """Return what was parsed straight as the careful way would have made it; None where that must be asked."""
    columns = contract.columns()
    if any(table[name].null_count and not columns[name].nullable for name in table.column_names):
        return None
    frame = pl.DataFrame(table)
    for name in table.column_names:
        if pa.types.is_floating(table[name].type):
            if not frame[name].is_finite().all():
                return None
        elif name not in VERBATIM and pa.types.is_string(table[name].type) and _may_end_blank(table[name]):
            stripped = pl.col(name).str.strip_chars_end()
            frame = frame.with_columns(pl.when(stripped.str.len_bytes() > 0).then(stripped).alias(name))
            if not columns[name].nullable and frame[name].has_nulls():
                return None
    return frame.with_columns(pl.lit(None, pl.String).alias(REJECTED))


def _may_end_blank(column: pa.ChunkedArray) -> bool:
    """Return whether some text could end in white space: its last byte is a blank, or not ASCII."""
    for chunk in column.chunks:
        _, ends, data = chunk.buffers()
        if data is None or not len(data):
            continue
        last = np.frombuffer(ends, np.int32)[chunk.offset + 1 : chunk.offset + len(chunk) + 1] - 1
        characters: NDArray[np.uint8] = np.frombuffer(data, np.uint8)[last]
        if ((characters <= ord(" ")) | (characters >= 0x80)).any():
            return True
    return False


def _may_hold_hex(block: Block) -> bool:
    """Return whether some field could begin like 0x1F, which Arrow reads as a number and we do not."""
    if b"x" not in block.text and b"X" not in block.text:
        return False
    characters = np.frombuffer(block.text, np.uint8)
    for start in range(0, len(characters), PIECE_BYTES):
        piece = characters[start : start + PIECE_BYTES + 1]
        zero_x = (piece[1:] | 0x20) == ord("x")
        zero_x &= piece[:-1] == ord("0")
        for zero in (np.flatnonzero(zero_x) + start).tolist():
            if block.text[max(zero - 64, 0) : zero].rstrip(b" \t-")[-1:] in _FIELD_BEGINS:
                return True
    return False
