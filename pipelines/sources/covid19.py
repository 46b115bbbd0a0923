"""COVID-19 Radiography Database, releases 1 to 5: one folder a class; release 5 has images/ and masks/ inside it.

Each class's metadata sheet, `<class>.metadata.xlsx`, says where its images come from; its names may differ from the
files' in case. A sheet that is not there leaves the column empty.
"""

import os
from pathlib import Path

import polars as pl

from data_contracts.tables.covid19 import COVID19_CLASSES
from pipelines.sources.films import Films
from pipelines.sources.raw_table import RawTable, Source, find_below
from pipelines.sources.refusals import SourceError
from pipelines.sources.releases import Release
from pipelines.sources.sheets import read_sheet
from pipelines.sources.typed_columns import typed

SUFFIXES = (".png", ".jpg", ".jpeg")
_SHEET_COLUMNS = ("FILE NAME", "URL")
OUTER_FOLDER = "COVID-19_Radiography_Dataset"
CLASSIFIED = ("COVID", "Normal")
"""Classes whose films are decoded: the paper tells these two apart."""
FIRST_ID = 910_000_000
"""Open-I's reports are 900,000,000 and more."""


def read_images(table: RawTable, root: Path) -> pl.LazyFrame:
    """List the images of every class folder that is there, with mask and origin."""
    base = _base(root)
    rows = []
    for label in _labels(base):
        urls = _urls(find_below(base, f"{label}.metadata.xlsx"))
        masks = _names(base / label / "masks")
        for name, path in _images(base, label):
            image_id = Path(name).stem
            mask = f"{label}/masks/{name}" if name in masks else None
            rows.append((image_id, label, path, mask, urls.get(image_id.lower())))
    below = "" if base == root else f"{base.name}/"
    frame = pl.LazyFrame(rows, schema=dict.fromkeys(table.contract.columns(), pl.String), orient="row")
    paths = [(pl.lit(below) + pl.col(name)).alias(name) for name in ("path", "mask_path")]
    return typed(frame.with_columns(paths), table.contract)


def list_sheets(table: RawTable, root: Path) -> list[Path]:
    """Return the metadata sheets that are there."""
    base = _base(root)
    sheets = [find_below(base, f"{label}.metadata.xlsx") for label in _labels(base)]
    return [path for path in sheets if path is not None]


def list_names(table: RawTable, root: Path) -> list[str]:
    """Return the names of all images and masks."""
    base = _base(root)
    names = [path for label in _labels(base) for _, path in _images(base, label)]
    return names + [
        f"{label}/masks/{name}" for label in _labels(base) for name in sorted(_names(base / label / "masks"))
    ]


def list_films(root: Path) -> list[str]:
    """Return every image of the two classes that are told apart, below the root."""
    base = next((base for base in (root, root / OUTER_FOLDER) if _labels(base)), root)
    below = "" if base == root else f"{base.name}/"
    return [f"{below}{path}" for label in _labels(base) if label in CLASSIFIED for _, path in _images(base, label)]


def list_masks(root: Path) -> list[str]:
    """Return every lung mask of the two classes that are told apart, below the root."""
    base = next((base for base in (root, root / OUTER_FOLDER) if _labels(base)), root)
    below = "" if base == root else f"{base.name}/"
    return [
        f"{below}{label}/masks/{name}"
        for label in _labels(base)
        if label in CLASSIFIED
        for name in sorted(_names(base / label / "masks"))
    ]


def _base(root: Path) -> Path:
    """Return the folder that holds the class folders.

    Raises:
        SourceError: there is none.
    """
    for base in (root, root / OUTER_FOLDER):
        if _labels(base):
            return base
    raise SourceError(
        f"MEDCSP_COVID19={root}: holds none of the folders {', '.join(COVID19_CLASSES)}; "
        "set MEDCSP_COVID19 to the folder of the release"
    )


def _labels(base: Path) -> list[str]:
    return [label for label in COVID19_CLASSES if (base / label).is_dir()]


def _images(base: Path, label: str) -> list[tuple[str, str]]:
    """Return name and path below the base of every image of a class."""
    inner = f"{label}/images" if (base / label / "images").is_dir() else label
    return [(name, f"{inner}/{name}") for name in sorted(_names(base / inner))]


def _names(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES)}


def _urls(sheet: Path | None) -> dict[str, str]:
    """Return lower-case image name to origin."""
    name, url = _SHEET_COLUMNS
    rows = read_sheet(sheet, columns=_SHEET_COLUMNS) if sheet is not None else []
    return {row[name].lower(): row[url] for row in rows if name in row and url in row}


def _lacks(root: Path, *, inner: str) -> list[str]:
    """Return which class folders lack images of their own, or of an inner folder."""
    try:
        base = _base(root)
    except SourceError:
        return [f"folder {label}" for label in COVID19_CLASSES]
    return [
        f"images in {base / label / inner}"
        for label in _labels(base)
        if (base / label / "images").is_dir() != bool(inner) or not _names(base / label / inner)
    ]


SOURCE = Source(
    name="covid19",
    required=False,
    tables=(
        RawTable(
            table="covid19__images",
            source="covid19",
            files=(f"{COVID19_CLASSES[0]}/*.png",),
            reader=read_images,
            lister=list_sheets,
            listing=list_names,
        ),
    ),
    where="kaggle.com/datasets/tawsifurrahman/covid19-radiography-database: the folder that holds COVID/ and Normal/",
    folder="covid19",
    releases=(
        Release(name="v4", structure=lambda root: _lacks(root, inner="")),
        Release(name="v5", structure=lambda root: _lacks(root, inner="images")),
    ),
    films=Films(
        source="covid19",
        table="covid19_films",
        texts="",
        listed_in="covid19__images",
        paths=list_films,
        first_id=FIRST_ID,
    ),
)
