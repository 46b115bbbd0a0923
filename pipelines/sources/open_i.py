"""Open-I, the Indiana University chest X-rays, in both published forms.

`xml`: the National Library of Medicine's `ecgen-radiology/*.xml`, one report a file, beside a folder of PNG files.
`kaggle`: `indiana_reports.csv` and `indiana_projections.csv`, beside `images/images_normalized/`.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import polars as pl

from lake.inside import Inside, OutsideRootError
from pipelines.sources.csv_files import scan_csv
from pipelines.sources.films import Films
from pipelines.sources.raw_table import RawTable, Source, find_below
from pipelines.sources.refusals import SourceError
from pipelines.sources.releases import Release
from pipelines.sources.typed_columns import typed

XML_FOLDER = "ecgen-radiology"
REPORTS_CSV = "indiana_reports.csv"
PROJECTIONS_CSV = "indiana_projections.csv"
IMAGE_FOLDERS = ("NLMCXR_png", "images/images_normalized", "images", "png", ".")
SECTIONS = ("comparison", "indication", "findings", "impression")
MAX_XML_BYTES = 1 << 20
FIRST_ID = 900_000_000
"""Reports are numbered from 1; the subjects and studies of every MIMIC release have eight digits or less."""

Row = dict[str, str | None]


def read_reports(table: RawTable, root: Path) -> pl.LazyFrame:
    """Read every report, by section; a file that is no report is rejected with the reason."""
    if (csv := _kaggle_file(root, REPORTS_CSV)) is not None:
        columns = {name: name for name in table.contract.columns() if name != "automatic"}
        frame = scan_csv(csv, columns=columns, table=table.table).with_columns(automatic=pl.lit(None, pl.String))
        return typed(frame, table.contract)
    rows = [report for report, _ in _xml_rows(root)]
    frame = pl.LazyFrame(rows, schema=dict.fromkeys([*table.contract.columns(), "_failure"], pl.String))
    return typed(frame, table.contract, failure=pl.col("_failure"))


def read_images(table: RawTable, root: Path) -> pl.LazyFrame:
    """Read the images that reports name, and where each lies."""
    files = _image_files(root)
    if (csv := _kaggle_file(root, PROJECTIONS_CSV)) is not None:
        columns = {"uid": "uid", "projection": "projection", "image_id": "filename"}
        frame = scan_csv(csv, columns=columns, table=table.table)
        frame = frame.with_columns(pl.col("image_id").str.replace(r"(\.dcm)?\.png$", ""))
    else:
        rows = [{"uid": report["uid"], "image_id": name} for report, names in _xml_rows(root) for name in names]
        frame = pl.LazyFrame(rows, schema={"uid": pl.String, "image_id": pl.String})
        frame = frame.with_columns(projection=pl.lit(None, pl.String))
    places = pl.LazyFrame(
        {"image_id": list(files), "path": list(files.values())}, schema=dict.fromkeys(_PLACE, pl.String)
    )
    return typed(frame.join(places, on="image_id", how="left", maintain_order="left"), table.contract)


def list_reports(table: RawTable, root: Path) -> list[Path]:
    """Return the report files, whichever form they have."""
    if (csv := _kaggle_file(root, REPORTS_CSV)) is not None:
        return [csv]
    return _xml_files(root)


def list_images(table: RawTable, root: Path) -> list[Path]:
    """Return the files that name images: those of the reports, or Kaggle's list of projections."""
    if (csv := _kaggle_file(root, PROJECTIONS_CSV)) is not None:
        return [csv]
    return _xml_files(root)


def list_places(table: RawTable, root: Path) -> list[str]:
    """Return where the images lie, by name alone."""
    return sorted(_image_files(root).values())


def _xml_folder(root: Path) -> Path | None:
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())] if root.is_dir() else []
    return next((folder / XML_FOLDER for folder in folders if (folder / XML_FOLDER).is_dir()), None)


def _kaggle_file(root: Path, name: str) -> Path | None:
    """Return a file of the Kaggle form; None where the XML form is there.

    Raises:
        SourceError: neither form is there.
    """
    if _xml_folder(root) is not None:
        return None
    found = find_below(root, name)
    if found is None:
        raise SourceError(
            f"MEDCSP_OPEN_I={root}: holds neither {XML_FOLDER}/ nor {name}; "
            "set MEDCSP_OPEN_I to the folder of either form of the release"
        )
    return found


def _xml_files(root: Path) -> list[Path]:
    folder = _xml_folder(root)
    assert folder is not None
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".xml")


def _xml_rows(root: Path) -> Iterator[tuple[Row, list[str]]]:
    """Yield each report's columns and the names of its images."""
    inside = Inside(root)
    files = _xml_files(root)
    if not files:
        raise SourceError(f"MEDCSP_OPEN_I={root}: {XML_FOLDER}/ holds no .xml file; unpack NLMCXR_reports.tgz there")
    for path in files:
        try:
            name = inside.file(path.relative_to(root).as_posix())
            yield _parse(Path(name).read_bytes())
        except OutsideRootError as error:
            yield {"_failure": f"path: {error}"}, []
        except OSError as error:
            yield {"_failure": f"path: not readable ({type(error).__name__})"}, []


def _parse(data: bytes) -> tuple[Row, list[str]]:
    if len(data) > MAX_XML_BYTES:
        return {"_failure": f"report: longer than {MAX_XML_BYTES} bytes"}, []
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        return {"_failure": "report: declares entities, which no report does"}, []
    try:
        tree = ElementTree.fromstring(data)  # noqa: S314 - without declarations there is nothing to expand
    except (ElementTree.ParseError, ValueError, LookupError):
        return {"_failure": "report: not XML, or cut off"}, []
    uid = tree.find("uId")
    if tree.tag != "eCitation" or uid is None:
        return {"_failure": "report: not one of Open-I"}, []
    number = re.fullmatch(r"CXR(\d+)", uid.get("id") or "")
    mesh = [_text(term) for term in tree.findall("MeSH/major")]
    row = {
        "uid": number[1] if number else uid.get("id"),
        **{section: _section(tree, section) for section in SECTIONS},
        "mesh": _joined(mesh),
        "problems": _joined(list(dict.fromkeys(term.split("/")[0].strip() for term in mesh))),
        "automatic": _joined([_text(term) for term in tree.findall("MeSH/automatic")]),
        "image": _joined(list(dict.fromkeys(_text(caption) for caption in tree.findall("parentImage/caption")))),
    }
    return row, [name for image in tree.findall("parentImage") if (name := image.get("id"))]


def _section(tree: ElementTree.Element, label: str) -> str | None:
    texts = [_text(part) for part in tree.iter("AbstractText") if (part.get("Label") or "").lower() == label]
    return "\n".join(text for text in texts if text) or None


def _text(element: ElementTree.Element) -> str:
    return "".join(element.itertext()).strip()


def _joined(terms: list[str]) -> str | None:
    return ";".join(term for term in terms if term) or None


_PLACE = ("image_id", "path")


def _image_files(root: Path) -> dict[str, str]:
    """Return image name to path below the root, of the first folder that holds any PNG file."""
    for folder in IMAGE_FOLDERS:
        if not (root / folder).is_dir():
            continue
        with os.scandir(root / folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.lower().endswith(".png"))
        if names:
            below = "" if folder == "." else f"{folder}/"
            return {re.sub(r"(\.dcm)?\.png$", "", name, flags=re.I): f"{below}{name}" for name in names}
    return {}


_COLUMNS = {
    REPORTS_CSV: ("uid", "MeSH", "Problems", "image", *SECTIONS),
    PROJECTIONS_CSV: ("uid", "filename", "projection"),
}


def _lacks_of_nlm(root: Path) -> list[str]:
    if _xml_folder(root) is None:
        return [f"folder {XML_FOLDER}"]
    return [] if _xml_files(root) else [f".xml files in {XML_FOLDER}"]


SOURCE = Source(
    name="open_i",
    required=False,
    tables=(
        RawTable(
            table="open_i__reports",
            source="open_i",
            files=(f"{XML_FOLDER}/*.xml or {REPORTS_CSV}",),
            reader=read_reports,
            lister=list_reports,
        ),
        RawTable(
            table="open_i__images",
            source="open_i",
            files=(f"{XML_FOLDER}/*.xml or {PROJECTIONS_CSV}",),
            reader=read_images,
            lister=list_images,
            listing=list_places,
        ),
    ),
    where=f"openi.nlm.nih.gov (NLMCXR_reports.tgz and NLMCXR_png.tgz): the folder that holds {XML_FOLDER}/",
    folder="open-i",
    releases=(
        Release(
            name="Kaggle",
            columns=_COLUMNS,
            sign=f"no folder {XML_FOLDER}",
            look=lambda root: _xml_folder(root) is None,
        ),
        Release(name="NLM", structure=_lacks_of_nlm),
    ),
    films=Films(
        source="open_i",
        table="open_i_films",
        texts="open_i_texts",
        listed_in="open_i__images",
        paths=lambda root: sorted(_image_files(root).values()),
        first_id=FIRST_ID,
    ),
)
