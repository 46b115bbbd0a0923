"""Writes a planted world as a training corpus.

Splits: `pretrain` and `unseen`, patients that no training sees.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcsp_model.corpus import Corpus, CorpusWriter
from medcsp_model.evaluation.planted import world as planted
from medcsp_model.evaluation.planted.world import Ints, Records, World

SPLITS = ("pretrain", "unseen")
SHARD = 16_384


def write_planted(world: World, folder: Path) -> Corpus:
    """Write a world into a new folder, its pixels beside, and open the corpus."""
    shards = _write_shards(world, folder.with_name(f"{folder.name}_pixels"))
    writer = CorpusWriter(
        folder,
        name="planted",
        synthetic=True,
        splits=SPLITS,
        history_size=planted.NUM_CODES,
        settings={"theta_days": planted.THETA_DAYS},
    )
    _add_records(writer, "ehr", world.ehr, world.patients.unseen)
    _add_ehr(writer, world)
    _add_records(writer, "cxr", world.cxr, world.patients.unseen)
    image = np.arange(len(world.pixels))
    writer.add_images(
        "cxr",
        "image",
        shard=image // SHARD,
        row=image % SHARD,
        shards=shards,
        size=planted.IMAGE_SIZE,
    )
    offsets, tokens = world.reports
    writer.add_text(
        "cxr", "report", row=world.report_of_image, offsets=offsets, tokens=tokens, size=planted.NUM_WORDS, pad_id=0
    )
    s, t, gap = world.links
    writer.add_links("ehr", "cxr", s_records=s, t_records=t, gap_days=gap)
    return writer.finish()


def _write_shards(world: World, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, start in enumerate(range(0, len(world.pixels), SHARD)):
        paths.append(folder / f"{number:05d}.npy")
        np.save(paths[-1], world.pixels[start : start + SHARD])
    return paths


def _add_records(writer: CorpusWriter, source: str, records: Records, unseen: NDArray[np.bool_]) -> None:
    indptr, indices = _csr(records.history)
    writer.add_source(
        source,
        record_id=[f"{number:07d}" for number in range(len(records.patient))],
        subject_id=records.patient,
        study_id=records.study,
        time_days=records.time,
        split=np.where(unseen[records.patient], SPLITS.index("unseen"), SPLITS.index("pretrain")),
        history_indptr=indptr,
        history_indices=indices,
    )


def _add_ehr(writer: CorpusWriter, world: World) -> None:
    for name, hot in (("codes", world.codes), ("drugs", world.drugs)):
        indptr, indices = _csr(hot)
        writer.add_codes("ehr", name, indptr=indptr, indices=indices, size=hot.shape[1])
    present = np.ones(len(world.demographics), dtype=bool)
    writer.add_dense("ehr", "demographics", values=world.demographics, present=present)
    cells = world.readings
    sizes: dict[str, Any] = {
        "size": planted.NUM_FEATURES,
        "num_bins": planted.NUM_BINS,
        "max_stays": planted.MAX_STAYS,
    }
    writer.add_series(
        "ehr",
        "series",
        stay_indptr=cells.stay_indptr,
        cell_indptr=cells.cell_indptr,
        bin=cells.bin,
        feature=cells.feature,
        value=cells.value,
        **sizes,
    )
    offsets, tokens = world.notes
    row = np.arange(len(offsets) - 1)
    writer.add_text("ehr", "note", row=row, offsets=offsets, tokens=tokens, size=planted.NUM_WORDS, pad_id=0)


def _csr(hot: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    return np.concatenate([[0], np.cumsum(hot.sum(axis=1))]), np.nonzero(hot)[1]
