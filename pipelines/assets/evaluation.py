"""Evaluation: launches the embedder and the evaluator, and publishes their numbers. Not here: any metric."""

import json
from typing import Any

import numpy as np
import polars as pl

from data_contracts import corpus, evaluation, training
from medcsp_model.corpus import Corpus
from pipelines.assets.step import Build, sql_step, step
from pipelines.profiles import Profile
from pipelines.report import TABLE_2


@step(
    training.RecordEmbeddings,
    inputs=[corpus.PretrainCorpus, training.PretrainCheckpoint],
    code=("medcsp_model.embed",),
    on_device=True,
    kinds=("pytorch",),
)
def record_embeddings(build: Build) -> pl.DataFrame:
    """Embed every record of the training corpus."""
    folder = build.run_folder()
    corpus_folder = build.folder_of(corpus.PretrainCorpus)
    checkpoint = build.folder_of(training.PretrainCheckpoint)
    build.launch(
        "medcsp_model.embed",
        {"corpus": str(corpus_folder), "checkpoint": str(checkpoint), "output": str(folder)},
    )
    opened = Corpus.open(corpus_folder)
    held = sorted(name for name, source in opened.sources.items() if source.num_records)
    return pl.concat(_embeddings(opened, name, folder) for name in held)


def _embeddings(opened: Corpus, source: str, folder: Any) -> pl.DataFrame:
    embedding = np.load(folder / f"{source}.npy")
    records = opened.sources[source]
    return pl.DataFrame(
        {
            "source": [source] * len(embedding),
            "record_id": [value.decode() for value in records.record_id],
            "subject_id": records.subject_id,
            "split": [opened.splits[index] for index in records.split],
            "embedding": pl.Series(embedding, dtype=pl.Array(pl.Float32, embedding.shape[1])).cast(pl.List(pl.Float32)),
        },
    )


def _retrieval_settings(profile: Profile) -> dict[str, Any]:
    settings = {key: value for key, value in profile.group("retrieval").items() if key != "min_lift"}
    return {**settings, "ks": list(profile.retrieval.ks), "seed_of_training": profile.training.run.seed}


@step(
    evaluation.RetrievalMimicCxr,
    inputs=[corpus.RetrievalMimicCxrCorpus, training.PretrainCheckpoint],
    settings=_retrieval_settings,
    code=("medcsp_model.evaluate",),
    on_device=True,
    kinds=("pytorch",),
)
def retrieval_mimic_cxr(build: Build) -> pl.DataFrame:
    """Search the images of unseen subjects by their reports (Table 2)."""
    folder = build.run_folder()
    settings = {key: value for key, value in build.settings.items() if key != "seed_of_training"}
    build.launch(
        "medcsp_model.evaluate",
        {
            "task": "retrieval",
            "corpus": str(build.folder_of(corpus.RetrievalMimicCxrCorpus)),
            "checkpoint": str(build.folder_of(training.PretrainCheckpoint)),
            "output": str(folder),
            "settings": settings,
        },
    )
    rows = pl.DataFrame(json.loads((folder / "metrics.json").read_text()))
    checkpoint = build.lake.manifest(training.PretrainCheckpoint.table)
    assert checkpoint is not None
    return rows.with_columns(
        task=pl.lit("retrieval_mimic_cxr"),
        dataset=pl.lit("mimic_cxr"),
        cohort=pl.lit("all_views"),
        seed=pl.lit(build.settings["seed_of_training"], dtype=pl.Int32),
        num_positive=pl.lit(None, dtype=pl.Int64),
        paper_value=pl.struct("method", "metric", "k").map_elements(_paper_value, return_dtype=pl.Float64),
        fingerprint=pl.lit(checkpoint.fingerprint),
        synthetic=pl.lit(build.workspace.is_synthetic),
    )


def _paper_value(row: dict[str, Any]) -> float | None:
    return TABLE_2.get(row["metric"], {}).get(row["k"]) if row["method"] == "medcsp" else None


metrics = sql_step(
    evaluation.Metrics,
    "evaluation/metrics.sql",
    inputs=[evaluation.RetrievalMimicCxr, *evaluation.PREDICTIONS],
    on_device=True,
)

STEPS = (record_embeddings, retrieval_mimic_cxr, metrics)
