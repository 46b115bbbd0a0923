"""What is measured of a trained model on patients that no training saw, against the truth of the world.

The gallery is one image of each of up to two studies of every unseen patient, studies inside a window first:

    text_image_r10     the report of each study searches the gallery's images; its own is relevant
    cross_source_r10   each EHR record with a link into the gallery searches its X-ray records; the same patient's
                       inside the window are relevant
    agreement          for each EHR record, Spearman's correlation of the similarity to the gallery's X-ray records of
                       other patients with the cosine of the true condition vectors; mean over records
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.world import Ints, World
from medcsp_model.corpus import Corpus
from medcsp_model.embed import Embedder
from medcsp_model.evaluation.agreement import rank_agreement, recall_at_k
from medcsp_model.evaluation.bootstrap import cluster_interval

K = 10
STUDIES_PER_PATIENT = 2
MEASURES = ("text_image_r10", "cross_source_r10", "agreement")
Floats32 = NDArray[np.float32]


@dataclass(frozen=True)
class Bench:
    """The unseen records, and who belongs to whom.

    Attributes:
        ehr, cxr: record indices of the queries and of the gallery.
        linked: bool (ehr, cxr), the same patient inside the window.
        other: bool (ehr, cxr), different patients.
        truth: cosine of the true condition vectors (ehr, cxr).
        has_conditions: bool (ehr,), records whose truth is not empty.
        ehr_patient, cxr_patient: patients.
    """

    ehr: Ints
    cxr: Ints
    linked: NDArray[np.bool_]
    other: NDArray[np.bool_]
    truth: NDArray[np.float64]
    has_conditions: NDArray[np.bool_]
    ehr_patient: Ints
    cxr_patient: Ints

    @property
    def chance(self) -> dict[str, float]:
        """What a random order gives."""
        return {"text_image_r10": K / len(self.cxr), "cross_source_r10": K / len(self.cxr), "agreement": 0.0}


def unit(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows of length 1; rows of zeros stay."""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    result: NDArray[np.float64] = values / np.where(length > 0, length, 1.0)
    return result


def make_bench(world: World) -> Bench:
    """The unseen records of a world."""
    ehr = np.flatnonzero(world.patients.unseen[world.ehr.patient])
    cxr = _gallery(world)
    s, t, _ = world.links
    linked = np.zeros((len(ehr), len(world.cxr.patient)), dtype=bool)
    here = np.isin(s, ehr)
    linked[np.searchsorted(ehr, s[here]), t[here]] = True
    ehr_patient, cxr_patient = world.ehr.patient[ehr], world.cxr.patient[cxr]
    left, right = world.ehr.conditions[ehr], world.cxr.conditions[cxr]
    return Bench(
        ehr=ehr,
        cxr=cxr,
        linked=linked[:, cxr],
        other=ehr_patient[:, None] != cxr_patient[None, :],
        truth=unit(left) @ unit(right).T,
        has_conditions=np.asarray(left.any(axis=1)),
        ehr_patient=ehr_patient,
        cxr_patient=cxr_patient,
    )


def _gallery(world: World) -> Ints:
    images = np.flatnonzero(world.patients.unseen[world.cxr.patient])
    _, first = np.unique(world.cxr.study[images], return_index=True)
    images = images[first]
    is_linked = np.isin(images, world.links[1])
    order = np.lexsort((images, ~is_linked, world.cxr.patient[images]))
    patient = world.cxr.patient[images[order]]
    turn = np.arange(len(patient)) - np.searchsorted(patient, patient)
    return np.sort(images[order[turn < STUDIES_PER_PATIENT]])


def measure(checkpoint: Path, corpus: Corpus, bench: Bench, *, seed: int) -> dict[str, Any]:
    """Value and interval (patients resampled, 95 %) of each measure, and how many queries stand behind it."""
    embedder = Embedder(checkpoint, corpus, num_threads=1)
    ehr, _, _ = embedder.records("ehr", bench.ehr, batch_size=128)
    cxr, modalities, _ = embedder.records("cxr", bench.cxr, batch_size=128)
    return score(bench, ehr=ehr, cxr=cxr, image=modalities["image"], report=modalities["report"], seed=seed)


def score(
    bench: Bench, *, ehr: Floats32, cxr: Floats32, image: Floats32, report: Floats32, seed: int
) -> dict[str, Any]:
    """Measures of embeddings (rows of length 1) of the bench's records."""
    own = np.eye(len(bench.cxr), dtype=bool)
    between = ehr @ cxr.T
    # A model that finds everybody alike agrees with nothing.
    agreement = np.nan_to_num(rank_agreement(between, bench.truth, bench.other), nan=0.0)
    agreement[~bench.has_conditions] = np.nan
    values = {
        "text_image_r10": (recall_at_k(report @ image.T, own, k=K), bench.cxr_patient),
        "cross_source_r10": (recall_at_k(between, bench.linked, k=K), bench.ehr_patient),
        "agreement": (agreement, bench.ehr_patient),
    }
    return {name: _summary(*value, seed=seed) for name, value in values.items()}


def _summary(values: NDArray[np.float64], patient: Ints, *, seed: int) -> dict[str, float]:
    known = ~np.isnan(values)
    low, high = cluster_interval(values[known, None], patient[known], num_draws=1000, seed=seed)
    return {
        "value": float(values[known].mean()),
        "low": float(low[0]),
        "high": float(high[0]),
        "num_queries": int(known.sum()),
    }
