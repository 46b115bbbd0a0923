"""What embeddings look like, and numbers that say it (paper, Figures 8 and 9), on subjects that no training saw.

A point is the embedding of one modality of one record. Two figures: the points of three patients, and those of records
with exactly one of three diagnoses in their history, drawn in two dimensions by t-SNE and UMAP. Where records of a
patient lie together by patient, and not by modality, the eye sees it; over all subjects the same is said by

    silhouette_by_case        how much nearer a point is to those of its own case (patient, diagnosis) than of the next
    silhouette_by_modality    the same of modalities: lower is better
    knn_purity                share of a point's ten nearest points of other studies that are of its own case. Films of
                              a study share its report, whose copies would be each other's nearest points. Beside it
                              what embeddings at random have on average: the share of all points of other studies
    agreement                 Spearman's correlation of the similarity of records of two sources with that of their
                              diagnosis histories, over other patients' records; mean over records
    patient_agreement         the same of patients: mean embeddings, and all diagnoses of their histories. Diagnoses are
                              an input of admissions, so part of it is what was put in

Letters: P points, D width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_samples

from medcsp_model.batches import is_validation
from medcsp_model.corpus import Corpus
from medcsp_model.embed import RecordEmbedder
from medcsp_model.evaluation.ablation.bench import AGREEMENT, Bench, values_of
from medcsp_model.evaluation.ablation.variants import history_codes, unit
from medcsp_model.evaluation.agreement import rank_agreement
from medcsp_model.evaluation.bootstrap import cluster_interval, ends
from medcsp_model.settings import BatchSettings

Row = dict[str, Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
NEIGHBOURS, NUM_CASES, COMMON_CODES = 10, 3, 12
DECIMALS = 4
PATIENTS, DIAGNOSES, EVERYBODY = "patients", "diagnoses", "all_subjects"


@dataclass(frozen=True)
class Points:
    """Which modality of which record each point is; the same for every model.

    Attributes:
        source: name of the source of each point.
        modality: name of its modality.
        record: index of its record in the source.
        subject: its subject.
        of_record: a number for each record of any source.
        of_study: a number for each study of any source; an admission is one of its own.
    """

    source: NDArray[np.str_]
    modality: NDArray[np.str_]
    record: Ints
    subject: Ints
    of_record: Ints
    of_study: Ints

    def __len__(self) -> int:
        """How many there are."""
        return len(self.record)

    @property
    def kind(self) -> NDArray[np.str_]:
        """Source and modality as one label."""
        return np.char.add(np.char.add(self.source, "__"), self.modality)

    def take(self, chosen: Ints) -> "Points":
        """Some of them."""
        return Points(*(values[chosen] for values in vars(self).values()))


@dataclass(frozen=True)
class Cases:
    """The points of a figure and the case (0, 1, 2) of each; `codes` are diagnoses' places in the history, or empty."""

    points: Ints
    case: Ints
    codes: tuple[int, ...] = ()


def unseen_points(
    corpus: Corpus, modalities: Mapping[str, Sequence[str]], *, settings: BatchSettings, max_points: int, seed: int
) -> Points:
    """Points of the validation subjects, whole subjects in a random order up to so many points.

    Args:
        corpus: an open corpus.
        modalities: of each source, those that are embedded.
        settings: split, share and seed of the validation subjects.
        max_points: the most points.
        seed: of the order.

    Raises:
        ValueError: there is no validation subject.
    """
    parts, num_records, num_studies = [], 0, 0
    for source, names in modalities.items():
        records = corpus.records(source, splits=[settings.split])
        subject = corpus.sources[source].subject_id[records]
        held = is_validation(subject, share=settings.validation_share, seed=settings.validation_seed)
        records, subject = records[held], subject[held]
        studies, study = np.unique(corpus.sources[source].study_id[records], return_inverse=True)
        for name in names:
            here = corpus.sources[source].modalities[name].present[records]
            labels = (np.full(here.sum(), source), np.full(here.sum(), name))
            numbers = (num_records + np.flatnonzero(here), num_studies + study[here])
            parts.append((*labels, records[here], subject[here], *numbers))
        num_records, num_studies = num_records + len(records), num_studies + len(studies)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    points = Points(*columns)
    if not len(points):
        raise ValueError(f"{corpus.folder}: no record among the validation subjects; raise ablation.validation_share")
    subjects, sizes = np.unique(points.subject, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(subjects))
    kept = subjects[order[np.cumsum(sizes[order]) <= max(max_points, sizes[order[0]])]]
    return points.take(np.flatnonzero(np.isin(points.subject, kept)))


def embed_points(embedder: RecordEmbedder, points: Points, *, batch_size: int) -> NDArray[np.float32]:
    """Embedding of each point, float32 (P, D), of length 1."""
    found: dict[tuple[str, str], NDArray[np.float32]] = {}
    for source, modality in sorted(set(zip(points.source.tolist(), points.modality.tolist(), strict=True))):
        rows = points.record[(points.source == source) & (points.modality == modality)]
        found[source, modality] = embedder.modality(source, modality, rows, batch_size=batch_size)
    e_PD = np.empty((len(points), next(iter(found.values())).shape[1]), dtype=np.float32)
    for (source, modality), embedded in found.items():
        e_PD[(points.source == source) & (points.modality == modality)] = embedded
    return e_PD


def choose_patients(points: Points, *, per_case: int) -> Cases:
    """The three subjects with the most records of the source that they have fewest of; ties go to more records."""
    ranking = []
    for subject in np.unique(points.subject):
        mine = points.subject == subject
        counts = [len(set(points.of_record[mine & (points.source == name)])) for name in np.unique(points.source)]
        ranking.append((min(counts), sum(counts), -int(subject)))
    chosen = [-subject for _, _, subject in sorted(ranking, reverse=True)[:NUM_CASES]]
    rows = [np.flatnonzero(points.subject == subject)[:per_case] for subject in chosen]
    return Cases(np.concatenate(rows), np.repeat(np.arange(len(rows)), [len(row) for row in rows]))


def choose_diagnoses(points: Points, corpus: Corpus, *, per_case: int) -> Cases:
    """Of the twelve most frequent codes those three of which most records have exactly one, as evenly as can be.

    Points of a code take turns over its subjects, so that no subject is a case of its own.
    """
    point, code = _codes_of(points, corpus)
    common = np.argsort(-np.bincount(code, minlength=corpus.history_size), kind="stable")[:COMMON_CODES]
    hot = np.zeros((len(points), len(common)), dtype=bool)
    for place, one in enumerate(common):
        hot[point[code == one], place] = True
    best: tuple[int, ...] = ()
    most = 0
    for places in combinations(range(len(common)), NUM_CASES):
        alone = hot[:, places].sum(axis=1) == 1
        fewest = int(hot[alone][:, places].sum(axis=0).min(initial=len(points))) if alone.any() else 0
        if fewest > most:
            best, most = places, fewest
    if not best:
        return Cases(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    alone = hot[:, best].sum(axis=1) == 1
    rows = [_by_turns(np.flatnonzero(alone & hot[:, place]), points.subject)[:per_case] for place in best]
    codes = tuple(int(common[place]) for place in best)
    return Cases(np.concatenate(rows), np.repeat(np.arange(len(rows)), [len(row) for row in rows]), codes)


def _codes_of(points: Points, corpus: Corpus) -> tuple[Ints, Ints]:
    """Diagnoses in the histories of all points: the point and the code of each."""
    parts = []
    for source in np.unique(points.source):
        here = np.flatnonzero(points.source == source)
        row, code = history_codes(corpus, str(source), points.record[here])
        parts.append((here[row], code))
    point, code = (np.concatenate(column) for column in zip(*parts, strict=True))
    return point, code


def _by_turns(rows: Ints, subject: Ints) -> Ints:
    """Rows in an order that takes one of each subject, then the next of each, and so on."""
    mine = subject[rows]
    order = np.argsort(mine, kind="stable")
    turn = np.empty(len(rows), dtype=np.int64)
    turn[order] = np.arange(len(rows)) - np.searchsorted(mine[order], mine[order])
    taken: Ints = rows[np.lexsort((mine, turn))]
    return taken


def project(e_PD: NDArray[np.float32], method: str, *, seed: int) -> Floats:
    """Two coordinates of each point by `tsne` or `umap` from cosine distances; ValueError for fewer than four points.

    UMAP runs on one thread: with more its result depends on their order.
    """
    if len(e_PD) < 4:
        raise ValueError(f"{len(e_PD)} points cannot be drawn: at least four are needed")
    if method == "tsne":
        perplexity = min(30.0, (len(e_PD) - 1) / 3)
        drawn = TSNE(metric="cosine", init="random", perplexity=perplexity, random_state=seed).fit_transform(e_PD)
    else:
        from umap import UMAP  # compiles for seconds, which no other command need wait for

        neighbours = min(15, len(e_PD) - 1)
        drawn = UMAP(metric="cosine", n_neighbors=neighbours, init="random", random_state=seed, n_jobs=1).fit_transform(
            e_PD
        )
    coordinates: Floats = np.array(drawn, dtype=np.float64).round(DECIMALS)
    return coordinates


def knn_purity(e_PD: NDArray[np.float32], label_P: NDArray, of_study_P: Ints) -> Floats:
    """Share of each point's ten nearest points of other studies that have its label; NaN where no other study has it.

    Of a label with fewer than ten points in other studies, the share of so many as there are.
    """
    similarity_PP = np.where(of_study_P[:, None] == of_study_P[None, :], -np.inf, e_PD @ e_PD.T)
    order_PP = np.argsort(-similarity_PP, axis=1, kind="stable")[:, :NEIGHBOURS]
    same_PP = (label_P[:, None] == label_P[None, :]) & (of_study_P[:, None] != of_study_P[None, :])
    possible_P = np.minimum(same_PP.sum(axis=1), order_PP.shape[1])
    turn_K = np.arange(order_PP.shape[1])
    hits_PK = np.take_along_axis(same_PP, order_PP, axis=1) & (turn_K < possible_P[:, None])
    purity: Floats = np.where(possible_P > 0, hits_PK.sum(axis=1) / np.maximum(possible_P, 1), np.nan)
    return purity


def purity_by_chance(label_P: NDArray, of_study_P: Ints) -> Floats:
    """What `knn_purity` has on average over random orders: of all points of other studies the share with the label."""
    other_PP = of_study_P[:, None] != of_study_P[None, :]
    num_same_P = (other_PP & (label_P[:, None] == label_P[None, :])).sum(axis=1)
    share: Floats = np.where(num_same_P > 0, num_same_P / np.maximum(other_PP.sum(axis=1), 1), np.nan)
    return share


def silhouettes(e_PD: NDArray[np.float32], label_P: NDArray) -> Floats:
    """Silhouette of each point by cosine distance; NaN where there is one label, or one a point."""
    count = len(np.unique(label_P))
    if not 2 <= count < len(label_P):
        return np.full(len(label_P), np.nan)
    found: Floats = np.array(silhouette_samples(e_PD, label_P, metric="cosine"), dtype=np.float64)
    return found


def patient_agreement(e_PD: NDArray[np.float32], points: Points, corpus: Corpus) -> tuple[Floats, Ints]:
    """For each patient, how similarities to others agree with those of all their diagnoses; and the patients."""
    subjects, place = np.unique(points.subject, return_inverse=True)
    mean_SD, hot_SC = np.zeros((len(subjects), e_PD.shape[1])), np.zeros((len(subjects), corpus.history_size))
    np.add.at(mean_SD, place, e_PD)
    point, code = _codes_of(points, corpus)
    hot_SC[place[point], code] = 1
    known = hot_SC.any(axis=1)
    mean_SD, hot_SC, subjects = unit(mean_SD[known]), unit(hot_SC[known]), subjects[known]
    others = ~np.eye(len(subjects), dtype=bool)
    return np.nan_to_num(rank_agreement(mean_SD @ mean_SD.T, hot_SC @ hot_SC.T, others)), subjects


def numbers_of(
    e_PD: NDArray[np.float32],
    points: Points,
    figures: Mapping[str, Cases],
    *,
    embedder: RecordEmbedder,
    bench: Bench,
    num_draws: int,
) -> list[Row]:
    """Rows of one model: what is drawn without an interval, all subjects with one over subjects."""
    rows = []
    for figure, cases in figures.items():
        if len(cases.points):
            mine, some = points.take(cases.points), e_PD[cases.points]
            for metric, values in _spread(some, cases.case, mine).items():
                rows += _row(figure, metric, values, None, num_draws)
    for metric, values in _spread(e_PD, points.subject, points).items():
        rows += _row(EVERYBODY, metric, values, points.subject, num_draws)
    rows += _row(EVERYBODY, AGREEMENT, *values_of(embedder, bench)[AGREEMENT], num_draws)
    rows += _row(EVERYBODY, "patient_agreement", *patient_agreement(e_PD, points, embedder.corpus), num_draws)
    return rows


def chance_of(points: Points, figures: Mapping[str, Cases]) -> list[Row]:
    """Rows of what embeddings at random would have, in closed form, where that depends on the points alone."""
    labels = {name: (points.take(cases.points), cases.case) for name, cases in figures.items()}
    labels[EVERYBODY] = (points, points.subject)
    rows = []
    for cohort, (some, label) in labels.items():
        rows += _row(cohort, "knn_purity", purity_by_chance(label, some.of_study), None, 0)
    return rows


def _spread(e_PD: NDArray[np.float32], label_P: NDArray, points: Points) -> dict[str, Floats]:
    return {
        "silhouette_by_case": silhouettes(e_PD, label_P),
        "silhouette_by_modality": silhouettes(e_PD, points.kind),
        "knn_purity": knn_purity(e_PD, label_P, points.of_study),
    }


def _row(cohort: str, metric: str, values: Floats, subject: Ints | None, num_draws: int) -> list[Row]:
    """The row of a mean over points or records; none where no value is known."""
    known = ~np.isnan(values)
    if not known.any():
        return []
    low = high = np.nan
    if subject is not None:
        found = cluster_interval(values[known, None], subject[known], num_draws=num_draws)
        low, high = (float(end[0]) for end in found)
    place = {"cohort": cohort, "metric": metric, "k": NEIGHBOURS if metric == "knn_purity" else 0}
    return [{**place, "value": float(values[known].mean()), **ends(low, high), "n": int(known.sum())}]
