"""Decoding many X-ray files into the image store, on one or several processes, in the order they are given.

How one file becomes pixels is in `rendering`, where they are kept in `image_store`.
"""

import hashlib
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.features.image_store import ImageStore
from pipelines.features.rendering import ImageError, Mode, Rendering, read_image, render_dicom

__all__ = ["ImageError", "decode_images", "render_dicom"]

FILES_PER_BATCH = 512
FILES_PER_TASK = 8
LOG_EVERY = 5000

DECODED_SCHEMA = {
    "file_sha256": pl.String,
    "photometric": pl.String,
    "height_pixels": pl.Int32,
    "width_pixels": pl.Int32,
    "mean_intensity": pl.Float64,
    "pixel_sha256": pl.String,
    "_rejected": pl.String,
}


@dataclass(frozen=True)
class _Decoded:
    """What one file gave; `pixels` is None where it was rejected, or known already."""

    row: dict[str, Any]
    pixels: NDArray[np.uint8] | None


def decode_images(
    films: pl.DataFrame,
    *,
    root: Path,
    store: ImageStore,
    size: int = 224,
    rendering: Rendering = "mimic_cxr_jpg",
    mode: Mode = "exact",
    num_processes: int = 1,
    known: pl.DataFrame | None = None,
    log: Callable[[str], None] | None = None,
) -> pl.DataFrame:
    """Decode films into the store.

    Args:
        films: dicom_id, subject_id, study_id, path (below `root`).
        root: folder of the source.
        store: where pixels go; those it holds are not written again.
        size: height and width of the stored pixels.
        rendering: how DICOM values become grey levels.
        mode: exact or fast resizing.
        num_processes: more than one decodes on a pool of spawned processes; the result is the same.
        known: rows of contract CxrImages made by the same code and settings: files with these digests are read but not
            decoded, if the store holds their pixels.
        log: called with one line every few thousand files.

    Returns:
        Rows of contract CxrImages in the order of `films`, with `_rejected`: null, or why the file gave no picture
        (its other columns are then null).
    """
    paths = films["path"].to_list()
    remembered = _remembered(known, store)
    work = partial(_decode, root=root, known=remembered, size=size, rendering=rendering, mode=mode)
    rows: list[dict[str, Any]] = []

    def pixels() -> Iterator[NDArray[np.uint8]]:
        for done, decoded in enumerate(_map(work, paths, num_processes), start=1):
            rows.append(decoded.row)
            if decoded.pixels is not None:
                yield decoded.pixels
            if log is not None and done % LOG_EVERY == 0:
                log(f"decoded {done} of {len(paths)} images")

    digests = iter(store.add(pixels()))
    for row in rows:
        if row["pixel_sha256"] is None and row["_rejected"] is None:
            row["pixel_sha256"] = next(digests)
    decoded = pl.DataFrame(rows, schema=DECODED_SCHEMA)
    return pl.concat([films.select("dicom_id", "subject_id", "study_id"), decoded], how="horizontal")


def _remembered(known: pl.DataFrame | None, store: ImageStore) -> dict[str, dict[str, Any]]:
    if known is None or known.is_empty():
        return {}
    columns = [name for name in DECODED_SCHEMA if name != "_rejected"]
    held = known.filter(pl.col("pixel_sha256").is_in(store.digests().implode()))
    return {row["file_sha256"]: {**row, "_rejected": None} for row in held.select(columns).iter_rows(named=True)}


def _map(work: Callable[[str], _Decoded], paths: list[str], num_processes: int) -> Iterator[_Decoded]:
    if num_processes <= 1:
        yield from map(work, paths)
        return
    # spawned, not forked: the parent holds threads of Polars
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_processes, mp_context=context, initializer=_Worker.start, initargs=(work,)) as pool:
        for start in range(0, len(paths), FILES_PER_BATCH):
            yield from pool.map(_Worker.run, paths[start : start + FILES_PER_BATCH], chunksize=FILES_PER_TASK)


class _Worker:
    """What a process of the pool keeps, so that the known files travel to it once."""

    work: Callable[[str], _Decoded]

    @classmethod
    def start(cls, work: Callable[[str], _Decoded]) -> None:
        cls.work = staticmethod(work)

    @classmethod
    def run(cls, path: str) -> _Decoded:
        return cls.work(path)


def _decode(
    path: str, *, root: Path, known: dict[str, dict[str, Any]], size: int, rendering: Rendering, mode: Mode
) -> _Decoded:
    row: dict[str, Any] = dict.fromkeys(DECODED_SCHEMA)
    try:
        content = (root / path).read_bytes()
    except OSError:
        return _Decoded({**row, "_rejected": "path: file is missing or cannot be read"}, None)
    row["file_sha256"] = hashlib.sha256(content).hexdigest()
    if row["file_sha256"] in known:
        return _Decoded(known[row["file_sha256"]], None)
    try:
        picture = read_image(root / path, content, size=size, rendering=rendering, mode=mode)
    except ImageError as error:
        return _Decoded({**row, "_rejected": f"path: {error.reason}"}, None)
    row["photometric"] = picture.photometric
    row["height_pixels"], row["width_pixels"] = picture.height_pixels, picture.width_pixels
    row["mean_intensity"] = int(picture.pixels.sum(dtype=np.int64)) / picture.pixels.size
    return _Decoded(row, picture.pixels)
