"""Files that come out the same, byte for byte, and trees that appear whole or not at all."""

import gzip
import hashlib
import io
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

LOCK = Path("locks", "synthetic.lock")
"""Below a home; who writes its raw/ holds it."""
DATETIME = "%Y-%m-%d %H:%M:%S"


@contextmanager
def gzip_file(path: Path, *, level: int = 4) -> Iterator[gzip.GzipFile]:
    """Open a new gzip file whose header carries neither a name nor a time.

    Args:
        path: the file; its folders are made.
        level: zlib compression level.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=raw, mtime=0) as packed,
    ):
        yield packed


def write_csv_gz(path: Path, rows: pl.DataFrame) -> None:
    """Write a table as the published releases do: csv.gz, a header, empty for missing, "" for an empty string.

    Args:
        path: the file; its folders are made.
        rows: columns in the published order.
    """
    with gzip_file(path) as packed:
        packed.write(rows.write_csv(datetime_format=DATETIME, date_format="%Y-%m-%d").encode())


def write_parquet(path: Path, rows: pl.DataFrame) -> None:
    """Write a table of the planted truth."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    rows.write_parquet(buffer, compression="zstd", statistics=False)
    path.write_bytes(buffer.getvalue())


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder` that takes its place when the block ends without an error.

    Callers see to it that one process at a time writes a folder: what others left beside it, since they were killed, is
    deleted.

    Args:
        folder: where the files shall be; an older folder there is replaced as a whole.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside, old = (folder.with_name(f".{folder.name}.{state}") for state in ("writing", "old"))
    left = re.compile(rf"{re.escape(beside.name)}(-\d+)?|{re.escape(old.name)}(-\d+)?")  # by process in former versions
    for path in [path for path in folder.parent.iterdir() if left.fullmatch(path.name)]:
        shutil.rmtree(path)
    beside.mkdir()
    try:
        yield beside
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    if folder.exists():
        folder.rename(old)
    beside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def write_checksums(root: Path) -> None:
    """Write SHA256SUMS.txt over every file below a root, as PhysioNet does: digest, blank, path."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.relative_to(root).as_posix()}" for path in files]
    (root / "SHA256SUMS.txt").write_text("\n".join(lines) + "\n")


def write_zip(path: Path, members: dict[str, str]) -> None:
    """Write text files into a zip whose entries carry no time.

    Args:
        path: the file; its folders are made.
        members: name inside the zip -> text, in the order written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in members.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, text)
