"""Trains and measures one variant with one seed. Trials are kept by content, so that a killed ablation goes on.

A trial's folder is named by the digest of its settings, its corpus and the code that trains. In it: `run`, the folder
of the training without its states, and `values-<digest>.npz`, the value of every query and film, by the code that
measures and the films that are classified.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcsp_model.corpus import Corpus
from medcsp_model.embed import Embedder
from medcsp_model.evaluation.ablation.bench import Bench, values_of
from medcsp_model.evaluation.ablation.films import SCORES, FilmBench
from medcsp_model.evaluation.ablation.measures import Measure, Values
from medcsp_model.evaluation.ablation.variants import settings_of, target_mass
from medcsp_model.settings.training import Settings
from medcsp_model.trainer import Trainer

log = logging.getLogger(__name__)
NAME_DIGITS = 16
OF_SUBJECT = "_subject"


@dataclass(frozen=True)
class Ground:
    """What variants are trained and measured on.

    Attributes:
        name: the data set, for tables.
        corpus: an open corpus.
        bench: its unseen records.
        base: the recipe.
        films: films that are classified too; None where there are none.
    """

    name: str
    corpus: Corpus
    bench: Bench
    base: Settings
    films: FilmBench | None = None

    def measures(self) -> tuple[Measure, ...]:
        """What is made of a variant's values."""
        return (*self.bench.measures(), *(self.films.measures() if self.films else ()))

    def values_of(self, checkpoint: Path) -> Values:
        """Value of each query and film by a trained model."""
        threads = self.base.run.num_threads
        values = values_of(Embedder(checkpoint, self.corpus, num_threads=threads), self.bench)
        if self.films is not None:
            values[SCORES] = self.films.values_of(checkpoint, num_threads=threads)
        return values


@dataclass(frozen=True)
class Trial:
    """One variant with one seed: the values of its rows, facts of the training, and where its checkpoint is."""

    values: Values
    facts: dict[str, Any]
    checkpoint: Path


@dataclass(frozen=True)
class Trials:
    """The trials below a folder.

    Attributes:
        folder: outlives a run.
        training_code, measuring_code: digests of the code that trains and measures.
        should_stop: asked after every step of a training.
    """

    folder: Path
    training_code: str
    measuring_code: str
    should_stop: Callable[[], bool] = lambda: False

    def run(self, ground: Ground, variant: str, seed: int) -> Trial:
        """Train what is not trained, measure what is not measured."""
        base = ground.base.replace(run={"seed": seed})
        settings = settings_of(variant, base, ground.corpus)
        folder = self.folder / self._name(settings, ground.corpus)
        done = Trainer(ground.corpus, settings=settings, folder=folder / "run", should_stop=self.should_stop).run()
        shutil.rmtree(folder / "run" / "states", ignore_errors=True)
        values = self._values(folder, ground)
        histogram = {int(pairs): steps for pairs, steps in done["linked_pairs_histogram"].items()}
        facts = {
            "dataset": ground.name,
            "method": variant,
            "seed": seed,
            "steps": done["steps"],
            "batch_size": done["batch_size"],
            "weight_a": settings.loss.lambda_a,
            **_effective_weights(settings, ground.corpus),
            "pairs_per_batch": sum(pairs * steps for pairs, steps in histogram.items()) / done["steps"],
            **{f"loss_{name}": done[f"loss_{name}"] for name in "apd"},
            "num_candidates": len(ground.bench.cxr),
            "model_sha256": done["sha256"],
        }
        return Trial(values, facts, folder / "run")

    def _name(self, settings: Settings, corpus: Corpus) -> str:
        return _digest({"settings": settings.to_json(), "corpus": corpus.fingerprint, "code": self.training_code})

    def _values(self, folder: Path, ground: Ground) -> Values:
        """Values of all rows, read where they were measured before."""
        films = ground.films.content if ground.films else ""
        path = folder / f"values-{_digest({'code': self.measuring_code, 'films': films})}.npz"
        if not path.is_file():
            found = ground.values_of(folder / "run")
            arrays: dict[str, NDArray[Any]] = {name: value for name, (value, _) in found.items()}
            arrays |= {f"{name}{OF_SUBJECT}": subject for name, (_, subject) in found.items()}
            staged = path.with_suffix(".new.npz")
            np.savez(staged, **arrays)  # type: ignore[arg-type]
            staged.replace(path)
        with np.load(path, allow_pickle=False) as kept:
            names = [name for name in kept.files if not name.endswith(OF_SUBJECT)]
            return {name: (kept[name], kept[f"{name}{OF_SUBJECT}"]) for name in names}


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:NAME_DIGITS]


def _effective_weights(settings: Settings, corpus: Corpus) -> dict[str, float]:
    """Weights of L_P and L_D, the latter times the mean mass of its targets; both need a pair of sources."""
    if len(settings.batch.sources) == 1:
        return {"weight_p": 0.0, "weight_d": 0.0}
    loss = settings.loss
    mass = target_mass(corpus, settings=settings) if loss.lambda_d else 0.0
    return {"weight_p": loss.lambda_p, "weight_d": loss.lambda_d * mass}
