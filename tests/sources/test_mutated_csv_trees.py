"""Small valid EHR trees with one thing changed: each kind of mutation declares what must come of it, and that comes.

An outcome is the table that must be read, row for row; or the one row that is rejected, and why, with every other row
as before; or one SourceError that names the file. Nothing else may happen, and no other exception may escape.
"""

import csv
import gzip
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from data_contracts import Contract
from pipelines.sources import SOURCES, RawTable, Source, SourceError, detect_release

EXAMPLES = 13
NUM_ROWS = 5
SOURCE_NAMES = ("mimic_iv", "mimic_iv_note", "mimic_iii", "mimic_iii_carevue")
WHOLE = (dy.Int8, dy.Int16, dy.Int32, dy.Int64)
FIXED = {"icd_version": "9", "anchor_year": "2150", "anchor_year_group": "2014 - 2016", "dbsource": "carevue"}
PROBLEMS = {dy.Datetime: "not a timestamp", dy.Date: "not a date", dy.Float64: "not a number"}


def cell(name: str, column: dy.Column, row: int) -> str:
    """One good value; a third of the texts must be quoted, and nullable columns are empty now and then."""
    if column.nullable and row == NUM_ROWS - 1:
        return ""
    if name in FIXED:
        return FIXED[name]
    match column:
        case dy.Enum():
            return column.categories[0]
        case dy.Datetime():
            return f"21{row}0-0{row + 1}-11 1{row}:0{row}:30"
        case dy.Date():
            return f"21{row}0-0{row + 1}-11"
        case dy.Float64():
            return f"{row}.25"
        case dy.String():
            return (f"{name} {row}", f'{name}, "{row}"', f"{name}\n {row}", f"é{row}", "___")[row % 5]
        case _ if name.endswith("flag") or name == "has_chartevents_data":
            return str(row % 2)
        case _:
            return str(row + 1)


@dataclass
class Tree:
    """A valid tree of one source: what stands in its files, and the tables that they are."""

    source: Source
    root: Path
    headers: dict[str, list[str]] = field(default_factory=dict)
    rows: dict[str, list[list[str]]] = field(default_factory=dict)
    frames: dict[str, pl.DataFrame] = field(default_factory=dict)

    @property
    def tables(self) -> dict[str, RawTable]:
        return {table.table: table for table in self.source.tables}

    def path(self, table: str) -> Path:
        return self.root / self.tables[table].files[0]


def as_csv(header: list[str], rows: list[list[str]], *, ending: str = "\n", quoting: int = csv.QUOTE_MINIMAL) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator=ending, quoting=quoting)
    writer.writerows([header, *rows])
    return stream.getvalue().encode()


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tree]:
    made = {}
    for name in SOURCE_NAMES:
        tree = made[name] = Tree(SOURCES[name], tmp_path_factory.mktemp(name))
        needed = {file.lower(): columns for file, columns in tree.source.releases[0].columns.items()}
        for table in tree.source.tables:
            columns = table.contract.columns()
            ignored = [raw for raw in needed.get(table.files[0].lower(), ()) if raw not in columns]
            tree.headers[table.table] = ["row_id", *columns, *ignored]
            tree.rows[table.table] = [
                ["0", *(cell(column, dtype, row) for column, dtype in columns.items()), *("x" for _ in ignored)]
                for row in range(NUM_ROWS)
            ]
            path = tree.path(table.table)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(gzip.compress(as_csv(tree.headers[table.table], tree.rows[table.table]), 1))
            tree.frames[table.table] = table.read(tree.root).collect()
    return made


def test_the_trees_are_valid(trees: dict[str, Tree]) -> None:
    for tree in trees.values():
        assert detect_release(tree.source, tree.root) in {"2.2", "1.4"}
        for table, frame in tree.frames.items():
            assert frame["_rejected"].null_count() == frame.height == NUM_ROWS
            assert tree.tables[table].contract.is_valid(frame.drop("_rejected"))
            assert [str(value) for value in frame.to_series(0)] == [row[1] for row in tree.rows[table]]


@dataclass
class Case:
    """One mutated file.

    Attributes:
        data: its bytes; None removes it.
        name: its path, where that changes too.
        table: the table that must be read.
        rejected: row, column (None: as in `table`) and rule of the one rejected row.
        error: part of the refusal.
        release: part of the refusal of the tree as a whole, where its release cannot be told either.
    """

    data: bytes | None
    name: str | None = None
    table: pl.DataFrame | None = None
    rejected: tuple[int, str, str] | None = None
    error: str | None = None
    release: str | None = None
    place: Callable[[Path, bytes], None] | None = None


@dataclass
class Given:
    """What a mutation works on: one table of one tree, and hypothesis' choices."""

    tree: Tree
    table: str
    data: st.DataObject

    @property
    def contract(self) -> type[Contract]:
        return self.tree.tables[self.table].contract

    @property
    def header(self) -> list[str]:
        return list(self.tree.headers[self.table])

    @property
    def rows(self) -> list[list[str]]:
        return [list(row) for row in self.tree.rows[self.table]]

    @property
    def frame(self) -> pl.DataFrame:
        return self.tree.frames[self.table]

    @property
    def text(self) -> bytes:
        return as_csv(self.header, self.rows)

    def pick(self, *choices: object):
        return self.data.draw(st.sampled_from(choices))

    def row(self) -> int:
        return self.pick(*range(NUM_ROWS))

    def column(self, *dtypes: type[dy.Column], required: bool | None = None) -> str:
        """A column of some dtypes; another table is asked where this has none."""
        found = [
            name
            for name, column in self.contract.columns().items()
            if (not dtypes or isinstance(column, dtypes)) and required in (None, not column.nullable)
        ]
        assume(found)
        return self.pick(*found)

    def with_cell(self, row: int, column: str, text: str) -> bytes:
        rows = self.rows
        rows[row][self.header.index(column)] = text
        return as_csv(self.header, rows)


def packed(text: bytes) -> bytes:
    return gzip.compress(text, 1)


# --- what must not matter -------------------------------------------------------------------------------------------


def byte_order_mark(given: Given) -> Case:
    return Case(packed(b"\xef\xbb\xbf" + given.text), table=given.frame)


def carriage_returns(given: Given) -> Case:
    return Case(packed(as_csv(given.header, given.rows, ending="\r\n")), table=given.frame)


def letters_of_the_header(given: Given) -> Case:
    change = given.pick(str.upper, str.title, lambda name: f" {name} ")
    return Case(packed(as_csv([change(name) for name in given.header], given.rows)), table=given.frame)


def order_of_columns(given: Given) -> Case:
    order = given.data.draw(st.permutations(range(len(given.header))))
    lines = [[row[position] for position in order] for row in [given.header, *given.rows]]
    return Case(packed(as_csv(lines[0], lines[1:])), table=given.frame)


def columns_that_nobody_asked_for(given: Given) -> Case:
    position = given.pick(*range(len(given.header) + 1))
    names = given.pick(["extra"], ["twice", "twice"], ["a b", ""])
    header = [*given.header[:position], *names, *given.header[position:]]
    rows = [[*row[:position], *("1,\n2" for _ in names), *row[position:]] for row in given.rows]
    return Case(packed(as_csv(header, rows)), table=given.frame)


def every_field_quoted(given: Given) -> Case:
    return Case(packed(as_csv(given.header, given.rows, quoting=csv.QUOTE_ALL)), table=given.frame)


def blank_lines(given: Given) -> Case:
    return Case(packed(given.text + given.pick(b"\n", b"\n\n\n", b"\r\n")), table=given.frame)


def no_last_newline(given: Given) -> Case:
    return Case(packed(given.text.removesuffix(b"\n")), table=given.frame)


def renamed(given: Given) -> str:
    path = Path(given.tree.tables[given.table].files[0])
    name = path.name.removesuffix(".csv.gz")
    return str(path.with_name(given.pick(name.upper(), name.lower(), name.title()) + ".csv.gz"))


def not_compressed(given: Given) -> Case:
    return Case(given.text, name=renamed(given).removesuffix(".gz"), table=given.frame)


def letters_of_the_file_name(given: Given) -> Case:
    return Case(packed(given.text), name=renamed(given), table=given.frame)


def several_gzip_members(given: Given) -> Case:
    cut = given.pick(*range(1, len(given.text)))
    return Case(packed(given.text[:cut]) + packed(given.text[cut:]), table=given.frame)


def rows_in_another_order(given: Given) -> Case:
    order = given.data.draw(st.permutations(range(NUM_ROWS)))
    return Case(packed(as_csv(given.header, [given.rows[row] for row in order])), table=given.frame[order])


def rows_twice(given: Given) -> Case:
    row = given.row()
    rows = [*given.rows, given.rows[row]]
    return Case(packed(as_csv(given.header, rows)), table=pl.concat([given.frame, given.frame[row]]))


def header_without_rows(given: Given) -> Case:
    end = given.pick(b"", b"\n", b"\r\n\n")
    return Case(packed(as_csv(given.header, []) + end), table=given.frame.clear())


def blanks_around(given: Given) -> Case:
    """Blanks behind text and around numbers are no part of them; in notes they are."""
    column = given.column(*WHOLE, dy.Float64, dy.String, dy.Date)
    row = given.row()
    assume(column != "text")
    before = "" if isinstance(given.contract.columns()[column], dy.String) else given.pick("", " ", "\t")
    text = given.rows[row][given.header.index(column)]
    return Case(packed(given.with_cell(row, column, text and f"{before}{text} \t")), table=given.frame)


def time_in_another_form(given: Given) -> Case:
    column = given.column(dy.Datetime)
    row = given.row()
    text = given.rows[row][given.header.index(column)]
    return Case(
        packed(given.with_cell(row, column, given.pick(text.replace(" ", "T"), text and f"{text}.000"))),
        table=given.frame,
    )


def date_far_away(given: Given) -> Case:
    """A date that the calendar has is read; whether it makes sense, rules over several columns know."""
    column = given.column(dy.Datetime, dy.Date)
    row, text = given.row(), given.pick("0001-01-01", "1492-10-12", "1969-12-31", "2262-04-12", "9999-12-31")
    day = pl.lit(date.fromisoformat(text)).cast(given.frame.schema[column])
    expected = given.frame.with_columns(
        pl.when(pl.int_range(pl.len()) == row).then(day).otherwise(column).alias(column)
    )
    return Case(packed(given.with_cell(row, column, text)), table=expected)


def byte_of_latin_1_in_a_column_that_is_not_read(given: Given) -> Case:
    return Case(packed(given.text.replace(b"\n0,", b"\n\xe9,")), table=given.frame)


# --- one rejected row ------------------------------------------------------------------------------------------------


def value_that_does_not_cast(given: Given) -> Case:
    column = given.column(*WHOLE, *PROBLEMS)
    dtype = given.contract.columns()[column]
    text = (
        given.pick("x", "1 2", "NULL", "-", "12:30", "²")
        if isinstance(dtype, WHOLE)
        else given.pick("x", "1,5", "nan?", "_")
    )
    row = given.row()
    rule = f"{column}: {PROBLEMS.get(type(dtype), 'not a whole number')}"
    return Case(packed(given.with_cell(row, column, text)), rejected=(row, column, rule))


def date_that_no_calendar_has(given: Given) -> Case:
    column = given.column(dy.Datetime, dy.Date)
    text = given.pick(
        "2180-02-30", "2180-13-01 10:00:00", "2180-01-01 25:00:00", "0-0-0", "02180-01-01", "2180-00-10", "99999-01-01"
    )
    row = given.row()
    rule = f"{column}: {PROBLEMS[type(given.contract.columns()[column])]}"
    return Case(packed(given.with_cell(row, column, text)), rejected=(row, column, rule))


def number_beyond_its_column(given: Given) -> Case:
    column = given.column(*WHOLE)
    text = given.pick("99999999999999999999", "-99999999999999999999", "1e5", "1.0", "0x10", "1_000")
    row = given.row()
    return Case(packed(given.with_cell(row, column, text)), rejected=(row, column, f"{column}: not a whole number"))


def number_that_is_none(given: Given) -> Case:
    column = given.column(dy.Float64)
    row = given.row()
    text = given.pick("nan", "inf", "-Infinity", "1e999", "0x1F", "1.5 mg")
    return Case(packed(given.with_cell(row, column, text)), rejected=(row, column, f"{column}: not a number"))


def empty_where_a_value_must_be(given: Given) -> Case:
    column = given.column(required=True)
    row = given.row()
    return Case(packed(given.with_cell(row, column, "")), rejected=(row, column, f"{column}: empty"))


def word_that_is_none_of_those_allowed(given: Given) -> Case:
    column = given.column(dy.Enum)
    row = given.row()
    allowed = ", ".join(given.contract.columns()[column].categories)
    return Case(packed(given.with_cell(row, column, "?")), rejected=(row, column, f"{column}: not one of {allowed}"))


def short_row(given: Given) -> Case:
    row, width = given.row(), given.pick(*range(1, len(given.header)))
    lines = as_csv(given.header, given.rows[:row]), as_csv(given.rows[row][:width], given.rows[row + 1 :])
    data = packed(b"".join(lines))
    if row == NUM_ROWS - 1:
        return Case(data, error=f"the last row has {width} of {len(given.header)} fields")
    lost = pl.int_range(pl.len()) == row
    expected = given.frame.with_columns(
        *(
            pl.when(~lost).then(pl.col(name)).alias(name)
            for name in given.contract.columns()
            if name not in given.header[:width]
        ),
        pl.when(lost).then(pl.lit("row: fewer fields than the header")).alias("_rejected"),
    )
    return Case(data, table=expected)


def cut_off(given: Given) -> Case:
    """An unpacked file that ends inside a row: nothing else tells that the rest is missing."""
    rows = given.rows[: given.row() + 1]
    width = given.pick(*range(1, len(given.header)))
    name = given.tree.tables[given.table].files[0].removesuffix(".gz")
    data = as_csv(given.header, [*rows[:-1], rows[-1][:width]]).removesuffix(b"\n")
    return Case(data, name=name, error=f"the last row has {width} of {len(given.header)} fields; cut off?")


# --- refused ---------------------------------------------------------------------------------------------------------


def truncated(given: Given) -> Case:
    data = packed(given.text)
    cut = given.data.draw(st.integers(11, len(data) - 1))
    return Case(data[:cut], error="ends too early")


def wrong_byte(given: Given) -> Case:
    data = bytearray(packed(given.text))
    position = given.data.draw(st.integers(10, len(data) - 1))
    data[position] ^= 0xFF
    return Case(bytes(data), error="gzip stream")


def not_gzip_at_all(given: Given) -> Case:
    return Case(given.text, error="not a gzip stream", release="not a gzip stream")


def gzip_under_a_plain_name(given: Given) -> Case:
    name = given.tree.tables[given.table].files[0].removesuffix(".gz")
    return Case(packed(given.text), name=name, error="rename it to .csv.gz", release="rename it to .csv.gz")


def no_bytes(given: Given) -> Case:
    return Case(given.pick(b"", packed(b""), packed(b"\n"), packed(b",,\n")), error="empty file", release="empty file")


def column_that_is_missing(given: Given) -> Case:
    column = given.column()
    position = given.header.index(column)
    lines = [[text for place, text in enumerate(row) if place != position] for row in [given.header, *given.rows]]
    return Case(packed(as_csv(lines[0], lines[1:])), error=f"needs the columns {column}, which the header lacks")


def column_that_is_there_twice(given: Given) -> Case:
    column = given.column()
    rows = [[*row, "1"] for row in given.rows]
    return Case(packed(as_csv([*given.header, column.upper()], rows)), error=f"names {column} twice")


def too_many_fields(given: Given) -> Case:
    row = given.row()
    rows = given.rows
    rows[row].append("more")
    return Case(packed(as_csv(given.header, rows)), error="a row has more fields than the header")


def quote_that_is_never_closed(given: Given) -> Case:
    return Case(packed(given.text + b'0,"1,2\n'), error="line")


def quote_inside_a_field(given: Given) -> Case:
    column = given.column()
    row = given.row()
    text = given.with_cell(row, column, "HERE").replace(b"HERE", given.pick(b'5" x 6"', b'"a"b', b'a"b"', b'"a "b" c"'))
    return Case(packed(text), error="wrong quoting")


def nul_bytes(given: Given) -> Case:
    begin = given.text.index(b"\n") + 1
    position = given.data.draw(st.integers(begin, len(given.text)))
    return Case(
        packed(given.text[:position] + b"\0" * given.pick(1, 9) + given.text[position:]), error="holds NUL bytes"
    )


def byte_of_latin_1(given: Given) -> Case:
    column = given.column(dy.String)
    row = given.row()
    text = given.with_cell(row, column, "HERE").replace(b"HERE", b"caf\xe9")
    return Case(packed(text), error="holds text that is not UTF-8")


def two_bytes_a_letter(given: Given) -> Case:
    data = packed(given.text.decode().encode("utf-16"))
    return Case(data, error="header is not UTF-8", release="header is not UTF-8")


def old_line_ends(given: Given) -> Case:
    rows = [[text.replace("\n", " ") for text in row] for row in given.rows]
    data = packed(as_csv(given.header, rows, ending="\r"))
    return Case(data, error="header is no line of CSV", release="header is no line of CSV")


def link_that_leaves_the_root(given: Given) -> Case:
    def place(path: Path, data: bytes) -> None:
        outside = path.parents[2] / f"outside-{path.name}"
        outside.write_bytes(data)
        path.symlink_to(outside)

    return Case(
        packed(given.text), error="a link that leaves the root", release="a link that leaves the root", place=place
    )


def no_file(given: Given) -> Case:
    table = given.tree.tables[given.table]
    if table.optional:
        return Case(None, table=given.frame.clear())
    return Case(None, error=f"needs {table.files[0]} or", release=f"file {table.files[0]}")


KINDS = (
    *(byte_order_mark, carriage_returns, letters_of_the_header, order_of_columns, columns_that_nobody_asked_for),
    *(every_field_quoted, blank_lines, no_last_newline, not_compressed, letters_of_the_file_name, several_gzip_members),
    *(rows_in_another_order, rows_twice, header_without_rows, blanks_around, time_in_another_form, date_far_away),
    *(byte_of_latin_1_in_a_column_that_is_not_read, value_that_does_not_cast, date_that_no_calendar_has),
    *(number_beyond_its_column, number_that_is_none, empty_where_a_value_must_be, word_that_is_none_of_those_allowed),
    *(
        short_row,
        cut_off,
        truncated,
        wrong_byte,
        not_gzip_at_all,
        gzip_under_a_plain_name,
        no_bytes,
        column_that_is_missing,
        column_that_is_there_twice,
    ),
    *(too_many_fields, quote_that_is_never_closed, quote_inside_a_field, nul_bytes, byte_of_latin_1),
    *(two_bytes_a_letter, old_line_ends, link_that_leaves_the_root, no_file),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_mutation(kind, trees: dict[str, Tree], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    tree = trees[data.draw(st.sampled_from(SOURCE_NAMES))]
    table = tree.tables[data.draw(st.sampled_from(sorted(tree.tables)))]
    case: Case = kind(Given(tree, table.table, data))
    root = tmp_path_factory.mktemp("mutated") / "root"
    write_tree(root, tree, table, case)
    check_table(table, root, case, tree.frames[table.table])
    check_release(tree, table, root, case)


def test_there_are_enough_mutations() -> None:
    assert len(set(KINDS)) * EXAMPLES >= 500


def write_tree(root: Path, tree: Tree, table: RawTable, case: Case) -> None:
    """Link the files of the valid tree and write the one that differs."""
    for name in tree.tables:
        path = root / tree.tables[name].files[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        if name != table.table:
            os.link(tree.path(name), path)
    if case.data is not None:
        path = root / (case.name or table.files[0])
        (case.place or Path.write_bytes)(path, case.data)


def check_table(table: RawTable, root: Path, case: Case, frame: pl.DataFrame) -> None:
    if case.error is not None:
        with pytest.raises(SourceError) as refusal:
            table.read(root).collect()
        message = str(refusal.value)
        assert case.error in message
        assert "\n" not in message
        assert Path(case.name or table.files[0]).name in message
        return
    found = table.read(root).collect()
    if case.rejected is None:
        assert_frame_equal(found, case.table)
        return
    row, column, rule = case.rejected
    assert found.row(row, named=True) == {**frame.row(row, named=True), column: None, "_rejected": rule}
    others = pl.int_range(pl.len()) != row
    assert_frame_equal(found.filter(others), frame.filter(others))


def check_release(tree: Tree, table: RawTable, root: Path, case: Case) -> None:
    """The release is told as before, or refused in words that name the file, where the file matters to it."""
    file = Path(table.files[0]).name.removesuffix(".csv.gz").lower()
    matters = table.files[0] in tree.source.releases[0].columns
    try:
        assert detect_release(tree.source, root) in {"2.2", "1.4"}
    except SourceError as refusal:
        assert matters
        assert case.error is not None
        assert file in str(refusal).lower()
        assert case.release is None or case.release in str(refusal)
    else:
        assert not (matters and case.release)
