"""What an evaluation set needs beside its corpus: texts, places of films, groups, lung masks.

The format is in `medcsp_model.corpus.films`; who stands in a set, `sql/labels/evaluation_films.sql` says.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_contracts.tables.observations import Observations
from lake.inside import Inside, OutsideRootError
from medcsp_model.corpus import write_films
from pipelines.features.image_files import MAX_PIXELS, ImageError, read_content
from pipelines.features.picture_files import read_grey
from pipelines.features.resizing import resize_exact
from pipelines.features.text import choose_report_text

OBSERVATIONS = tuple(Observations.columns())

FILMS_OF = "films"
MASKS_OF = "masks"
_IS_LUNG = 128
_COPIED = ("record_id", "view", "sex", "age_group", "origin", "label", "path")


def add_films(
    folder: Path,
    *,
    films: pl.DataFrame,
    reports: pl.LazyFrame,
    root: Path | None,
    size: int,
    log: Callable[[str], None] = lambda line: None,
) -> pl.DataFrame:
    """Write what is known of the films of a set into its corpus folder.

    Args:
        folder: of the corpus.
        films: rows of contract EvaluationFilms of one source.
        reports: rows of contract CxrReports; those of other studies are left out.
        root: folder of the release, for lung masks; None where it is not there.
        size: height and width of the stored pixels.
        log: called with one line where a mask cannot be read.

    Returns:
        Rows of contract CorpusContents: `films`, and `masks` where there are any, with a digest of what was written.
    """
    films = films.sort("record_id")
    texts = _texts(reports, films)
    text_of = {study: row for row, study in enumerate(texts["study_id"])}
    mask_of, masks = _masks(films, root, size, log)
    columns: dict[str, list[Any]] = {
        **{name: films[name].to_list() for name in _COPIED},
        "text": [text_of.get(study, -1) for study in films["study_id"]],
        "mask": mask_of,
    }
    written = {"whole": texts["whole"].to_list(), "summary": texts["summary"].to_list()}
    write_films(folder, films=columns, texts=written, masks=masks)
    digest = hashlib.sha256(json.dumps([columns, written], ensure_ascii=False).encode()).hexdigest()
    sources = films["source"].unique().to_list()
    if not sources:
        return _contents([])
    rows = [(sources[0], FILMS_OF, 0, films.height, films.height, digest)]
    if len(masks):
        packed = hashlib.sha256(np.packbits(masks).tobytes()).hexdigest()
        rows.append((sources[0], MASKS_OF, size, films.height, len(masks), packed))
    return _contents(rows)


def _contents(rows: list[tuple[str, str, int, int, int, str]]) -> pl.DataFrame:
    schema = {
        "source": pl.String,
        "modality": pl.String,
        "size": pl.Int64,
        "num_records": pl.Int64,
        "num_present": pl.Int64,
        "content_sha256": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(kind=pl.lit("index"))


def _texts(reports: pl.LazyFrame, films: pl.DataFrame) -> pl.DataFrame:
    """Return study_id, the whole report, its two parts or null, and as summary both, or the whole without any."""
    wanted = films.select("source", "study_id").unique()
    held = reports.select("source", "study_id", "text").join(wanted.lazy(), on=["source", "study_id"], how="semi")
    parts = [
        choose_report_text(held, section)
        .filter(~pl.col("is_fall_back"))
        .select("study_id", pl.col("text").alias(section))
        for section in ("findings", "impression")
    ]
    joined = held.select("study_id", whole="text")
    for part in parts:
        joined = joined.join(part, on="study_id", how="left")
    said = pl.concat_str("findings", "impression", separator=" ", ignore_nulls=True)
    return (
        joined.with_columns(summary=pl.when(said != "").then(said).otherwise("whole"))
        .select("study_id", "whole", "summary", "findings", "impression")
        .sort("study_id")
        .collect()
    )


def study_facts(reports: pl.LazyFrame, labels: pl.LazyFrame, records: pl.LazyFrame) -> dict[str, dict[str, Any]]:
    """Return what small models are trained on beside films: of each study its texts and fourteen labels.

    Args:
        reports: rows of contract CxrReports.
        labels: rows of contract MimicCxrJpgChexpert; a study without any has nulls.
        records: source and study_id of the records that pre-train.

    Returns:
        by study_id as text: `whole`, `findings`, `impression` (empty where there is none), `labels` (1, 0, -1, null).
    """
    texts = _texts(reports, records.select("source", "study_id").collect())
    named = labels.select("study_id", labels=pl.concat_list([pl.col(name).cast(pl.Int64) for name in OBSERVATIONS]))
    told = texts.join(named.collect(), on="study_id", how="left", maintain_order="left")
    return {
        str(row["study_id"]): {
            **{name: row[name] or "" for name in ("whole", "findings", "impression")},
            "labels": row["labels"] or [None] * len(OBSERVATIONS),
        }
        for row in told.iter_rows(named=True)
    }


def _masks(
    films: pl.DataFrame, root: Path | None, size: int, log: Callable[[str], None]
) -> tuple[list[int], NDArray[np.bool_]]:
    """Return the row of every film's mask, -1 for none, and the masks, in the geometry of the stored pixels."""
    rows: list[int] = []
    masks: list[NDArray[np.bool_]] = []
    unread = 0
    inside = Inside(root) if root is not None else None
    for path in films["mask_path"]:
        found = _mask(inside, path, size) if inside is not None and path else None
        unread += bool(path) and found is None
        rows.append(-1 if found is None else len(masks))
        if found is not None:
            masks.append(found)
    if unread:
        log(f"{unread} of {films.height} lung masks could not be read: their films have no control by the mask")
    return rows, np.stack(masks) if masks else np.zeros((0, size, size), dtype=bool)


def _mask(inside: Inside, path: str, size: int) -> NDArray[np.bool_] | None:
    try:
        full = Path(inside.file(path))
        grey, _, _ = read_grey(full, read_content(full), max_pixels=MAX_PIXELS)
    except (OutsideRootError, ImageError, OSError):
        return None
    lungs: NDArray[np.bool_] = resize_exact(grey, size) >= _IS_LUNG
    return lungs
