"""A tiny corpus of two sources whose images, texts, codes and readings all follow a few factors per subject."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medcsp_model.corpus import Corpus, CorpusWriter
from medcsp_model.distributed import Ranks, connected

PAD, CLS, SEP, FIRST_WORD = 0, 1, 2, 3


def csr(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Compressed sparse rows of lists of numbers."""
    indptr = np.cumsum([0] + [len(row) for row in rows])
    return indptr, np.array([value for row in rows for value in row], dtype=np.int64)


def _draw(size: int, x: float, y: float, level: float) -> np.ndarray:
    rows, columns = np.mgrid[0:size, 0:size] / size
    blob = np.exp(-((rows - 0.2 - 0.6 * y) ** 2 + (columns - 0.2 - 0.6 * x) ** 2) / 0.02)
    return (40 + 60 * level + 110 * blob).clip(0, 255).astype(np.uint8)


def write_toy_corpus(
    folder: Path,
    *,
    seed: int = 0,
    num_subjects: int = 24,
    image_size: int = 32,
    num_codes: int = 12,
    shards: Path | None = None,
) -> Corpus:
    """Write it: subjects 0, 3, 6, ... have X-rays alone (split `retrieval`), all others both sources (`pretrain`)."""
    rng = np.random.default_rng(seed)
    factors = rng.uniform(size=(num_subjects, 3))
    histories = [sorted(set(rng.integers(0, num_codes, size=rng.integers(0, 5)))) for _ in range(num_subjects)]
    writer = CorpusWriter(
        folder, name="toy", synthetic=True, splits=["pretrain", "retrieval"], history_size=num_codes, settings={}
    )
    both = [subject for subject in range(num_subjects) if subject % 3]
    ehr = [(subject, admission) for subject in both for admission in range(1 + subject % 2)]
    cxr = [
        (subject, study, image) for subject in range(num_subjects) for study in range(2) for image in range(1 + study)
    ]
    _add_ehr(writer, ehr, histories, factors, rng, num_codes)
    _add_cxr(writer, cxr, histories, factors, rng, image_size, shards or folder.parent / f"{folder.name}_shards")
    _add_links(writer, ehr, cxr)
    return writer.finish()


def _times(records: list[tuple[int, ...]]) -> np.ndarray:
    return np.array([1000.0 * record[0] + 40.0 * record[1] for record in records])


def _add_ehr(writer: CorpusWriter, ehr: list, histories: list, factors: np.ndarray, rng: Any, num_codes: int) -> None:
    indptr, indices = csr([histories[subject] for subject, _ in ehr])
    writer.add_source(
        "ehr",
        record_id=[f"ehr-{subject:04d}-{admission}" for subject, admission in ehr],
        subject_id=[subject for subject, _ in ehr],
        study_id=[10 * subject + admission for subject, admission in ehr],
        time_days=_times(ehr),
        split=np.zeros(len(ehr)),
        history_indptr=indptr,
        history_indices=indices,
    )
    rows = [histories[subject] if number % 5 else [] for number, (subject, _) in enumerate(ehr)]
    indptr, indices = csr(rows)
    writer.add_codes("ehr", "diagnosis", indptr=indptr, indices=indices, size=num_codes)
    indptr, indices = csr([[int(4 * factors[subject, 0])] for subject, _ in ehr])
    writer.add_codes("ehr", "drug", indptr=indptr, indices=indices, size=4)
    present = np.arange(len(ehr)) % 7 != 3
    values = factors[[subject for subject, _ in ehr]] * present[:, None]
    writer.add_dense("ehr", "demographics", values=values, present=present)
    stays = [number % 3 for number in range(len(ehr))]
    cells = rng.integers(0, 4, size=sum(stays))
    total = int(cells.sum())
    writer.add_series(
        "ehr",
        "series",
        stay_indptr=np.cumsum([0, *stays]),
        cell_indptr=np.cumsum([0, *cells]),
        bin=rng.integers(0, 6, size=total),
        feature=rng.integers(0, 5, size=total),
        value=rng.normal(size=total),
        size=5,
        num_bins=6,
        max_stays=3,
    )
    texts = [[CLS, *(FIRST_WORD + (8 * factors[subject]).astype(int)), SEP] for subject, _ in ehr]
    offsets, tokens = csr(texts)
    row = np.where(np.arange(len(ehr)) % 4 == 2, -1, np.arange(len(ehr)))
    writer.add_text("ehr", "note", row=row, offsets=offsets, tokens=tokens, size=32, pad_id=PAD)


def _add_cxr(
    writer: CorpusWriter, cxr: list, histories: list, factors: np.ndarray, rng: Any, image_size: int, shards: Path
) -> None:
    indptr, indices = csr([histories[subject] for subject, _, _ in cxr])
    writer.add_source(
        "cxr",
        record_id=[f"cxr-{subject:04d}-{study}-{image}" for subject, study, image in cxr],
        subject_id=[subject for subject, _, _ in cxr],
        study_id=[10 * subject + study for subject, study, _ in cxr],
        time_days=_times(cxr) + 1.0,
        split=[int(subject % 3 == 0) for subject, _, _ in cxr],
        history_indptr=indptr,
        history_indices=indices,
    )
    pixels = [_draw(image_size, *factors[subject]) + 9 * image for subject, _, image in cxr]
    order = rng.permutation(len(cxr))
    half = len(cxr) // 2
    shards.mkdir(parents=True, exist_ok=True)
    paths = [shards / "a.npy", shards / "b.npy"]
    np.save(paths[0], np.stack([pixels[record] for record in order[:half]]))
    np.save(paths[1], np.stack([pixels[record] for record in order[half:]]))
    shard, row = np.zeros(len(cxr), dtype=int), np.zeros(len(cxr), dtype=int)
    for place, record in enumerate(order):
        shard[record], row[record] = int(place >= half), place if place < half else place - half
    writer.add_images("cxr", "image", shard=shard, row=row, shards=paths, size=image_size)
    studies = sorted({(subject, study) for subject, study, _ in cxr})
    texts = [
        [CLS, *(FIRST_WORD + np.concatenate([8 * factors[subject], 8 + 8 * factors[subject, :2]]).astype(int)), SEP]
        + [FIRST_WORD + 16] * study
        for subject, study in studies
    ]
    offsets, tokens = csr(texts)
    row = [studies.index((subject, study)) for subject, study, _ in cxr]
    writer.add_text("cxr", "report", row=row, offsets=offsets, tokens=tokens, size=32, pad_id=PAD)


def _add_links(writer: CorpusWriter, ehr: list, cxr: list) -> None:
    pairs = [
        (left, right)
        for left, time in enumerate(_times(ehr))
        for right, other in enumerate(_times(cxr) + 1.0)
        if ehr[left][0] == cxr[right][0] and abs(time - other) <= 30
    ]
    gaps = [abs(_times(ehr)[left] - _times(cxr)[right] - 1.0) for left, right in pairs]
    writer.add_links("ehr", "cxr", s_records=[s for s, _ in pairs], t_records=[t for _, t in pairs], gap_days=gaps)


@pytest.fixture(scope="session")
def toy_writer() -> Callable[..., Corpus]:
    """The function itself, for tests that want another size or seed."""
    return write_toy_corpus


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """One toy corpus for every test that only reads."""
    return write_toy_corpus(tmp_path_factory.mktemp("toy") / "corpus")


@pytest.fixture(scope="session")
def as_processes() -> Callable[..., None]:
    """Runs a function of one of several gloo processes in each of them, as `torchrun` would start it.

    All must end within a minute, with status 0 or those that are expected.
    """

    def run(size: int, function: Callable[[Ranks], None], *, statuses: list[int] | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        torch.set_num_threads(1)

        def start(rank: int) -> None:
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            os.environ.update(address | {"RANK": str(rank), "WORLD_SIZE": str(size)})
            with connected("cpu") as ranks:
                function(ranks)

        # A fork spares the processes the imports, which cost fifty times what they do.
        processes = [multiprocessing.get_context("fork").Process(target=start, args=(rank,)) for rank in range(size)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        for process in processes:
            process.kill()
        assert [process.exitcode for process in processes] == (statuses or [0] * size)

    return run
