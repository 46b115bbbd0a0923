"""Settings of the studies beside the tasks: ablation, case studies, and the variant with a language model.

Not here: what a variant is or how it is measured (`medcsp_model.evaluation.ablation`), which checks these values again.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import medcsp_model.settings as recipes

ROWS = ("a_p_d", "a", "a_p", "a_d", "single_source")
"""The variants of the paper's Figure 7, the whole recipe first."""
REPAIRS = (
    "random_batches",
    "full_centroid",
    "any_negative",
    "one_positive",
    "one_direction",
    "raw_target",
    "own_in_d",
    "no_history_in_d",
    "shared_head",
)
"""The recipe `default` with one of its repairs over `paper` undone."""


@dataclass(frozen=True, kw_only=True)
class AblationSettings:
    """Which variants are trained, on what, for how long.

    Attributes:
        variants: trained on the training corpus, the whole recipe `a_p_d` among them; empty leaves the corpus out.
        planted_variants: trained on planted records, on which random draws hardly ever meet a linked pair.
        seeds: of weights, batches and dropout.
        steps: of each training on the corpus; 0 takes the recipe's.
        batch_size: records of each source there; 0 takes the recipe's.
        validation_share: share of the corpus's subjects that no variant sees and all are measured on.
        num_threads: CPU threads of a training on the corpus; 0 takes torch's own choice.
        planted_patients: planted patients to train on.
        planted_steps: of each training on planted records.
        num_draws: bootstrap draws of seeds and subjects behind each interval.
    """

    variants: tuple[str, ...] = ()
    planted_variants: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    steps: int = 0
    batch_size: int = 0
    validation_share: float = 0.1
    num_threads: int = 0
    planted_patients: int = 14_000
    planted_steps: int = 250
    num_draws: int = 10_000

    @property
    def is_asked(self) -> bool:
        """Whether any variant is trained."""
        return bool(self.variants or self.planted_variants)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a run description."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class CaseStudySettings:
    """What is drawn of the ablation's first seed.

    Attributes:
        max_points: most points of all unseen subjects behind the numbers.
        per_case: most points of a patient or diagnosis in a drawing.
        projections: how they are brought to two dimensions.
        seed: of the projections.
        num_draws: bootstrap draws of subjects.
        num_threads: CPU threads of the embedding; 0 takes torch's own choice.
    """

    max_points: int = 5000
    per_case: int = 60
    projections: tuple[Literal["tsne", "umap"], ...] = ("tsne", "umap")
    seed: int = 0
    num_draws: int = 1000
    num_threads: int = 0


@dataclass(frozen=True, kw_only=True)
class LlmSettings:
    """The variant with a language model (paper, Appendix C).

    Attributes:
        language: folder below MEDCSP_WEIGHTS with the language model; `random` a tiny one with random weights, which
            shows that all parts work and nothing else; empty trains no variant.
        epochs: passes over the films; ignored where `steps` is set.
        steps: optimiser steps; 0 counts epochs.
        batch_size: records of each source in a batch; 0 takes the recipe's.
        lr: learning rate of the projection.
        image_features: the image tower's trunk, as in the paper, or the shared space.
        context_length: tokens of a text with its prompt.
    """

    language: str = ""
    epochs: float = 1.0
    steps: int = 0
    batch_size: int = 0
    lr: float = 1e-3
    image_features: Literal["trunk", "shared"] = "trunk"
    context_length: int = 512

    @property
    def is_random(self) -> bool:
        """Whether the language model is a stand-in."""
        return self.language == "random"

    def variant(self) -> dict[str, Any]:
        """What the variant's trainer takes beside a recipe."""
        dtype = "float32" if self.is_random else "bfloat16"
        return {"image_features": self.image_features, "context_length": self.context_length, "dtype": dtype}

    def recipe(self, base: recipes.Settings) -> recipes.Settings:
        """The recipe of our model, with this learning rate and length."""
        return base.replace(
            batch={"size": self.batch_size or base.batch.size},
            optimiser={"epochs": self.epochs, "steps": self.steps, "lr": self.lr},
        )
