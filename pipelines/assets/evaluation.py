"""Evaluation: launches the embedder and the evaluator, and publishes their numbers. Not here: any metric."""

from typing import Any

import numpy as np
import polars as pl

from data_contracts import corpus, evaluation, studies, training
from medcsp_model.corpus import Corpus
from pipelines.assets.step import Build, sql_step, step


@step(
    training.RecordEmbeddings,
    inputs=[corpus.PretrainCorpus, training.PretrainCheckpoint],
    code=("medcsp_model.embed",),
    leaves=("embeddings.json",),
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


metrics = sql_step(
    evaluation.Metrics,
    "evaluation/metrics.sql",
    inputs=[*evaluation.RADIOLOGY, *evaluation.PREDICTIONS, studies.Ablation, studies.CaseStudies],
    on_device=True,
)

STEPS = (record_embeddings, metrics)
