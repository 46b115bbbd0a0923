"""CheXpert 1.0, small and full: images with their labels, and the labels of two later labelers.

The full release drops `train/` between its batch folders and the patients; the small one has it. Paths in the lists
begin with the name of a folder that need not be there.
"""

import os
import re
from pathlib import Path

import polars as pl

from pipelines.sources.csv_files import read_header, scan_csv
from pipelines.sources.films import Films
from pipelines.sources.observations import OBSERVATIONS, TITLES, scan_labels
from pipelines.sources.raw_table import RawTable, Source, find_below
from pipelines.sources.refusals import REJECTED, SourceError
from pipelines.sources.releases import Release
from pipelines.sources.typed_columns import typed

IMAGE_LISTS = {"train": ("train.csv",), "valid": ("valid.csv",), "test": ("test_labels.csv", "test.csv")}
"""Names under which the list of each part may lie."""

SMALL = "-small"
"""How the folder of the small release ends, which the paths in its lists begin with."""
CLASSIFIED = "valid"
"""Part whose films are decoded: radiologists labelled it, and the paper measures on it."""
FIRST_ID = 920_000_000
"""COVID-19 Radiography's films are 910,000,000 and more."""

_VIEW_COLUMNS = {"sex": "Sex", "age": "Age", "frontal_lateral": "Frontal/Lateral", "ap_pa": "AP/PA"}
_WITHOUT_FIRST_FOLDER = r"^/?[^/]+/"
_BATCH_OF_TRAIN = re.compile(r"batch \d+ \(train", re.IGNORECASE)


def read_images(table: RawTable, root: Path) -> pl.LazyFrame:
    """Read the lists of every part that is there, one row per image."""
    places = _Places(root)
    frames = [_read_list(table, path) for path in list_images(table, root)]
    frame = pl.concat(frames).with_columns(
        split=pl.col("image_id").str.extract(r"^([^/]+)/", 1),
        patient_id=pl.col("image_id").str.extract(r"/patient(\d+)/", 1),
        study=pl.col("image_id").str.extract(r"/study(\d+)/", 1),
        path=pl.col("image_id").map_batches(places.find, return_dtype=pl.String),
    )
    return typed(frame, table.contract)


def read_labels(table: RawTable, root: Path) -> pl.LazyFrame:
    """Read the labels of one labeler for the training images."""
    (path,) = table.find(root)
    frame = scan_labels(path, columns={"image_id": "Path"}, table=table.table)
    return typed(frame.with_columns(pl.col("image_id").str.replace(_WITHOUT_FIRST_FOLDER, "")), table.contract)


def list_images(table: RawTable, root: Path) -> list[Path]:
    """Return the lists of images that are there.

    Raises:
        SourceError: there is none.
    """
    lists = _lists(root)
    if not lists:
        raise SourceError(
            f"{table.variable}={root}: table {table.table} needs train.csv or valid.csv, which are not there; "
            f"set {table.variable} to the folder of the release"
        )
    return lists


def list_places(table: RawTable, root: Path) -> list[str]:
    """Return the folders that hold images, by name alone."""
    return _Places(root).lines()


def list_films(root: Path) -> list[str]:
    """Return every image of the part that is classified, below the root."""
    base = _Places(root).base(CLASSIFIED)
    if base is None:
        return []
    return sorted(path.relative_to(root).as_posix() for path in (root / base).rglob("*.jpg"))


def _read_list(table: RawTable, path: Path) -> pl.LazyFrame:
    header = {name.lower() for name in read_header(path)}
    there = {name: title for name, title in _VIEW_COLUMNS.items() if title.lower() in header}
    frame = scan_labels(path, columns={"image_id": "Path", **there}, table=table.table)
    absent = [pl.lit(None, pl.String).alias(name) for name in _VIEW_COLUMNS if name not in there]
    return frame.with_columns(pl.col("image_id").str.replace(_WITHOUT_FIRST_FOLDER, ""), *absent).select(
        "image_id", *_VIEW_COLUMNS, *OBSERVATIONS, REJECTED
    )


def _lists(root: Path) -> list[Path]:
    found = [_find(root, names) for names in IMAGE_LISTS.values()]
    return [path for path in found if path is not None]


def _find(root: Path, names: tuple[str, ...]) -> Path | None:
    folders = [root, *_folders(root)]
    return next((path for folder in folders for name in names if (path := find_below(folder, name))), None)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


class _Places:
    """Where the images of each part lie: below a folder of the part's name, or patients spread over batch folders."""

    def __init__(self, root: Path) -> None:
        self._bases: dict[str, str] = {}
        self._batch_of: dict[str, str] = {}
        for folder in (root, *_folders(root)):
            prefix = "" if folder == root else f"{folder.name}/"
            for part in IMAGE_LISTS:
                if part not in self._bases and (folder / part).is_dir():
                    self._bases[part] = f"{prefix}{part}/"
            if _BATCH_OF_TRAIN.search(folder.name):
                with os.scandir(folder) as entries:
                    self._batch_of.update({entry.name: prefix for entry in entries if entry.is_dir()})

    def lines(self) -> list[str]:
        """Return one line per place."""
        return [*sorted(self._bases.values()), *sorted(f"{batch}{name}" for name, batch in self._batch_of.items())]

    def base(self, part: str) -> str | None:
        """Return the folder of a part below the root, None where it is not there."""
        return self._bases.get(part)

    def find(self, image_ids: pl.Series) -> pl.Series:
        """Return the path below the root of every image, null where no folder would hold it."""
        return pl.Series([self._path(name) for name in image_ids.to_list()], dtype=pl.String)

    def _path(self, image_id: str | None) -> str | None:
        part, _, rest = (image_id or "").partition("/")
        if part in self._bases:
            return f"{self._bases[part]}{rest}"
        batch = self._batch_of.get(rest.partition("/")[0]) if part == "train" else None
        return None if batch is None else f"{batch}{rest}"


def _lacks(root: Path) -> list[str]:
    """Return what the lists of a tree lack: they, or columns of theirs."""
    lists = _lists(root)
    lacking = []
    for path in lists:
        header = {name.lower() for name in read_header(path)}
        if missing := [name for name in ("Path", *TITLES.values()) if name.lower() not in header]:
            lacking.append(f"{'columns' if missing[1:] else 'column'} {', '.join(missing)} of {path}")
    return lacking if lists else ["file train.csv or valid.csv"]


def _is_small(root: Path) -> bool:
    """Return whether the lists name the folder of the small release; where they are empty, whether a folder does."""
    for path in _lists(root):
        first = scan_csv(path, columns={"path": "Path"}, table="chexpert__images").head(1).collect()["path"].to_list()
        if first and first[0]:
            return SMALL in first[0].lower()
    return any(folder.name.lower().endswith(SMALL) for folder in (root.resolve(), *_folders(root)))


SOURCE = Source(
    name="chexpert",
    required=False,
    tables=(
        RawTable(
            table="chexpert__images",
            source="chexpert",
            files=("train.csv or valid.csv",),
            reader=read_images,
            lister=list_images,
            listing=list_places,
        ),
        RawTable(
            table="chexpert__chexbert",
            source="chexpert",
            files=("train_cheXbert.csv",),
            reader=read_labels,
            optional=True,
        ),
        RawTable(
            table="chexpert__visual_chexbert",
            source="chexpert",
            files=("train_visualCheXbert.csv",),
            reader=read_labels,
            optional=True,
        ),
    ),
    where="CheXpert-v1.0 or CheXpert-v1.0-small (Stanford AIMI): the folder that holds train.csv and valid.csv",
    folder="chexpert",
    releases=(
        Release(name="small", structure=_lacks, sign=f"paths of a folder that ends in {SMALL}", look=_is_small),
        Release(name="full", structure=_lacks, sign="other paths", look=lambda root: not _is_small(root)),
    ),
    films=Films(
        source="chexpert",
        table="chexpert_films",
        texts="",
        listed_in="chexpert__images",
        paths=list_films,
        first_id=FIRST_ID,
    ),
)
