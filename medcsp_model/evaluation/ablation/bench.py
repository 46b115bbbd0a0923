"""What is measured of a trained model on subjects that no training saw.

The gallery is one film with a report of each study; the queries are

    text_image    the report of each study searches the gallery's films; its own is relevant
    cross_source  each record of the other source with a link into the gallery searches its records; the same patient's
                  inside the window are relevant
    agreement     for each such record, linked or not, Spearman's correlation of the similarity to the gallery's records
                  of other patients with the similarity of their conditions; mean over records

Conditions are diagnosis histories, or the truth of a planted world. A model that finds everybody alike agrees with
nothing. Each has one value per query, and is their mean.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcsp_model.batches import is_validation
from medcsp_model.corpus import Corpus, Image, Text
from medcsp_model.embed import Embedder, RecordEmbedder
from medcsp_model.evaluation.ablation.measures import Floats, Ints, Measure, Values, mean
from medcsp_model.evaluation.ablation.variants import films_of, history_similarity, unit
from medcsp_model.evaluation.agreement import rank_agreement, recall_at_k
from medcsp_model.evaluation.bootstrap import cluster_interval
from medcsp_model.evaluation.planted.world import World
from medcsp_model.settings.training import BatchSettings

K = 10
STUDIES_PER_PATIENT = 2
TEXT_IMAGE, CROSS_SOURCE, AGREEMENT = "text_image_r10", "cross_source_r10", "agreement"
MEASURES = (TEXT_IMAGE, CROSS_SOURCE, AGREEMENT)
COHORT, SPLIT = "validation_subjects", "validation"
Floats32 = NDArray[np.float32]


@dataclass(frozen=True)
class Bench:
    """The unseen records, and who belongs to whom; rows are queries of the other source, columns the gallery.

    Attributes:
        sources: names of the other source and of the films.
        image, text: modalities of the films.
        ehr, cxr: record indices of the queries and of the gallery.
        linked: bool (ehr, cxr), the same patient inside the window.
        other: bool (ehr, cxr), different patients whose conditions are known.
        truth: similarity of conditions (ehr, cxr).
        has_conditions: bool (ehr,), records whose conditions are not empty.
        ehr_patient, cxr_patient: patients.
    """

    sources: tuple[str, str]
    image: str
    text: str
    ehr: Ints
    cxr: Ints
    linked: NDArray[np.bool_]
    other: NDArray[np.bool_]
    truth: Floats
    has_conditions: NDArray[np.bool_]
    ehr_patient: Ints
    cxr_patient: Ints

    @property
    def chance(self) -> dict[str, float]:
        """What a random order gives."""
        recall = min(K / max(len(self.cxr), 1), 1.0)
        return {TEXT_IMAGE: recall, CROSS_SOURCE: recall, AGREEMENT: 0.0}

    def measures(self) -> tuple[Measure, ...]:
        """Recall of both searches, and agreement."""
        across, chance = "_to_".join(self.sources), self.chance
        places: dict[str, dict[str, Any]] = {
            TEXT_IMAGE: {"mode": "text_to_image", "metric": "recall_at_k", "k": K},
            CROSS_SOURCE: {"mode": across, "metric": "recall_at_k", "k": K},
            AGREEMENT: {"mode": across, "metric": "agreement", "k": 0},
        }
        common = {"cohort": COHORT, "split": SPLIT}
        return tuple(
            Measure(rows=name, place=common | place, of=mean, references={"chance": chance[name]})
            for name, place in places.items()
        )


def bench_of_world(world: World) -> Bench:
    """The unseen records of a planted world: one image of each of up to two studies of a patient, linked ones first."""
    ehr = np.flatnonzero(world.patients.unseen[world.ehr.patient])
    cxr = _gallery(world)
    s, t, _ = world.links
    ehr_patient, cxr_patient = world.ehr.patient[ehr], world.cxr.patient[cxr]
    left, right = world.ehr.conditions[ehr], world.cxr.conditions[cxr]
    return Bench(
        sources=("ehr", "cxr"),
        image="image",
        text="report",
        ehr=ehr,
        cxr=cxr,
        linked=_linked(ehr, cxr, s, t),
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


def bench_of_corpus(corpus: Corpus, *, settings: BatchSettings) -> Bench:
    """The validation subjects of a training corpus: one film with a report of each of their studies.

    The other source is the one with the most links to the films.

    Raises:
        ValueError: no source of films with one image and one text, none that is linked to it, or no validation subject
            has both.
    """
    films = films_of(corpus)
    image, text = _film_modalities(corpus, films)
    linked = {pair: links for pair, links in corpus.links.items() if films in pair}
    if not linked:
        raise ValueError(f"{corpus.folder}: no source shares patients with {films}, so nothing is searched across them")
    pair = max(linked, key=lambda key: len(linked[key].s))
    other = pair[0] if pair[1] == films else pair[1]
    ehr, cxr = (_validation(corpus, name, settings) for name in (other, films))
    known = corpus.sources[films]
    cxr = cxr[known.modalities[image].present[cxr] & known.modalities[text].present[cxr]]
    _, first = np.unique(known.study_id[cxr], return_index=True)
    cxr = np.sort(cxr[first])
    if not len(ehr) or not len(cxr):
        raise ValueError(
            f"{corpus.folder}: {len(ehr)} records of {other} and {len(cxr)} studies of {films} among the validation"
            " subjects; raise ablation.validation_share"
        )
    s, t = (linked[pair].s, linked[pair].t) if pair[0] == other else (linked[pair].t, linked[pair].s)
    ehr_has, cxr_has = (corpus.sources[name].history.present for name in (other, films))
    ehr_patient, cxr_patient = corpus.sources[other].subject_id[ehr], known.subject_id[cxr]
    return Bench(
        sources=(other, films),
        image=image,
        text=text,
        ehr=ehr,
        cxr=cxr,
        linked=_linked(ehr, cxr, s.astype(np.int64), t.astype(np.int64)),
        other=(ehr_patient[:, None] != cxr_patient[None, :]) & cxr_has[cxr],
        truth=history_similarity(corpus, (other, ehr), (films, cxr)),
        has_conditions=ehr_has[ehr],
        ehr_patient=ehr_patient,
        cxr_patient=cxr_patient,
    )


def _film_modalities(corpus: Corpus, films: str) -> tuple[str, str]:
    modalities = corpus.sources[films].modalities
    images = [name for name, value in modalities.items() if isinstance(value, Image)]
    texts = [name for name, value in modalities.items() if isinstance(value, Text)]
    if len(images) != 1 or len(texts) != 1:
        raise ValueError(f"{corpus.folder}: {films} has images {images} and texts {texts}; one of each is searched")
    return images[0], texts[0]


def _validation(corpus: Corpus, source: str, settings: BatchSettings) -> Ints:
    records = corpus.records(source, splits=[settings.split])
    subject = corpus.sources[source].subject_id[records]
    return records[is_validation(subject, share=settings.validation_share, seed=settings.validation_seed)]


def _linked(ehr: Ints, cxr: Ints, s: Ints, t: Ints) -> NDArray[np.bool_]:
    linked = np.zeros((len(ehr), len(cxr)), dtype=bool)
    here = np.isin(s, ehr) & np.isin(t, cxr)
    linked[np.searchsorted(ehr, s[here]), np.searchsorted(cxr, t[here])] = True
    return linked


def values_of(embedder: RecordEmbedder, bench: Bench, *, batch_size: int = 128) -> Values:
    """Value of each query of a trained model, by measure."""
    ehr, _, _ = embedder.records(bench.sources[0], bench.ehr, batch_size=batch_size)
    cxr, modalities, _ = embedder.records(bench.sources[1], bench.cxr, batch_size=batch_size)
    return score(bench, ehr=ehr, cxr=cxr, image=modalities[bench.image], report=modalities[bench.text])


def score(bench: Bench, *, ehr: Floats32, cxr: Floats32, image: Floats32, report: Floats32) -> Values:
    """Value of each query, from embeddings (rows of length 1) of the bench's records."""
    between = ehr @ cxr.T
    agreement = np.nan_to_num(rank_agreement(between, bench.truth, bench.other), nan=0.0)
    agreement[~bench.has_conditions] = np.nan
    own = np.eye(len(bench.cxr), dtype=bool)
    return {
        TEXT_IMAGE: (recall_at_k(report @ image.T, own, k=K), bench.cxr_patient),
        CROSS_SOURCE: (recall_at_k(between, bench.linked, k=K), bench.ehr_patient),
        AGREEMENT: (agreement, bench.ehr_patient),
    }


def measure(checkpoint: Path, corpus: Corpus, bench: Bench, *, seed: int) -> dict[str, Any]:
    """Value and interval (patients resampled, 95 %) of each measure, and how many queries stand behind it."""
    return summaries(values_of(Embedder(checkpoint, corpus, num_threads=1), bench), seed=seed)


def summaries(values: Values, *, seed: int) -> dict[str, dict[str, float]]:
    """Mean, interval and number of queries of each measure."""
    return {name: _summary(*value, seed=seed) for name, value in values.items()}


def _summary(values: Floats, patient: Ints, *, seed: int) -> dict[str, float]:
    known = ~np.isnan(values)
    low, high = cluster_interval(values[known, None], patient[known], num_draws=1000, seed=seed)
    return {
        "value": float(values[known].mean()),
        "low": float(low[0]),
        "high": float(high[0]),
        "num_queries": int(known.sum()),
    }
