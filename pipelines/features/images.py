"""Decoding many X-ray files into the image store, on one or several processes, in the order they are given.

How one file becomes pixels is in `rendering`, where they are kept in `image_store`, what a killed run has done already
in `film_journal`.
"""

import hashlib
import multiprocessing
import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.inside import Inside, OutsideRootError
from pipelines.features.film_journal import DECODED_SCHEMA, SCHEMA, SETTLED_NS, FilmJournal
from pipelines.features.image_files import read_content
from pipelines.features.image_store import ImageStore, pixel_sha256
from pipelines.features.rendering import ImageError, Mode, Rendering, read_image, render_dicom

__all__ = ["ImageError", "decode_images", "render_dicom"]

FILES_PER_BATCH = 512
FILES_PER_TASK = 8
FILES_PER_NOTE = 1024
"""Films between two parts of the journal: what a killed run may have to do again."""
LOG_EVERY = 5000
MISSING = "path: file is missing or cannot be read"

Row = dict[str, Any]


@dataclass(frozen=True)
class _Task:
    """One film to read.

    Attributes:
        path: full path of the file.
        expected: digest of the file when it was decoded before; empty where it was not.
    """

    path: str
    expected: str = ""


@dataclass(frozen=True)
class _Decoded:
    """What one file gave; `pixels` is None where it was rejected, or is what it was expected to be."""

    row: Row
    pixels: NDArray[np.uint8] | None = None


@dataclass(slots=True)
class _Film:
    """One film on its way: its stat, what is known of it, and in the end its row."""

    path: str
    row: Row = field(default_factory=lambda: dict.fromkeys([*SCHEMA, "_rejected"]))
    task: _Task | None = None
    known: Row | None = None


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
    journal: FilmJournal | None = None,
    log: Callable[[str], None] | None = None,
) -> pl.DataFrame:
    """Decode films into the store.

    Args:
        films: path (below `root`) and any other columns, which name the film.
        root: folder of the source.
        store: where pixels go; those it holds are not written again.
        size: height and width of the stored pixels.
        rendering: how DICOM values become grey levels.
        mode: exact or fast resizing.
        num_processes: more than one decodes on a pool of spawned processes; the result is the same.
        known: rows that an earlier call returned for the same code and settings: a film of these whose file has the
            same digest is read but not decoded, if the store holds its pixels.
        journal: notes of earlier calls with the same code and settings, finished or not; a film whose size and time
            are noted there is not even read. What this call decodes is added.
        log: called with one line every few thousand films.

    Returns:
        The columns of `films` but for path, those of DECODED_SCHEMA, and `_rejected`: null, or why the file gave no
        picture (its other columns are then null). In the order of `films`.
    """
    held = set(store.digests())
    started = _look_up(films, root, _by_path(journal, held), _by_name(films, known, held))
    todo = [film for film in started if film.task is not None]
    work = partial(_decode, size=size, rendering=rendering, mode=mode)
    progress = _Progress(total=len(todo), unchanged=len(started) - len(todo), log=log)

    def pixels() -> Iterator[NDArray[np.uint8]]:
        unwritten: list[Row] = []
        tasks = [film.task for film in todo if film.task is not None]
        for film, decoded in zip(todo, _map(work, tasks, num_processes), strict=True):
            _settle(film, decoded)
            progress.add(film.row)
            if decoded.pixels is not None:
                yield decoded.pixels
            if film.row["_rejected"] is None and film.row["listed_ns"] is not None:
                unwritten.append(film.row)
            if journal is not None and len(unwritten) >= FILES_PER_NOTE:
                journal.append(pl.DataFrame(unwritten, schema=SCHEMA))
                unwritten.clear()
        if journal is not None:
            journal.append(pl.DataFrame(unwritten, schema=SCHEMA))

    store.add(pixels())
    store.remove_orphans()  # a killed run's last shard, which a resumed one need not write again
    if journal is not None:
        journal.compact()
    rows = pl.DataFrame([film.row for film in started], schema={**DECODED_SCHEMA, "_rejected": pl.String})
    return pl.concat([films.drop("path"), rows], how="horizontal")


def _by_path(journal: FilmJournal | None, held: set[str]) -> dict[str, Row]:
    """Return what the journal knows of films whose pixels the store holds."""
    rows = journal.rows() if journal is not None else pl.DataFrame(schema=SCHEMA)
    return {row["path"]: row for row in rows.iter_rows(named=True) if row["pixel_sha256"] in held}


def _by_name(films: pl.DataFrame, known: pl.DataFrame | None, held: set[str]) -> list[Row | None]:
    """Return the earlier row of every film, None where there is none or the store lost its pixels."""
    if known is None:
        return [None] * films.height
    names = [name for name in films.columns if name != "path"]
    earlier = films.select(names).join(
        known.select(*names, *DECODED_SCHEMA), on=names, how="left", maintain_order="left"
    )
    return [
        row if row["pixel_sha256"] in held else None for row in earlier.select(*DECODED_SCHEMA).iter_rows(named=True)
    ]


def _look_up(films: pl.DataFrame, root: Path, noted: dict[str, Row], known: list[Row | None]) -> list[_Film]:
    """Return every film with its row where that is known without reading it, with a task where it must be read."""
    inside, now = Inside(root), time.time_ns()
    return [
        _started(path, inside, noted.get(path), earlier, now)
        for path, earlier in zip(films["path"].to_list(), known, strict=True)
    ]


def _started(path: str, inside: Inside, noted: Row | None, earlier: Row | None, now: int) -> _Film:
    film = _Film(path)
    try:
        full = inside.file(path)
        status = Path(full).stat()
    except OutsideRootError as error:
        film.row["_rejected"] = f"path: {error}"
        return film
    except OSError:
        film.row["_rejected"] = MISSING
        return film
    if not stat.S_ISREG(status.st_mode):
        film.row["_rejected"] = "path: not a file"
        return film
    if noted is not None and (noted["size_bytes"], noted["mtime_ns"]) == (status.st_size, status.st_mtime_ns):
        film.row.update(noted)
        return film
    film.known = noted or earlier
    film.task = _Task(full, film.known["file_sha256"] if film.known else "")
    film.row.update(path=path, size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)
    film.row["listed_ns"] = status.st_mtime_ns if status.st_mtime_ns + SETTLED_NS < now else None
    return film


def _settle(film: _Film, decoded: _Decoded) -> None:
    """Put what the file gave into the film's row."""
    film.row.update(decoded.row)
    if film.known is not None and decoded.pixels is None and decoded.row["_rejected"] is None:
        film.row.update({name: film.known[name] for name in DECODED_SCHEMA})


@dataclass
class _Progress:
    """Says now and then how far a run is, and how long the rest will take."""

    total: int
    unchanged: int
    log: Callable[[str], None] | None
    done: int = 0
    rejected: int = 0
    started: float = field(default_factory=time.monotonic)

    def add(self, row: Row) -> None:
        """Count one film."""
        self.done += 1
        self.rejected += row["_rejected"] is not None
        if self.log is not None and (self.done % LOG_EVERY == 0):
            seconds = max(time.monotonic() - self.started, 1e-3)
            left = (self.total - self.done) * seconds / self.done
            self.log(
                f"decoded {self.done} of {self.total} images ({self.unchanged} unchanged, {self.rejected} rejected), "
                f"{self.done / seconds:.0f} a second, {left / 60:.0f} minutes left"
            )


def _map(work: Callable[[_Task], _Decoded], tasks: list[_Task], num_processes: int) -> Iterator[_Decoded]:
    if num_processes <= 1 or len(tasks) <= 1:
        yield from map(work, tasks)
        return
    pool = _pool(work, num_processes)
    try:
        for start in range(0, len(tasks), FILES_PER_BATCH):
            batch = tasks[start : start + FILES_PER_BATCH]
            try:
                results = list(pool.map(_Worker.run, batch, chunksize=FILES_PER_TASK))
            except BrokenProcessPool:
                pool.shutdown()
                results = [_alone(work, task) for task in batch]
                pool = _pool(work, num_processes)
            yield from results
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(work: Callable[[_Task], _Decoded], num_processes: int) -> ProcessPoolExecutor:
    # spawned, not forked: the parent holds threads of Polars
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(num_processes, mp_context=context, initializer=_Worker.start, initargs=(work,))


def _alone(work: Callable[[_Task], _Decoded], task: _Task) -> _Decoded:
    """Decode one film in a process of its own: a decoder that dies on a damaged stream takes only that film along."""
    with _pool(work, 1) as pool:
        try:
            return pool.submit(_Worker.run, task).result()
        except BrokenProcessPool:
            return _rejected("path: the decoder died of it")


class _Worker:
    """What a process of the pool keeps."""

    work: Callable[[_Task], _Decoded]

    @classmethod
    def start(cls, work: Callable[[_Task], _Decoded]) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends ^C to every process; the parent's end is ours
        threading.Thread(target=cls._end_with_parent, daemon=True).start()
        cls.work = staticmethod(work)

    @staticmethod
    def _end_with_parent() -> None:
        """End this process when the one that started it was killed: it would wait for films for ever."""
        if parent := multiprocessing.parent_process():
            parent.join()
            os._exit(1)

    @classmethod
    def run(cls, task: _Task) -> _Decoded:
        return cls.work(task)


def _rejected(reason: str, **columns: Any) -> _Decoded:
    return _Decoded({**dict.fromkeys(DECODED_SCHEMA), **columns, "_rejected": reason})


def _decode(task: _Task, *, size: int, rendering: Rendering, mode: Mode) -> _Decoded:
    path = Path(task.path)
    try:
        content = read_content(path)
    except OSError:
        return _rejected(MISSING)
    digest = hashlib.sha256(content).hexdigest()
    if digest == task.expected:
        return _Decoded({"file_sha256": digest, "_rejected": None})
    try:
        picture = read_image(path, content, size=size, rendering=rendering, mode=mode)
    except ImageError as error:
        return _rejected(f"path: {error.reason}", file_sha256=digest)
    row = {
        "file_sha256": digest,
        "photometric": picture.photometric,
        "height_pixels": picture.height_pixels,
        "width_pixels": picture.width_pixels,
        "mean_intensity": int(picture.pixels.sum(dtype=np.int64)) / picture.pixels.size,
        "pixel_sha256": pixel_sha256(picture.pixels),
        "_rejected": None,
    }
    return _Decoded(row, picture.pixels)
