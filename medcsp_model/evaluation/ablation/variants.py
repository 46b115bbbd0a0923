"""The settings of each variant of a recipe, and the weight of L_D that keeps the comparison fair.

Where a variant changes the target of L_D, lambda_d is scaled so that lambda_d times the mean mass of an anchor's
targets stays that of the recipe: what is not normalised weighs much less as a mean over pairs, or much more as a sum.
Where a loss is left out, the others keep their weights. Everything else, number of steps included, is the recipe's.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from medcsp_model.batches import PlanInputs, make_plan
from medcsp_model.corpus import Corpus, Image, ragged
from medcsp_model.settings.studies import VARIANTS, Variant
from medcsp_model.settings.training import Settings

MASS_BATCHES = 20


def settings_of(name: str, base: Settings, corpus: Corpus) -> Settings:
    """Settings of a variant of a recipe for a corpus; ValueError for an unknown variant."""
    if name not in VARIANTS:
        raise ValueError(f"no variant {name!r}; known: {', '.join(VARIANTS)}")
    return changed(base, VARIANTS[name], corpus)


def changed(base: Settings, variant: Variant, corpus: Corpus) -> Settings:
    """A recipe with what a variant changes."""
    settings = base.replace(**variant.changes)
    if variant.films_alone:
        settings = settings.replace(batch={"sources": [films_of(corpus)]})
    if variant.is_matched:
        weight = base.loss.lambda_d * target_mass(corpus, settings=base) / target_mass(corpus, settings=settings)
        settings = settings.replace(loss={"lambda_d": weight})
    return settings


def films_of(corpus: Corpus) -> str:
    """The source with images that has the most records; ValueError where none has images."""
    with_images = {
        name: source.num_records
        for name, source in corpus.sources.items()
        if any(isinstance(modality, Image) for modality in source.modalities.values())
    }
    if not with_images:
        raise ValueError(f"{corpus.folder}: no source has images, so there is none to train on alone")
    return max(with_images, key=lambda name: with_images[name])


def target_mass(corpus: Corpus, *, settings: Settings) -> float:
    """Mean mass of the targets of L_D per anchor, over some batches: 1 where targets are normalised."""
    chosen = settings.batch
    if settings.loss.d_target != "unnormalised":
        return 1.0
    inputs = PlanInputs.from_corpus(
        corpus, split=chosen.split, validation_share=chosen.validation_share, validation_seed=chosen.validation_seed
    )
    plan = make_plan(inputs, settings=chosen, seed=settings.run.seed)
    means = []
    for step in range(MASS_BATCHES):
        batch = plan.batch(step)
        for s, t in combinations(batch, 2):
            alpha, allowed = _targets(corpus, settings, (s, batch[s]), (t, batch[t]))
            if allowed.any():
                means.append(float(alpha[allowed].mean()))
    return float(np.mean(means)) if means else 1.0


def _targets(
    corpus: Corpus, settings: Settings, s: tuple[str, NDArray[np.int64]], t: tuple[str, NDArray[np.int64]]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Similarity of histories of two sources' records, and which pairs L_D looks at."""
    left, right = (histories(corpus, *side) for side in (s, t))
    allowed = np.ones((len(left), len(right)), dtype=bool)
    if settings.loss.d_exclude_same_patient:
        who = [corpus.sources[name].subject_id[records] for name, records in (s, t)]
        allowed &= who[0][:, None] != who[1][None, :]
    if settings.loss.d_require_history:
        allowed &= np.outer(left.any(axis=1), right.any(axis=1))
    return unit(left) @ unit(right).T, allowed


def histories(corpus: Corpus, source: str, records: NDArray[np.int64]) -> NDArray[np.float64]:
    """Multi-hot diagnosis histories of some records, float64 (n, codes): for the records of a batch."""
    hot = np.zeros((len(records), corpus.history_size))
    hot[history_codes(corpus, source, records)] = 1
    return hot


def history_codes(
    corpus: Corpus, source: str, records: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Diagnosis codes in the histories of some records: the row (0, 1, ... of `records`) and the code of each."""
    history = corpus.sources[source].history
    lengths, places = ragged(history.indptr, records)
    return np.repeat(np.arange(len(records)), lengths), history.indices[places].astype(np.int64)


def history_similarity(
    corpus: Corpus, left: tuple[str, NDArray[np.int64]], right: tuple[str, NDArray[np.int64]]
) -> NDArray[np.float64]:
    """Cosine of the multi-hot histories of records of two sources, float64 (left, right); 0 where one is empty.

    Shared codes are counted, from the codes alone: thousands of records by tens of thousands of codes are gigabytes
    of zeros, and a sum of fractions would part what is equally alike.
    """
    (row_L, code_L), (row_R, code_R) = (history_codes(corpus, *side) for side in (left, right))
    size_L, size_R = (np.bincount(row, minlength=len(side[1])) for row, side in ((row_L, left), (row_R, right)))
    holders = row_R[np.argsort(code_R, kind="stable")]
    holders_indptr = np.append(0, np.cumsum(np.bincount(code_R, minlength=corpus.history_size)))
    similarity = np.zeros((len(size_L), len(size_R)))
    for row, codes in enumerate(np.split(code_L, np.cumsum(size_L)[:-1])):
        shared = np.bincount(holders[ragged(holders_indptr, codes)[1]], minlength=len(size_R))
        similarity[row] = shared / np.sqrt(np.maximum(size_L[row] * size_R, 1))
    return similarity


def unit(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows of length 1; rows of zeros stay."""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    result: NDArray[np.float64] = values / np.where(length > 0, length, 1.0)
    return result
