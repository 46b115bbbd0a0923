"""MIMIC-CXR 2.1.0: the lists of images and studies, the reports, and the DICOM headers.

Reports are read from the unpacked tree, or from `mimic-cxr-reports.zip` beside the lists where a file is not unpacked;
nothing is extracted to disk. Headers are read only where the JPG release, whose metadata says the same, is absent.
"""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

import polars as pl
from polars.io.plugins import register_io_source

from pipelines.sources.csv_files import scan_csv
from pipelines.sources.mimic_cxr_jpg import study_time
from pipelines.sources.raw_table import RawTable, Source, find_below
from pipelines.sources.refusals import SourceError
from pipelines.sources.typed_columns import typed

STUDY_LIST = "cxr-study-list.csv.gz"
RECORD_LIST = "cxr-record-list.csv.gz"
REPORTS_ZIP = "mimic-cxr-reports.zip"
REPORTS_FOLDER = "mimic-cxr-reports"
"""Where the zip lands if it is unpacked into a folder of its own name."""

MAX_REPORT_BYTES = 1 << 20
BATCH_FILES = 1_000
NUM_THREADS = 8
"""Small files: the disk's latency is what takes time, not this process."""

Columns = dict[str, str | None]


def read_reports(table: RawTable, root: Path) -> pl.LazyFrame:
    """Read the report of every listed study; one that is missing, empty or not text is rejected with the reason."""
    (study_list,) = table.find(root)
    listed = scan_csv(study_list, columns={n: n for n in ("subject_id", "study_id", "path")}, table=table.table)

    def files(paths: list[str | None]) -> Iterator[Columns]:
        with ExitStack() as stack:
            members = _zip_members(root, stack)
            with ThreadPoolExecutor(NUM_THREADS) as pool:
                yield from pool.map(lambda path: _report(root, path, members), paths)

    return _typed_files(table, listed, files, texts=("text",))


def read_headers(table: RawTable, root: Path) -> pl.LazyFrame:
    """Read view, size and time from the DICOM header of every listed image; pixels are never touched."""
    (record_list,) = table.find(root)
    listed = scan_csv(
        record_list, columns={n: n for n in ("dicom_id", "subject_id", "study_id", "path")}, table=table.table
    )

    def files(paths: list[str | None]) -> Iterator[Columns]:
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            yield from pool.map(lambda path: _header(root, path), paths)

    texts = ("view_position", "height_pixels", "width_pixels", "study_date", "study_clock")
    casts = {"study_time": study_time(pl.col("study_date"), pl.col("study_clock"))}
    return _typed_files(table, listed, files, texts=texts, casts=casts)


def list_reports(table: RawTable, root: Path) -> list[Path]:
    """Return the study list and the report files that are there, or the zip of them."""
    (study_list,) = table.find(root)
    archive = find_below(root, REPORTS_ZIP)
    return [study_list, *_listed_files(study_list, root), *([archive] if archive else [])]


def list_headers(table: RawTable, root: Path) -> list[Path]:
    """Return the record list and the DICOM files that are there."""
    (record_list,) = table.find(root)
    return [record_list, *_listed_files(record_list, root)]


def safe_path(path: str | None) -> PurePosixPath | None:
    """Return a listed path if it stays below the root, else None."""
    pure = PurePosixPath((path or "").strip().replace("\\", "/"))
    inside = pure.parts and not pure.is_absolute() and ".." not in pure.parts and ":" not in pure.parts[0]
    return pure if inside else None


def _listed_files(list_file: Path, root: Path) -> list[Path]:
    listed = scan_csv(list_file, columns={"path": "path"}, table=list_file.name).collect()["path"]
    safe = (safe_path(path) for path in listed)
    found = (_on_disk(root, path) for path in safe if path is not None)
    return [path for path in found if path is not None]


def _on_disk(root: Path, path: PurePosixPath) -> Path | None:
    candidates = (root / path, root / REPORTS_FOLDER / path)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _typed_files(
    table: RawTable,
    listed: pl.LazyFrame,
    files: Callable[[list[str | None]], Iterator[Columns]],
    *,
    texts: tuple[str, ...],
    casts: dict[str, pl.Expr] | None = None,
) -> pl.LazyFrame:
    """Read what `files` finds at every listed path, batch by batch, and type it; a file's own failure comes first."""
    schema = dict.fromkeys([*listed.collect_schema().names(), *texts, "_failure"], pl.String)

    def batches(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        rows = listed.collect()
        rows = rows if n_rows is None else rows.head(n_rows)
        for part in rows.iter_slices(BATCH_FILES):
            found = pl.DataFrame(
                list(files(part["path"].to_list())), schema=dict.fromkeys([*texts, "_failure"], pl.String)
            )
            batch = part.hstack(found)
            batch = batch if predicate is None else batch.filter(predicate)
            yield batch if with_columns is None else batch.select(with_columns)

    scan = register_io_source(batches, schema=schema)
    return typed(scan, table.contract, casts=casts, failure=pl.col("_failure"))


def _report(root: Path, listed: str | None, members: "_Members") -> Columns:
    path = safe_path(listed)
    if path is None:
        return {"text": None, "_failure": "path: outside the root"}
    try:
        file = _on_disk(root, path)
        data = members(path) if file is None else file.read_bytes()
    except OSError as error:
        return {"text": None, "_failure": f"path: not readable ({type(error).__name__})"}
    if data is None:
        return {"text": None, "_failure": "path: no such report"}
    return _decoded(data)


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


_Members = Callable[[PurePosixPath], bytes | None]


def _zip_members(root: Path, stack: ExitStack) -> _Members:
    """Return a reader of the zip's members by listed path; one that finds nothing where there is no zip."""
    found = find_below(root, REPORTS_ZIP)
    if found is None:
        return lambda path: None
    try:
        archive = stack.enter_context(zipfile.ZipFile(found))
    except zipfile.BadZipFile as error:
        raise SourceError(f"{found}: not a zip file, or a truncated one (download it again)") from error
    infos = {info.filename.removeprefix(f"{REPORTS_FOLDER}/"): info for info in archive.infolist()}

    def read(path: PurePosixPath) -> bytes | None:
        info = infos.get(str(path))
        if info is None:
            return None
        if info.file_size > MAX_REPORT_BYTES:
            return b" " * (MAX_REPORT_BYTES + 1)
        try:
            return archive.read(info)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise SourceError(f"{found}: {path} inside it cannot be read ({error}); download the file again") from error

    return read


def _header(root: Path, listed: str | None) -> Columns:
    import pydicom
    from pydicom.errors import InvalidDicomError

    path = safe_path(listed)
    if path is None:
        return {"_failure": "path: outside the root"}
    tags = ["ViewPosition", "Rows", "Columns", "StudyDate", "StudyTime"]
    try:
        header = pydicom.dcmread(root / path, stop_before_pixels=True, specific_tags=tags)
    except FileNotFoundError:
        return {"_failure": "path: no such image"}
    except (InvalidDicomError, EOFError, OSError) as error:
        return {"_failure": f"path: not a DICOM file ({type(error).__name__})"}
    values = {tag: str(header.get(tag) or "") or None for tag in tags}
    return {
        "view_position": values["ViewPosition"],
        "height_pixels": values["Rows"],
        "width_pixels": values["Columns"],
        "study_date": values["StudyDate"],
        "study_clock": values["StudyTime"],
        "_failure": None,
    }


SOURCE = Source(
    name="mimic_cxr",
    required=True,
    tables=(
        RawTable(table="mimic_cxr__record_list", source="mimic_cxr", files=(RECORD_LIST,)),
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
            lister=list_headers,
            unless="mimic_cxr_jpg",
        ),
    ),
    where="physionet.org/content/mimic-cxr: the folder that holds files/, the two cxr-*-list.csv.gz and the reports",
    folder="mimic-cxr",
)
