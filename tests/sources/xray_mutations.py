"""Copies of small X-ray trees to be changed, and what must come of a change."""

import csv
import gzip
import io
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from hypothesis import strategies as st

from pipelines.sources import SOURCES, TABLES, RawTable

LABELS = ("Edema", "No Finding", "Support Devices")
# Layout, table, file, and columns that the table cannot be read without.
LISTS = (
    ("first", "mimic_cxr__record_list", "cxr-record-list.csv.gz", ("subject_id", "study_id", "dicom_id", "path")),
    ("first", "mimic_cxr__headers", "cxr-record-list.csv.gz", ("subject_id", "study_id", "dicom_id", "path")),
    ("first", "mimic_cxr__study_list", "cxr-study-list.csv.gz", ("subject_id", "study_id", "path")),
    ("other", "mimic_cxr__reports", "cxr-study-list.csv.gz", ("subject_id", "study_id", "path")),
    ("first", "mimic_cxr_jpg__metadata", "mimic-cxr-2.0.0-metadata.csv.gz", ("dicom_id", "Rows", "StudyTime")),
    ("first", "mimic_cxr_jpg__split", "mimic-cxr-2.0.0-split.csv.gz", ("dicom_id", "split")),
    ("first", "mimic_cxr_jpg__chexpert", "mimic-cxr-2.0.0-chexpert.csv.gz", ("study_id", *LABELS)),
    ("first", "mimic_cxr_jpg__negbio", "mimic-cxr-2.0.0-negbio.csv.gz", ("subject_id", *LABELS)),
    ("other", "open_i__reports", "indiana_reports.csv", ("uid", "MeSH", "findings")),
    ("other", "open_i__images", "indiana_projections.csv", ("uid", "filename", "projection")),
    ("first", "chexpert__images", "CheXpert-v1.0-small/train.csv", ("Path", *LABELS)),
    ("other", "chexpert__chexbert", "train_cheXbert.csv", ("Path", *LABELS)),
)


@dataclass
class Tree:
    """A copy of one source, to be changed; its files are links until they are written."""

    root: Path
    table: RawTable
    frame: pl.DataFrame

    def read(self, file: str) -> bytes:
        data = (self.root / file).read_bytes()
        return gzip.decompress(data) if file.endswith(".gz") else data

    def put(self, file: str, data: bytes) -> None:
        """Write a file's bytes as they stand, never through a link."""
        path = self.root / file
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def write(self, file: str, text: bytes) -> None:
        self.put(file, gzip.compress(text, 1) if file.endswith(".gz") else text)

    def lines(self, file: str) -> list[list[str]]:
        return list(csv.reader(io.StringIO(self.read(file).decode(), newline="")))

    def write_lines(self, file: str, lines: list[list[str]], *, ending: str = "\n", mark: str = "") -> None:
        stream = io.StringIO()
        csv.writer(stream, lineterminator=ending).writerows(lines)
        self.write(file, (mark + stream.getvalue()).encode())

    def link_outside(self, file: str) -> None:
        path = self.root / file
        outside = self.root.parent / f"outside-{path.name}"
        path.rename(outside)
        path.symlink_to(outside)

    def rejected(self, row: int, rule: str, **columns: object) -> pl.DataFrame:
        """The table, but for one row: rejected under a rule, with other values in some columns."""
        here = pl.int_range(pl.len()) == row
        changes = {name: pl.lit(value, self.frame.schema[name]) for name, value in columns.items()}
        return self.frame.with_columns(
            *(pl.when(here).then(value).otherwise(name).alias(name) for name, value in changes.items()),
            pl.when(here).then(pl.lit(rule)).otherwise("_rejected").alias("_rejected"),
        )


@dataclass
class Outcome:
    """What must come of a changed tree: a table, or an error that names a file."""

    tree: Tree
    frame: pl.DataFrame | None = None
    error: str | None = None
    file: str = ""


@dataclass
class Given:
    """The trees to choose from, and hypothesis' choices."""

    trees: dict[str, Path]
    frames: dict[tuple[str, str], pl.DataFrame]
    folder: Path
    data: st.DataObject

    def pick(self, *choices):
        return self.data.draw(st.sampled_from(choices))

    def number(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, high))

    def open(self, layout: str, table: str) -> Tree:
        source = SOURCES[TABLES[table].source]
        root = self.folder / "root"
        shutil.copytree(self.trees[layout] / source.folder, root, copy_function=os.link)
        if (layout, table) not in self.frames:
            self.frames[layout, table] = TABLES[table].read(root).collect()
        return Tree(root, TABLES[table], self.frames[layout, table])

    def list(self, packed: bool | None = None) -> tuple[Tree, str, tuple[str, ...]]:
        found = [row for row in LISTS if packed in (None, row[2].endswith(".gz"))]
        layout, table, file, columns = self.pick(*found)
        return self.open(layout, table), file, columns
