"""Casting inside the parser gives what casting text afterwards gives, whatever stands in the fields."""

import gzip
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from data_contracts import Contract, fields
from pipelines.sources import csv_records
from pipelines.sources.csv_files import scan_csv, scan_typed_csv
from pipelines.sources.typed_columns import typed


class Readings(Contract):
    """One row of every kind of column."""

    table = "readings"
    layer = "tables"

    subject_id = fields.subject_id()
    flag = dy.Int16(nullable=True)
    charttime = fields.time("When")
    day = dy.Date(nullable=True)
    valuenum = dy.Float64(nullable=True)
    value = fields.text("What.", nullable=False)
    text = fields.text("Verbatim.")


NAMES = Readings.column_names()
SAME = {name: name for name in NAMES}
GOOD = ["7", "1", "2180-01-01 10:00:00", "2180-01-01", "1.5", "high", "a note\nof lines "]
WHOLE = ["7", "-3", "+5", " 5", "5\t", "0x10", "5.0", "1e3", "99999", "", " ", "x"]
TIMES = [
    *("2180-01-01 10:00:00", "2180-01-01", "2180-01-01 10", "2180-01-01 10:30", "2180-01-01T10:30:00", "1800-02-28"),
    *("2180-01-01 10:00:00.25", "2180-01-01 10:00:00.1234567", "2180-02-30", "2180-01-01 25:00:00", "9999-12-31"),
    *("2180-01-01 10:00:00Z", " 2180-01-01", "2180-1-1", "01/02/2180", "", "2180-01-01 23:59:60", "218O-01-01"),
]
NUMBERS = ["1.5", "-0", "5.", ".5", "1e5", "1E-400", "1e400", "nan", "inf", "-Infinity", " 2 ", "+2", "1,5", "", "0x1"]
TEXTS = ["high", "", " ", "é", "° ", "a\u2003", "\u00a0", 'say "no"', "a,b", "two\nlines", "end\r\n", "NULL", "0xFF"]
CELLS = [WHOLE, WHOLE, TIMES, TIMES, NUMBERS, TEXTS, TEXTS]


def line(cells: list[str]) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' if set(cell) & set(',"\n\r') else cell for cell in cells)


def write(path: Path, rows: list[list[str]]) -> Path:
    path.write_bytes(gzip.compress("\n".join([",".join(NAMES), *map(line, rows), ""]).encode(), 1))
    return path


def slow(path: Path) -> pl.DataFrame:
    return typed(scan_csv(path, columns=SAME, table="readings"), Readings).collect()


def fast(path: Path) -> pl.DataFrame:
    return scan_typed_csv(path, columns=SAME, contract=Readings).collect()


@pytest.mark.parametrize(
    ("column", "cell"), [(column, cell) for column, cells in enumerate(CELLS) for cell in dict.fromkeys(cells)]
)
def test_one_odd_cell(column: int, cell: str, tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv.gz", [GOOD, [*GOOD[:column], cell, *GOOD[column + 1 :]], GOOD])
    frame = fast(path)
    assert_frame_equal(frame, slow(path))
    untouched = frame.rows()[0]
    assert untouched == frame.rows()[2]
    assert untouched[-1] is None


@settings(max_examples=40)
@given(rows=st.lists(st.tuples(*map(st.sampled_from, CELLS)), max_size=8))
def test_many_odd_cells(rows: list[tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write(tmp_path_factory.mktemp("typed") / "t.csv.gz", [list(row) for row in rows])
    assert_frame_equal(fast(path), slow(path))


@pytest.mark.parametrize("num_bytes", [1, 7, 64, 1000])
def test_where_blocks_end_does_not_matter(num_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [TEXTS[number % len(TEXTS)] or "x" for number in range(40)]
    rows = [[str(number + 1), *GOOD[1:5], text, 'a "note"\nof, lines '] for number, text in enumerate(texts)]
    path = write(tmp_path / "t.csv.gz", rows)
    whole = fast(path)
    assert whole["text"].to_list() == [row[-1] for row in rows]
    cut = lambda path: csv_records.read_blocks(path, num_bytes=num_bytes)  # noqa: E731
    monkeypatch.setattr("pipelines.sources.csv_files.read_blocks", cut)
    assert_frame_equal(fast(path), whole)
    assert_frame_equal(slow(path), whole)


def test_only_what_is_asked_is_cast(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv.gz", [GOOD, ["8", *GOOD[1:4], "high", *GOOD[5:]]])
    frame = scan_typed_csv(path, columns=SAME, contract=Readings)
    assert frame.select("subject_id").collect().to_series().to_list() == [7, 8]
    assert frame.filter(pl.col("valuenum").is_null()).select("subject_id", "_rejected").collect().rows() == [
        (8, "valuenum: not a number")
    ]
    assert frame.select("subject_id", "charttime").head(1).collect().height == 1
    assert frame.select(pl.len()).collect().item() == 2
