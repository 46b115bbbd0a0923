"""Evaluate: `python -m medcsp_model.evaluate --settings run.json` runs one task and writes its metrics.

run.json: {"task": "retrieval", "corpus", "checkpoint", "output", "settings": {...}}; settings as in
`medcsp_model.settings.RetrievalSettings`. In `output`:

    metrics.json     rows of method, metric, k, value, ci_low, ci_high, n, mode, split
    retrieval.json   counts, median rank, and R@K for every K up to 1,000 with chance beside it
    queries.npz      record_index, subject_id, num_relevant (q,) and hits (q, ks), ks

That is the paper's own search by our model, of any corpus of X-rays. With "radiology" in the run, the corpus is an
evaluation set, and every other model, direction and variant has rows too; for that and for task "zero_shot" see
`medcsp_model.evaluation.radiology_report`, for task "prediction" `medcsp_model.evaluation.prediction_report`.
"""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcsp_model.checkpoint import write_json
from medcsp_model.command import read_run, start
from medcsp_model.corpus import Corpus, Image, Text
from medcsp_model.embed import Embedder
from medcsp_model.evaluation.bootstrap import cluster_interval, ends
from medcsp_model.evaluation.retrieval import Relevant, chance_precision, chance_recall, exact_ranks, hits_at
from medcsp_model.settings import RetrievalSettings

log = logging.getLogger(__name__)
KEYS = ("task", "output", "settings")
MODE = "text_to_image"
CURVE_LENGTH = 1000


@dataclass(frozen=True)
class Search:
    """Queries and candidates of a retrieval task, as record indices.

    Attributes:
        source: name of the source.
        image, text: names of its modalities.
        queries: one record per study, whose text is the query, int64 (q,).
        candidates: every image of those studies, int64 (c,).
        query_of_candidate: query each candidate is relevant to, int64 (c,).
        num_skipped: studies without a text or without an image.
    """

    source: str
    image: str
    text: str
    queries: NDArray[np.int64]
    candidates: NDArray[np.int64]
    query_of_candidate: NDArray[np.int64]
    num_skipped: int


def text_to_image_search(corpus: Corpus, *, settings: RetrievalSettings) -> Search:
    """Queries are the reports of studies, candidates all images of the same studies.

    Raises:
        ValueError: no source (or more than one) has one image and one text modality, or no study has both.
    """
    fitting = {
        name: (images[0], texts[0])
        for name, source in corpus.sources.items()
        if len(images := [key for key, value in source.modalities.items() if isinstance(value, Image)]) == 1
        and len(texts := [key for key, value in source.modalities.items() if isinstance(value, Text)]) == 1
    }
    if settings.source not in fitting and (settings.source or len(fitting) != 1):
        raise ValueError(f"settings.source: {settings.source!r}; sources with one image and one text: {list(fitting)}")
    name = settings.source or next(iter(fitting))
    image, text = fitting[name]
    source = corpus.sources[name]
    records = corpus.records(name, splits=[settings.split] if settings.split else None)
    study = source.study_id[records]
    with_image = records[source.modalities[image].present[records]]
    with_text = records[source.modalities[text].present[records]]
    _, first = np.unique(source.study_id[with_text], return_index=True)
    queries = with_text[np.sort(first)]
    queries = queries[np.isin(source.study_id[queries], source.study_id[with_image])]
    if not len(queries):
        raise ValueError(f"{corpus.folder}: no study of split {settings.split!r} in {name} has both {text} and {image}")
    candidates = with_image[np.isin(source.study_id[with_image], source.study_id[queries])]
    by_study = np.argsort(source.study_id[queries], kind="stable")
    place = np.searchsorted(source.study_id[queries][by_study], source.study_id[candidates])
    skipped = len(np.unique(study)) - len(queries)
    return Search(name, image, text, queries, candidates, by_study[place].astype(np.int64), skipped)


def evaluate_retrieval(embedder: Embedder, output: Path, *, settings: RetrievalSettings) -> list[dict[str, Any]]:
    """Text-to-image retrieval (paper, Table 2): P@K and R@K with subject bootstrap intervals, chance beside them.

    Writes the files described above and returns the rows of metrics.json.
    """
    search = text_to_image_search(embedder.corpus, settings=settings)
    size = settings.batch_size
    queries_QD = embedder.modality(search.source, search.text, search.queries, batch_size=size)
    candidates_CD = embedder.modality(search.source, search.image, search.candidates, batch_size=size)
    return _write_retrieval(embedder.corpus, search, queries_QD, candidates_CD, output, settings=settings)


def _write_retrieval(
    corpus: Corpus,
    search: Search,
    queries_QD: NDArray[np.float32],
    candidates_CD: NDArray[np.float32],
    output: Path,
    *,
    settings: RetrievalSettings,
) -> list[dict[str, Any]]:
    num_queries, num_candidates = len(search.queries), len(search.candidates)
    relevant = Relevant.of_groups(np.arange(num_queries), search.query_of_candidate)
    ranks, num_relevant = exact_ranks(queries_QD, candidates_CD, relevant), relevant.counts
    ks = [k for k in settings.ks if k <= num_candidates]
    if not ks:
        raise ValueError(
            f"settings.ks: {settings.ks}, but there are {num_candidates} candidates; ask for fewer results"
        )
    hits = hits_at(ranks, relevant.query_P, num_queries=num_queries, ks=ks)
    subject = corpus.sources[search.source].subject_id[search.queries]
    split = settings.split or ",".join(corpus.splits)
    rows = _rows(hits, num_relevant, subject, ks=ks, num_candidates=num_candidates, split=split, settings=settings)
    output.mkdir(parents=True, exist_ok=True)
    np.savez(
        output / "queries.npz",
        record_index=search.queries,
        subject_id=subject,
        num_relevant=num_relevant,
        hits=hits,
        ks=np.array(ks),
    )
    curve = list(range(1, min(num_candidates, CURVE_LENGTH) + 1))
    weight = 1 / num_relevant[relevant.query_P] / num_queries
    recall = np.cumsum(np.bincount(ranks, weights=weight, minlength=num_candidates))[: len(curve)]
    write_json(
        output / "retrieval.json",
        {
            "num_queries": num_queries,
            "num_candidates": num_candidates,
            "num_subjects": len(np.unique(subject)),
            "num_skipped_studies": search.num_skipped,
            "median_rank": float(np.median(ranks)) + 1,
            "settings": settings.to_json(),
            "curve": {"k": curve, "recall": recall.tolist(), "chance": [k / num_candidates for k in curve]},
        },
    )
    write_json(output / "metrics.json", rows)
    for row in rows:
        log.info("%-8s %s k=%d %.4f", row["method"], row["metric"], row["k"], row["value"])
    return rows


def _rows(
    hits: NDArray[np.int64],
    num_relevant: NDArray[np.int64],
    subject: NDArray[np.int64],
    *,
    ks: list[int],
    num_candidates: int,
    split: str,
    settings: RetrievalSettings,
) -> list[dict[str, Any]]:
    precision, recall = hits / np.array(ks), hits / num_relevant[:, None]
    values = np.concatenate([precision, recall], axis=1)
    low, high = cluster_interval(values, subject, num_draws=settings.num_draws, seed=settings.seed)
    names = [("precision_at_k", k) for k in ks] + [("recall_at_k", k) for k in ks]
    common = {"n": len(hits), "mode": MODE, "split": split}
    rows = [
        {"method": "medcsp", "metric": metric, "k": k, "value": value, **ends(below, above), **common}
        for (metric, k), value, below, above in zip(
            names, values.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True
        )
    ]
    for metric, k in names:
        by_chance = metric == "precision_at_k"
        value = chance_precision(num_relevant, num_candidates) if by_chance else chance_recall(k, num_candidates)
        row = {"method": "chance", "metric": metric, "k": k, "value": value, "ci_low": None, "ci_high": None}
        rows.append(row | common)
    return rows


def _retrieval(run: Mapping[str, Any]) -> None:
    settings = RetrievalSettings.from_json(run["settings"])
    if "radiology" in run:
        _retrieval_set(run, settings)
        return
    embedder = Embedder(
        run["checkpoint"],
        Corpus.open(run["corpus"]),
        raw_towers=settings.raw_towers,
        num_threads=settings.num_threads,
    )
    evaluate_retrieval(embedder, Path(run["output"]), settings=settings)


def _retrieval_set(run: Mapping[str, Any], settings: RetrievalSettings) -> None:
    """Every model; where ours is among them, its files too, and its rows as the paper's search alone has them."""
    report = import_module("medcsp_model.evaluation.radiology_report")
    corpus, output = Corpus.open(run["corpus"]), Path(run["output"])
    search = text_to_image_search(corpus, settings=settings)
    found = report.evaluate_retrieval_set(run, search.queries, search.candidates)
    rows = found["metrics"]
    if found["ours"] is not None:
        reports, images = found["ours"]
        own = _write_retrieval(corpus, search, reports, images, output, settings=settings)
        own = [row | {"cohort": "all_views", "num_positive": None} for row in own]
        named = {_key(row) for row in own}
        rows = own + [row for row in rows if _key(row) not in named]
    write_json(output / "metrics.json", rows)
    log.info("retrieval: %d queries, %d images, %d numbers", len(search.queries), len(search.candidates), len(rows))


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("cohort", "method", "mode", "metric", "k", "split"))


def _zero_shot(run: Mapping[str, Any]) -> None:
    import_module("medcsp_model.evaluation.radiology_report").evaluate_zero_shot(run)


def _prediction(run: Mapping[str, Any]) -> None:
    # By its name: what changes there is no reason to search images again.
    import_module("medcsp_model.evaluation.prediction_report").evaluate_prediction(run)


TASKS = {
    "retrieval": (("corpus", "checkpoint"), _retrieval),
    "zero_shot": (("corpus", "checkpoint", "radiology"), _zero_shot),
    "prediction": (("questions", "trials", "code"), _prediction),
}
"""Keys of a run description beside those of every task, and what runs it."""


def main() -> int:
    """Run the command; the exit status is 0, or 2 for an error the user can repair."""
    run = read_run(__doc__, KEYS, optional=["radiology", *(key for keys, _ in TASKS.values() for key in keys)])
    if run["task"] not in tuple(TASKS):
        raise ValueError(f"task: no {run['task']!r}; known: {', '.join(TASKS)}")
    keys, evaluate = TASKS[run["task"]]
    if missing := [key for key in keys if key not in run]:
        raise ValueError(f"a run of task {run['task']!r} lacks {', '.join(missing)}")
    evaluate(run)
    return 0


if __name__ == "__main__":
    sys.exit(start(main))
