"""Cuts a CSV file, plain or gzipped, into blocks of whole records, and refuses what is no CSV file.

Refused: a broken gzip stream and, with the line, NUL bytes, a quote that is never closed, a quote where RFC 4180 allows
none. A block ends at a line end outside quotes, so that it can be parsed alone, by any parser, on any thread.

Does not belong here: what the fields are (`csv_parsing`).
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from isal import igzip, igzip_lib
from numpy.typing import NDArray

from pipelines.sources.refusals import SourceError

BLOCK_BYTES = 1 << 22
PIECE_BYTES = 1 << 17
MAX_RECORD_BYTES = 1 << 26
MAX_HEADER_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
_ISAL_ERROR = cast("type[Exception]", igzip_lib.IsalError)
BROKEN_STREAM = (OSError, EOFError, zlib.error, _ISAL_ERROR)
_QUOTE, _COMMA, _NEWLINE, _RETURN = b'",\n\r'


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records of a file, without the header.

    Attributes:
        text: bytes that begin with them.
        num_bytes: how many bytes they are.
        offset: where they begin in the text of the file, for messages.
        is_last: whether the file ends with them.
    """

    text: bytes
    num_bytes: int
    offset: int
    is_last: bool = False


def read_header(path: Path) -> list[str]:
    """Return the column names of a CSV file as written, without a byte order mark.

    Raises:
        SourceError: the file is empty, not text, or not a gzip stream.
    """
    try:
        with _open(path) as stream:
            line = stream.readline(MAX_HEADER_BYTES)
        names = next(csv.reader([line.decode("utf-8-sig")]), [])
    except BROKEN_STREAM as error:
        raise SourceError(f"{path}: {_reason(error)}") from error
    except UnicodeDecodeError as error:
        packed = "; it is a gzip stream: rename it to .csv.gz" if line.startswith(GZIP_MAGIC) else ""
        raise SourceError(f"{path}: the header is not UTF-8 text{packed}") from error
    except csv.Error as error:
        raise SourceError(f"{path}: the header is no line of CSV ({error})") from error
    if not any(name.strip() for name in names):
        raise SourceError(f"{path}: empty file, no header")
    return [name.strip() for name in names]


def read_blocks(path: Path, *, num_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Yield the records below the header in blocks of about `num_bytes`.

    Raises:
        SourceError: the file is broken; raised where that is met, so the blocks before it have been yielded.
    """
    rest, offset = b"", 0
    for data, is_end in _stream(path, num_bytes):
        if not offset:
            offset = len(data)  # the first is the header
            continue
        text = rest + data
        end = _end_of_records(text, path, offset)
        if end:
            yield Block(text, end, offset, is_last=is_end and end == len(text))
        rest, offset = text[end:], offset + end
        if len(rest) > MAX_RECORD_BYTES:
            raise SourceError(
                f"{path}, line {line_at(path, offset)}: a record of more than {MAX_RECORD_BYTES >> 20} MiB: "
                "a quote is not closed, or lines do not end in newlines"
            )
    if rest:
        rest += b"\n"
        if _end_of_records(rest, path, offset) != len(rest):
            raise SourceError(f"{path}, line {line_at(path, offset)}: a quote is opened and never closed")
        yield Block(rest, len(rest), offset, is_last=True)


def stream_error(path: Path) -> str | None:
    """Return what is wrong with a gzip stream, read to its end; None where it is whole, or the file is plain.

    A wrong byte may reach the parser as garbled text long before the checksum is compared.
    """
    try:
        with _open(path) as stream:
            while path.suffix.lower() == ".gz" and stream.read(BLOCK_BYTES):
                pass
    except BROKEN_STREAM as error:
        return _reason(error)
    return None


def line_at(path: Path, offset: int) -> int:
    """Return the number of the line, from 1, that holds the byte at an offset of the file's text."""
    lines, left = 1, offset
    with _open(path) as stream:
        while left > 0 and (data := stream.read(min(left, BLOCK_BYTES))):
            lines += data.count(b"\n")
            left -= len(data)
    return lines


def _stream(path: Path, num_bytes: int) -> Iterator[tuple[bytes, bool]]:
    """Yield the header line, then the rest in pieces, and with each whether the file ends there."""
    position = 0
    try:
        with _open(path) as stream:
            data = stream.readline()
            while data:
                if b"\0" in data:
                    line = line_at(path, position + data.index(b"\0"))
                    raise SourceError(f"{path}, line {line}: holds NUL bytes (a damaged file; download it again)")
                yield data, not stream.peek(1)
                position += len(data)
                data = stream.read(num_bytes)
    except BROKEN_STREAM as error:
        raise SourceError(f"{path}: {_reason(error)}") from error


def _end_of_records(text: bytes, path: Path, offset: int) -> int:
    """Return the end of the last whole record; 0 where there is none. The text begins at a record."""
    if b'"' not in text:
        return text.rfind(b"\n") + 1
    characters = np.frombuffer(text, np.uint8)
    quotes = _positions(characters, _QUOTE)
    end = _last_end(text, quotes)
    wrong = _first_wrong_quote(characters[:end], quotes[quotes < end])
    if wrong is not None:
        raise SourceError(
            f"{path}, line {line_at(path, offset + wrong)}: wrong quoting: a quote stands inside a field and is not "
            "doubled, or a quoted field goes on after its end"
        )
    return end


def _positions(characters: NDArray[np.uint8], wanted: int) -> NDArray[np.intp]:
    """Return where a character stands, looked for in pieces that stay in the cache."""
    starts = range(0, len(characters), PIECE_BYTES)
    return np.concatenate([np.flatnonzero(characters[at : at + PIECE_BYTES] == wanted) + at for at in starts])


def _last_end(text: bytes, quotes: NDArray[np.intp]) -> int:
    """Return the position after the last newline that has an even number of quotes before it."""
    stop = len(text)
    for before in range(len(quotes), -1, -1):
        start = int(quotes[before - 1]) + 1 if before else 0
        if before % 2 == 0 and (found := text.rfind(b"\n", start, stop)) >= 0:
            return found + 1
        stop = start - 1
    return 0


def _first_wrong_quote(text: NDArray[np.uint8], quotes: NDArray[np.intp]) -> int | None:
    """Return the first quote that neither opens nor closes a field nor is one of two in a row."""
    if not len(quotes):
        return None
    opening, closing = quotes[0::2], quotes[1::2]
    before = text[opening - 1]  # before the first character: the last one, a newline
    doubled = np.zeros(len(opening), bool)
    doubled[1:] = opening[1:] - 1 == closing[:-1]
    after = text[np.minimum(closing + 1, len(text) - 1)]
    opens = doubled | (before == _COMMA) | (before == _NEWLINE)
    closes = np.append(doubled[1:], False) | (after == _COMMA) | (after == _NEWLINE) | (after == _RETURN)
    wrong = np.concatenate([opening[~opens], closing[~closes]])
    return int(wrong.min()) if len(wrong) else None


def _reason(error: BaseException) -> str:
    if isinstance(error, EOFError):
        return "the gzip stream ends too early (truncated file; download it again)"
    if isinstance(error, gzip.BadGzipFile) and "Not a gzipped file" in str(error):
        return "not a gzip stream (if it was unpacked on its way, rename it to .csv; else download it again)"
    if isinstance(error, zlib.error | _ISAL_ERROR | gzip.BadGzipFile):
        return "the gzip stream is corrupt (download the file again)"
    return f"cannot be read ({error})"


def _open(path: Path) -> io.BufferedReader | igzip.IGzipFile:
    return igzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")
