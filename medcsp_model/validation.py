"""Retrieval on held-out subjects of the training split, measured while training.

What lives here: the measure. What does not: who is held out (`medcsp_model.batches.is_validation`), when it is measured
and where it is written (`medcsp_model.trainer`), the evaluation proper with intervals (`medcsp_model.evaluate`).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from medcsp_model.batches import is_validation
from medcsp_model.collate import Collate
from medcsp_model.corpus import Corpus, Image, Source, Text
from medcsp_model.evaluation.retrieval import hits_at, relevant_ranks
from medcsp_model.model import RecordModel
from medcsp_model.settings.training import BatchSettings

TOP = 10


@dataclass(frozen=True)
class _Search:
    """Records of one source with both modalities, and the distinct text (query) of each."""

    source: Source
    text: str
    image: str
    records: NDArray[np.int64]
    first: NDArray[np.int64]
    query: NDArray[np.int64]


class Validation:
    """Text-to-image recall at 10 of the validation subjects, for each source that has one text and one image.

    Args:
        corpus: the training corpus.
        settings: the split, and the share and seed of the subjects held out.
        collate: makes inputs of records.
        batch_size: records embedded at a time.
    """

    def __init__(self, corpus: Corpus, *, settings: BatchSettings, collate: Collate, batch_size: int = 64) -> None:
        self.collate, self.batch_size = collate, batch_size
        found = [_search(corpus, source, settings) for source in corpus.sources.values()]
        self.searches = [search for search in found if search is not None and len(search.records)]

    def measure(self, model: RecordModel) -> dict[str, float]:
        """`<source>_recall_at_10`: mean over distinct texts of the share of their images among the first ten.

        The model is in its training or evaluation mode afterwards as before; nothing is drawn at random.
        """
        training = model.training
        model.eval()
        try:
            return {f"{search.source.name}_recall_at_{TOP}": self._recall(model, search) for search in self.searches}
        finally:
            model.train(training)

    @torch.inference_mode()
    def _recall(self, model: RecordModel, search: _Search) -> float:
        queries = self._embed(model, search, search.text, search.first)
        candidates = self._embed(model, search, search.image, search.records)
        ranks = relevant_ranks(queries, candidates, search.query)
        hits = hits_at(ranks, search.query, num_queries=len(queries), ks=[TOP])[:, 0]
        return float(np.mean(hits / np.bincount(search.query)))

    def _embed(
        self, model: RecordModel, search: _Search, modality: str, records: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(records), self.batch_size):
            inputs = self.collate.inputs(search.source, modality, records[start : start + self.batch_size])
            parts.append(F.normalize(model.encode(search.source.name, modality, inputs), dim=-1).cpu().numpy())
        return np.concatenate(parts)


def _search(corpus: Corpus, source: Source, settings: BatchSettings) -> _Search | None:
    texts = [name for name, modality in source.modalities.items() if isinstance(modality, Text)]
    images = [name for name, modality in source.modalities.items() if isinstance(modality, Image)]
    if len(texts) != 1 or len(images) != 1:
        return None
    text, image = source.modalities[texts[0]], source.modalities[images[0]]
    assert isinstance(text, Text)
    rows = corpus.records(source.name, splits=[settings.split])
    rows = rows[text.present[rows] & image.present[rows]]
    share, seed = settings.validation_share, settings.validation_seed
    rows = rows[is_validation(source.subject_id[rows], share=share, seed=seed)]
    _, first, query = np.unique(text.row[rows], return_index=True, return_inverse=True)
    return _Search(source, texts[0], images[0], rows, rows[first], query.ravel())
