"""MIMIC-CXR-JPG 2.0.0 and 2.1.0: metadata, split and labels. The file names keep 2.0.0 in release 2.1.0.

Its JPG images lie where the DICOM files of MIMIC-CXR do, with another ending; decoding them is `pipelines.features`.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import polars as pl

from pipelines.sources.csv_files import scan_csv
from pipelines.sources.files_below import find_below
from pipelines.sources.observations import scan_labels
from pipelines.sources.raw_table import RawTable, Source
from pipelines.sources.releases import Release, named_release
from pipelines.sources.typed_columns import typed

METADATA = "mimic-cxr-2.0.0-metadata.csv.gz"
TEST_LABELS = "mimic-cxr-2.1.0-test-set-labeled.csv"
"""Came with 2.1.0."""
RELEASES = ("2.0.0", "2.1.0")

_COLUMNS = {
    "dicom_id": "dicom_id",
    "subject_id": "subject_id",
    "study_id": "study_id",
    "view_position": "ViewPosition",
    "height_pixels": "Rows",
    "width_pixels": "Columns",
    "study_date": "StudyDate",
    "study_clock": "StudyTime",
}


def study_time(date: pl.Expr, clock: pl.Expr) -> pl.Expr:
    """Return one microsecond timestamp from DICOM text: date 21800506 and time HHMMSS.ffffff.

    The CSV writes the time as a number, so leading zeros are gone: 80556.875 is 08:05:56.875 and 12.5 is 00:00:12.5.
    Read as text, never as a float, so that the fraction stays exact. Null where either part is missing or impossible.
    """
    whole = clock.str.extract(r"^(\d{1,6})(?:\.\d*)?$", 1).str.zfill(6)
    fraction = clock.str.extract(r"\.(\d{1,6})", 1).fill_null("0")
    day = date.str.extract(r"^(\d{8})(?:\.0*)?$", 1)
    stamp = pl.concat_str(day, pl.lit(" "), whole, pl.lit("."), fraction)
    return stamp.str.to_datetime("%Y%m%d %H%M%S%.f", time_unit="us", strict=False)


def read_metadata(table: RawTable, root: Path) -> pl.LazyFrame:
    """Read the metadata file, one row per image."""
    (path,) = table.find(root)
    frame = scan_csv(path, columns=_COLUMNS, table=table.table)
    return typed(frame, table.contract, casts={"study_time": study_time(pl.col("study_date"), pl.col("study_clock"))})


def read_labels(table: RawTable, root: Path, *, ids: tuple[str, ...], old_names: bool = False) -> pl.LazyFrame:
    """Read a label file, one row per study."""
    (path,) = table.find(root)
    frame = scan_labels(path, columns={name: name for name in ids}, table=table.table, old_names=old_names)
    return typed(frame, table.contract)


def releases_told_by(file: str, *, columns: Mapping[str, tuple[str, ...]]) -> tuple[Release, ...]:
    """Return releases 2.0.0 and 2.1.0 of MIMIC-CXR or MIMIC-CXR-JPG, whose tables have the same columns.

    Args:
        file: what came with 2.1.0. A tree without it is of 2.1.0 only where its folder or its papers say so.
        columns: columns of the files that both releases have.
    """
    old, new = RELEASES

    def is_new(root: Path) -> bool:
        return find_below(root, file) is not None or named_release(root, [*RELEASES]) == new

    return (
        Release(name=old, columns=columns, sign=f"no {file}", look=lambda root: not is_new(root)),
        Release(name=new, columns=columns, sign=f"{file}, or a folder or papers that name {new}", look=is_new),
    )


def _optional(name: str, file: str, **options: object) -> RawTable:
    return RawTable(table=f"mimic_cxr_jpg__{name}", source="mimic_cxr_jpg", files=(file,), optional=True, **options)  # type: ignore[arg-type]


_read_study_labels = partial(read_labels, ids=("subject_id", "study_id"))

SOURCE = Source(
    name="mimic_cxr_jpg",
    required=False,
    tables=(
        RawTable(
            table="mimic_cxr_jpg__metadata",
            source="mimic_cxr_jpg",
            files=(METADATA,),
            reader=read_metadata,
        ),
        _optional("split", "mimic-cxr-2.0.0-split.csv.gz"),
        _optional("chexpert", "mimic-cxr-2.0.0-chexpert.csv.gz", reader=_read_study_labels),
        _optional("negbio", "mimic-cxr-2.0.0-negbio.csv.gz", reader=_read_study_labels),
        _optional(
            "test_labels",
            TEST_LABELS,
            reader=partial(read_labels, ids=("study_id",), old_names=True),
        ),
    ),
    where=f"physionet.org/content/mimic-cxr-jpg: the folder that holds {METADATA}",
    folder="mimic-cxr-jpg",
    releases=releases_told_by(TEST_LABELS, columns={METADATA: tuple(_COLUMNS.values())}),
)
