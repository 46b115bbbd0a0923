"""MIMIC-CXR 2.0.0 and 2.1.0: the lists of images and studies, the reports, and the DICOM headers.

Reports are read from the unpacked tree, or from `mimic-cxr-reports.zip` beside the lists where a file is not unpacked;
nothing is extracted to disk. Headers are read only where the JPG release, whose metadata says the same, is absent.
"""

import os
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from lake.inside import Inside, OutsideRootError
from pipelines.sources.csv_files import scan_csv
from pipelines.sources.films import Films
from pipelines.sources.mimic_cxr_jpg import releases_told_by, study_time
from pipelines.sources.raw_table import RawTable, Source, find_below
from pipelines.sources.typed_columns import typed
from pipelines.sources.zip_files import open_zip

STUDY_LIST = "cxr-study-list.csv.gz"
RECORD_LIST = "cxr-record-list.csv.gz"
PROVIDER_LIST = "cxr-provider-list.csv.gz"
"""Came with 2.1.0; who ordered and read a film is read by nobody here."""
REPORTS_ZIP = "mimic-cxr-reports.zip"
REPORTS_FOLDER = "mimic-cxr-reports"
"""Where the zip lands if it is unpacked into a folder of its own name."""

DEFLATED = b"1.2.840.10008.1.2.1.99"
META_BYTES = 1 << 11
"""The transfer syntax stands within these."""
MAX_REPORT_BYTES = 1 << 20
BATCH_FILES = 1_000
FILES_AT_ONCE = 32
NUM_THREADS = 8
"""Small files: the disk's latency is what takes time, not this process; of a zip one thread is four times as fast."""

Columns = dict[str, str | None]
Read = Callable[[str | None], Columns]
"""Reads one listed file."""
Member = Callable[[str], bytes | None]
"""Reads a report by its listed path; None where it is not there."""


def read_reports(table: RawTable, root: Path) -> pl.LazyFrame:
    """Read the report of every listed study; one that is missing, empty or not text is rejected with the reason."""
    (study_list,) = table.find(root)
    listed = scan_csv(study_list, columns={n: n for n in ("subject_id", "study_id", "path")}, table=table.table)
    inside, folders = Inside(root), _report_folders(root)

    @contextmanager
    def opened() -> Iterator[Read]:
        with _zip_member(root) as member:
            yield lambda path: _report(inside, folders, path, member)

    is_zipped = find_below(root, REPORTS_ZIP) is not None
    return _typed_files(table, listed, opened, texts=("text",), num_threads=1 if is_zipped else NUM_THREADS)


def read_headers(table: RawTable, root: Path) -> pl.LazyFrame:
    """Read view, size and time from the DICOM header of every listed image; pixels are never touched."""
    (record_list,) = table.find(root)
    listed = scan_csv(
        record_list, columns={n: n for n in ("dicom_id", "subject_id", "study_id", "path")}, table=table.table
    )
    inside = Inside(root)

    @contextmanager
    def opened() -> Iterator[Read]:
        yield lambda path: _header(inside, path)

    texts = ("view_position", "height_pixels", "width_pixels", "study_date", "study_clock")
    casts = {"study_time": study_time(pl.col("study_date"), pl.col("study_clock"))}
    return _typed_files(table, listed, opened, texts=texts, casts=casts)


def list_reports(table: RawTable, root: Path) -> list[Path]:
    """Return the study list and the report files that are there, or the zip of them."""
    (study_list,) = table.find(root)
    archive = find_below(root, REPORTS_ZIP)
    inside, folders = Inside(root), _report_folders(root)
    found = (_unpacked(inside, folders, path) for path in _listed_paths(study_list))
    return [study_list, *(Path(path) for path in found if path is not None), *([archive] if archive else [])]


def list_header_times(table: RawTable, root: Path) -> list[str]:
    """Return size and time of every listed DICOM file: far too many bytes to hash for what a header says."""
    return [_listing_line(root, path) for path in film_paths(table, root)]


def film_paths(table: RawTable, root: Path) -> list[str]:
    """Return the path of every film of the record list, which `table` names."""
    (record_list,) = table.find(root)
    return _listed_paths(record_list)


def _listing_line(root: Path, path: str) -> str:
    """Return path, size and time of a file; of one that is not there, the path alone."""
    try:
        status = os.stat(os.path.join(root, path))  # noqa: PTH116, PTH118 - 377,110 of them
    except (OSError, ValueError):
        return path
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def _listed_paths(list_file: Path) -> list[str]:
    return scan_csv(list_file, columns={"path": "path"}, table=list_file.name).collect()["path"].drop_nulls().to_list()


def _report_folders(root: Path) -> tuple[str, ...]:
    """Return where reports can lie unpacked: 227,835 files are looked for at every run, so nowhere else."""
    return ("", f"{REPORTS_FOLDER}/") if (root / REPORTS_FOLDER).is_dir() else ("",)


def _unpacked(inside: Inside, folders: tuple[str, ...], path: str | None) -> str | None:
    """Return the file of a listed report where it is unpacked, None where it is not there or leads out of the root."""
    for folder in folders:
        try:
            candidate = inside.file(f"{folder}{path or ''}")
        except OutsideRootError:
            return None
        if os.path.isfile(candidate):  # noqa: PTH113
            return candidate
    return None


def _typed_files(
    table: RawTable,
    listed: pl.LazyFrame,
    opened: Callable[[], AbstractContextManager[Read]],
    *,
    texts: tuple[str, ...],
    casts: dict[str, pl.Expr] | None = None,
    num_threads: int = NUM_THREADS,
) -> pl.LazyFrame:
    """Read every listed file, batch by batch, with what is opened once for all; a file's own failure comes first."""
    schema = dict.fromkeys([*listed.collect_schema().names(), *texts, "_failure"], pl.String)

    def batches(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        rows = listed.collect()
        rows = rows if n_rows is None else rows.head(n_rows)
        with opened() as read, ThreadPoolExecutor(num_threads) as pool:
            for part in rows.iter_slices(BATCH_FILES):
                pieces = [piece["path"].to_list() for piece in part.iter_slices(FILES_AT_ONCE)]
                found = chain.from_iterable(pool.map(lambda paths: [read(path) for path in paths], pieces))
                batch = part.hstack(pl.DataFrame(list(found), schema=dict.fromkeys([*texts, "_failure"], pl.String)))
                batch = batch if predicate is None else batch.filter(predicate)
                yield batch if with_columns is None else batch.select(with_columns)

    scan = register_io_source(batches, schema=schema)
    return typed(scan, table.contract, casts=casts, failure=pl.col("_failure"))


def _report(inside: Inside, folders: tuple[str, ...], listed: str | None, member: Member) -> Columns:
    try:
        inside.file(listed)
        file = _unpacked(inside, folders, listed)
        data = member((listed or "").strip()) if file is None else _read_at_most(file, MAX_REPORT_BYTES + 1)
    except OutsideRootError as error:
        return {"text": None, "_failure": f"path: {error}"}
    except OSError as error:
        return {"text": None, "_failure": f"path: not readable ({type(error).__name__})"}
    if data is None:
        return {"text": None, "_failure": "path: no such report"}
    return _decoded(data)


def _read_at_most(path: str, num_bytes: int) -> bytes:
    with Path(path).open("rb") as stream:
        return stream.read(num_bytes)


def _decoded(data: bytes) -> Columns:
    if len(data) > MAX_REPORT_BYTES:
        return {"text": None, "_failure": f"text: longer than {MAX_REPORT_BYTES} bytes"}
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return {"text": None, "_failure": "text: not text"}
    if "\0" in text:
        return {"text": None, "_failure": "text: not text"}
    return {"text": text, "_failure": None} if text.strip() else {"text": None, "_failure": "text: empty"}


@contextmanager
def _zip_member(root: Path) -> Iterator[Member]:
    """Open a reader of the zip's members by listed path; one that finds nothing where there is no zip."""
    found = find_below(root, REPORTS_ZIP)
    if found is None:
        yield lambda path: None
        return
    with open_zip(found, prefix=f"{REPORTS_FOLDER}/") as members:
        yield lambda path: members.read(path, max_bytes=MAX_REPORT_BYTES)


def _header(inside: Inside, listed: str | None) -> Columns:
    import pydicom
    from pydicom.errors import BytesLengthException, InvalidDicomError

    tags = ["ViewPosition", "Rows", "Columns", "StudyDate", "StudyTime"]
    # pydicom has no common class for what it raises on damaged files
    damage = (AttributeError, BytesLengthException, EOFError, InvalidDicomError, KeyError, NotImplementedError, OSError)
    try:
        with Path(inside.file(listed)).open("rb") as stream:
            if DEFLATED in stream.read(META_BYTES):
                # it would be inflated whole, to whatever size, for a few elements
                return {"_failure": "path: a deflated DICOM file, which no release holds"}
            stream.seek(0)
            header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=tags)
        values = {tag: str(header.get(tag) or "") or None for tag in tags}
    except OutsideRootError as error:
        return {"_failure": f"path: {error}"}
    except FileNotFoundError:
        return {"_failure": "path: no such image"}
    except (*damage, OverflowError, RecursionError, TypeError, ValueError, struct.error) as error:
        return {"_failure": f"path: not a DICOM file ({type(error).__name__})"}
    return {
        "view_position": values["ViewPosition"],
        "height_pixels": values["Rows"],
        "width_pixels": values["Columns"],
        "study_date": values["StudyDate"],
        "study_clock": values["StudyTime"],
        "_failure": None,
    }


_COLUMNS = {
    RECORD_LIST: ("subject_id", "study_id", "dicom_id", "path"),
    STUDY_LIST: ("subject_id", "study_id", "path"),
}

_RECORDS = RawTable(table="mimic_cxr__record_list", source="mimic_cxr", files=(RECORD_LIST,))

SOURCE = Source(
    name="mimic_cxr",
    required=True,
    tables=(
        _RECORDS,
        RawTable(table="mimic_cxr__study_list", source="mimic_cxr", files=(STUDY_LIST,)),
        RawTable(
            table="mimic_cxr__reports",
            source="mimic_cxr",
            files=(STUDY_LIST,),
            reader=read_reports,
            lister=list_reports,
        ),
        RawTable(
            table="mimic_cxr__headers",
            source="mimic_cxr",
            files=(RECORD_LIST,),
            reader=read_headers,
            listing=list_header_times,
            unless="mimic_cxr_jpg",
        ),
    ),
    where="physionet.org/content/mimic-cxr: the folder that holds files/, the two cxr-*-list.csv.gz and the reports",
    folder="mimic-cxr",
    releases=releases_told_by(PROVIDER_LIST, columns=_COLUMNS),
    films=Films(
        source="cxr",
        table="mimic_cxr_films",
        texts="mimic_cxr__reports",
        listed_in="mimic_cxr__record_list",
        paths=lambda root: film_paths(_RECORDS, root),
    ),
)
