"""Which films were decoded, kept beside the pixels while a run goes on: a killed run resumes where it stopped.

One row a film: its path, size and time when it was read, and what decoding it gave. A film whose size and time are
those of its row is not read again; one that was touched is read, and if its bytes are the same, not decoded. A journal
belongs to one code and one set of settings, which name its folder; rows only ever say what such code made of such a
file.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from lake.files import fsync_path, locked, sha256_file

STAT_SCHEMA = {"path": pl.String, "size_bytes": pl.Int64, "mtime_ns": pl.Int64}
DECODED_SCHEMA = {
    "file_sha256": pl.String,
    "photometric": pl.String,
    "height_pixels": pl.Int32,
    "width_pixels": pl.Int32,
    "mean_intensity": pl.Float64,
    "pixel_sha256": pl.String,
}
SCHEMA = {**STAT_SCHEMA, "listed_ns": pl.Int64, **DECODED_SCHEMA}
"""`listed_ns` is the time under which the film counts in the version of its source: that of its first reading."""

SETTLED_NS = 2_000_000_000
"""A file newer than this when it is read could change again within one tick of its clock: it is not remembered."""
MOST_TOUCHED = 1000
"""Touched films that are hashed to find that nothing changed; of more, decoding says so, on all processes."""


def stat_films(root: Path, paths: Iterable[str]) -> pl.DataFrame:
    """Return path, size and time of change of every film; nulls where there is no such file."""
    rows: list[tuple[str, int | None, int | None]] = []
    for path in paths:
        try:
            status = os.stat(os.path.join(root, path))  # noqa: PTH116, PTH118 - 377,110 of them
        except (OSError, ValueError):
            rows.append((path, None, None))
        else:
            rows.append((path, status.st_size, status.st_mtime_ns))
    return pl.DataFrame(rows, schema=STAT_SCHEMA, orient="row")


class FilmJournal:
    """The journal of one code and one set of settings, which several processes may read and add to at once.

    Args:
        folder: where its parts lie; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def rows(self) -> pl.DataFrame:
        """Return the last row of every film, with the columns of SCHEMA."""
        if not self.folder.is_dir():
            return pl.DataFrame(schema=SCHEMA)
        with self._alone():
            return self._rows()

    def _rows(self) -> pl.DataFrame:
        parts = [pl.read_parquet(path, glob=False) for path in self._parts()]
        rows = pl.concat(parts) if parts else pl.DataFrame(schema=SCHEMA)
        return rows.unique("path", keep="last", maintain_order=True)

    def append(self, rows: pl.DataFrame) -> None:
        """Add rows; they are on disk when this returns."""
        if rows.is_empty():
            return
        with self._alone():
            number = max((_number(path) for path in self._parts()), default=0) + 1
            self._write(rows.select(*SCHEMA), number)

    def compact(self) -> None:
        """Make one part of many."""
        if not self.folder.is_dir():
            return
        with self._alone():
            parts = self._parts()
            if len(parts) > 1:
                self._write(self._rows(), _number(parts[-1]) + 1)
                for path in parts:
                    path.unlink()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other runs in this home out: they would take the same number, and miss parts made one of."""
        with locked(self.folder / ".lock"):
            yield

    def listing(self, root: Path, stats: pl.DataFrame) -> list[str]:
        """Return one line a film for the version of their source: path, size, time of change.

        A film that was touched after it was read, and holds the same bytes, keeps the time that it was read under.

        Args:
            root: folder that the paths are below.
            stats: what `stat_films` gives.
        """
        rows = stats.join(self.rows().select(*SCHEMA), on="path", how="left", maintain_order="left", suffix="_read")
        touched = (pl.col("size_bytes") == pl.col("size_bytes_read")) & (pl.col("mtime_ns") != pl.col("mtime_ns_read"))
        candidates = rows.filter(touched)
        same = candidates.clear()
        if 0 < candidates.height <= MOST_TOUCHED:
            same = candidates.filter(
                pl.Series(
                    [
                        sha256_file(root / path) == digest
                        for path, digest in candidates.select("path", "file_sha256").iter_rows()
                    ],
                    dtype=pl.Boolean,
                )
            )
            self.append(same.select(*SCHEMA).filter(pl.col("mtime_ns") < time.time_ns() - SETTLED_NS))
        unchanged = (pl.col("size_bytes") == pl.col("size_bytes_read")) & (
            (pl.col("mtime_ns") == pl.col("mtime_ns_read")) | pl.col("path").is_in(same["path"].implode())
        )
        listed = rows.select(
            "path", "size_bytes", pl.when(unchanged).then("listed_ns").otherwise("mtime_ns").alias("listed_ns")
        )
        return [" ".join(str(cell) for cell in row) for row in listed.iter_rows()]

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"), key=_number)

    def _write(self, rows: pl.DataFrame, number: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"part-{number:06}.parquet"
        temporary = self.folder / f".part-{number:06}.tmp"
        rows.write_parquet(temporary, compression="zstd")
        fsync_path(temporary)
        temporary.rename(path)
        fsync_path(self.folder)


def _number(path: Path) -> int:
    found = re.search(r"(\d+)", path.name)
    assert found is not None
    return int(found[1])
