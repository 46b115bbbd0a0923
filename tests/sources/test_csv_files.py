"""A CSV file is read exactly as written, or refused with one clear error."""

import csv
import gzip
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sources import SourceError, csv_records
from pipelines.sources.csv_files import read_header, scan_csv

COLUMNS = {"key": "key", "text": "text"}


def read(path: Path) -> list[tuple[str | None, str | None]]:
    return scan_csv(path, columns=COLUMNS, table="t").select(*COLUMNS).collect().rows()


def written(rows: list[tuple[str, str]], *, terminator: str = "\n", quoting: int = csv.QUOTE_MINIMAL) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator=terminator, quoting=quoting)
    writer.writerows([("key", "text"), *rows])
    return stream.getvalue().encode()


@given(
    texts=st.lists(st.text(st.sampled_from('ab ,"\n\r\té_'), max_size=12), max_size=30),
    terminator=st.sampled_from(["\n", "\r\n"]),
)
def test_quoted_text_survives(texts: list[str], terminator: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv.gz"
    rows = [(str(position), text) for position, text in enumerate(texts)]
    path.write_bytes(gzip.compress(written(rows, terminator=terminator, quoting=csv.QUOTE_ALL)))
    assert [(key, text or "") for key, text in read(path)] == rows


def test_text_is_quoted_only_where_it_must_be(tmp_path: Path) -> None:
    rows = [("1", "plain"), ("2", 'a "word", or\n\ntwo'), ("3", ""), ("4", "'"), ("5", " ")]
    path = tmp_path / "t.csv"
    path.write_bytes(written(rows))
    assert [(key, text or "") for key, text in read(path)] == rows


def test_header_may_have_a_byte_order_mark_other_case_and_more_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("\ufeffTEXT,extra,Key\nhello,1,k\n".encode())
    assert read_header(path) == ["TEXT", "extra", "Key"]
    assert read(path) == [("k", "hello")]


def test_header_without_rows_is_an_empty_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"key,text\n"))
    assert read(path) == []


def test_members_of_a_gzip_file_are_one_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"key,text\na,b\n") + gzip.compress(b"c,d\n"))
    assert read(path) == [("a", "b"), ("c", "d")]


def test_short_row_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"key,text\na\nb,c\n")
    frame = scan_csv(path, columns=COLUMNS, table="t")
    assert frame.collect().rows() == [("a", None, "row: fewer fields than the header"), ("b", "c", None)]
    assert frame.select("_rejected").collect().to_series().null_count() == 1
    assert frame.select("text").collect().height == 2


@pytest.mark.parametrize("end", ["d", "d\n", "d\r\n\r\n"])
@pytest.mark.parametrize("num_bytes", [24, 1 << 20])
def test_file_whose_last_row_is_short_was_cut_off(
    end: str, num_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cut.csv"
    path.write_text(f'key,text\na,"two\nlines"\nb,c\n{end}')
    cut = lambda path: csv_records.read_blocks(path, num_bytes=num_bytes)  # noqa: E731
    monkeypatch.setattr("pipelines.sources.csv_files.read_blocks", cut)
    with pytest.raises(SourceError, match=r"cut\.csv, line 5: the last row has 1 of 2 fields; cut off\? unpack or"):
        read(path)


def test_missing_columns_are_named_with_those_found(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"key,txt\na,b\n")
    with pytest.raises(SourceError, match=r"t\.csv: table t needs the columns text, .*; found key, txt"):
        scan_csv(path, columns=COLUMNS, table="t")


def test_column_named_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"key,text,Key\na,b,c\n")
    with pytest.raises(SourceError, match="names key twice"):
        scan_csv(path, columns=COLUMNS, table="t")


def whole_file() -> bytes:
    return gzip.compress(written([(str(number), f"text {number * 7919 % 1009}") for number in range(20_000)]))


def cut_in_the_middle(data: bytes) -> bytes:
    return data[: len(data) // 2]


def without_its_end(data: bytes) -> bytes:
    return data[:-4]


def with_a_wrong_byte(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


def with_a_wrong_checksum(data: bytes) -> bytes:
    return data[:-6] + bytes([data[-6] ^ 0xFF]) + data[-5:]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut_in_the_middle, "ends too early"),
        (without_its_end, "ends too early"),
        (with_a_wrong_byte, "corrupt"),
        (with_a_wrong_checksum, "corrupt"),
        (lambda data: data[:12], "ends too early"),
        (lambda data: b"", "empty file"),
        (lambda data: b"key,text\na,b\n", "not a gzip stream"),
        (lambda data: gzip.compress(b"key,text\na,b,c\n"), "more fields"),
        (lambda data: gzip.compress(b"key,text\na,b\na,b,c\n"), "more fields"),
        (lambda data: gzip.compress("key,text\na,\u00e9\n".encode("latin-1")), "not UTF-8"),
    ],
)
def test_broken_file_is_one_error_that_names_it(damage, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.csv.gz"
    path.write_bytes(damage(whole_file()))
    target = tmp_path / "out.parquet"
    with pytest.raises(SourceError, match=rf"broken\.csv\.gz.*{reason}"):
        scan_csv(path, columns=COLUMNS, table="t").sink_parquet(target)


def test_reading_is_lazy_and_takes_only_what_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(whole_file())
    frame = scan_csv(path, columns=COLUMNS, table="t")
    assert frame.select("text").head(2).collect().rows() == [("text 0",), ("text 856",)]
    assert frame.filter(pl.col("key") == "19999").collect().height == 1
    assert frame.head(3).filter(pl.col("key") > "0").select("text").collect().height == 2
    assert frame.filter(pl.col("key") >= "9990").head(2).select("text").collect().height == 2
    assert frame.select(pl.len()).collect().item() == 20_000
