"""Settings of the studies beside the tasks: the ablation with its variants, and the case studies.

Not here: what a variant's settings are for a corpus, and how it is measured (`medcsp_model.evaluation.ablation`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from medcsp_model.settings.plain import PlainSettings, check_least

FULL = "a_p_d"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One change of a recipe.

    Attributes:
        what: what differs, for tables.
        changes: settings changed, by group.
        films_alone: train on the source of films alone.
        is_matched: scale lambda_d to the recipe's effective weight of L_D.
    """

    what: str
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    films_alone: bool = False
    is_matched: bool = False


ROWS: dict[str, Variant] = {
    "a_p_d": Variant(what="the recipe"),
    "a_d": Variant(what="without L_P", changes={"loss": {"lambda_p": 0.0}}),
    "a_p": Variant(what="without L_D", changes={"loss": {"lambda_d": 0.0}}),
    "a": Variant(what="without L_P and L_D", changes={"loss": {"lambda_p": 0.0, "lambda_d": 0.0}}),
    "single_source": Variant(what="X-rays alone", films_alone=True),
}
"""The rows of the paper's Figure 7, the whole recipe first."""

REPAIRS: dict[str, Variant] = {
    "random_batches": Variant(what="link-aware batches off", changes={"batch": {"plan": "random"}}),
    "full_centroid": Variant(what="leave-one-out centroid off", changes={"loss": {"centroid": "full"}}),
    "any_negative": Variant(what="sibling masking off", changes={"loss": {"a_negatives": "record"}}),
    "one_positive": Variant(what="one positive of L_P an anchor", changes={"loss": {"p_positives": "one"}}),
    "one_direction": Variant(what="both directions off", changes={"loss": {"directions": "forward"}}),
    "raw_target": Variant(
        what="sharpened alpha off: unnormalised", changes={"loss": {"d_target": "unnormalised"}}, is_matched=True
    ),
    "own_in_d": Variant(what="same patients in L_D", changes={"loss": {"d_exclude_same_patient": False}}),
    "no_history_in_d": Variant(what="records without a history in L_D", changes={"loss": {"d_require_history": False}}),
    "shared_head": Variant(what="the paper's head behind every encoder", changes={"model": {"head": "relu_norm"}}),
}
"""Each repair that `default()` makes over `paper()` in losses, batches and head, undone alone."""

VARIANTS = ROWS | REPAIRS


@dataclass(frozen=True, kw_only=True)
class AblationSettings(PlainSettings):
    """Which variants are trained, on what, for how long, and how sure their numbers are.

    Two grounds: the profile's training corpus, and planted records on which random draws hardly ever meet a linked
    pair. Where a ground has any variant, the whole recipe is among them.

    Attributes:
        variants: trained on the corpus; empty leaves it out.
        planted_variants: trained on planted records; empty leaves them out.
        seeds: of weights, batches and dropout, the same on both.
        steps: of each training on the corpus; 0 takes the recipe's.
        batch_size: records of each source there; 0 takes the recipe's.
        validation_share: share of the corpus's subjects that no variant sees and all are measured on.
        num_threads: CPU threads of a training on the corpus; 0 takes torch's own choice.
        planted_patients: patients to train on; of fewer than some 10,000 random draws meet pairs enough.
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

    def check(self) -> None:
        """Refuse values that cannot be, with a ValueError."""
        for name in ("variants", "planted_variants"):
            chosen = getattr(self, name)
            if unknown := sorted(set(chosen) - set(VARIANTS)):
                raise ValueError(f"settings.{name}: no variant {unknown[0]!r}; known: {', '.join(VARIANTS)}")
            if chosen and FULL not in chosen:
                raise ValueError(f"settings.{name}: must hold {FULL!r}, which all others are compared with")
        check_least(self, 1, "num_draws", "planted_patients", "planted_steps")
        check_least(self, 0, "seeds", "steps", "batch_size", "num_threads")
        if not self.seeds:
            raise ValueError("settings.seeds: name at least one")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"settings.validation_share: must lie in (0, 1), got {self.validation_share}")


@dataclass(frozen=True, kw_only=True)
class CaseStudySettings(PlainSettings):
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

    def check(self) -> None:
        """Refuse values that cannot be, with a ValueError."""
        check_least(self, 1, "max_points", "per_case", "num_draws")
        check_least(self, 0, "seed", "num_threads")
