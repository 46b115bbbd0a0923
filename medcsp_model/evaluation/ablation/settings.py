"""Which variants are trained, on what, for how long, and how sure their numbers are."""

from dataclasses import dataclass
from typing import Any, Self

from medcsp_model.evaluation.ablation.variants import FULL, VARIANTS
from medcsp_model.settings import read_settings


@dataclass(frozen=True, kw_only=True)
class AblationSettings:
    """Two grounds: the profile's training corpus, and planted records on which random draws hardly ever meet a pair.

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

    variants: tuple[str, ...] = tuple(VARIANTS)
    planted_variants: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    steps: int = 0
    batch_size: int = 0
    validation_share: float = 0.1
    num_threads: int = 0
    planted_patients: int = 14_000
    planted_steps: int = 250
    num_draws: int = 10_000

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Settings from plain values; ValueError names an unknown key or a value that cannot be."""
        settings = read_settings(cls, values)
        for name in ("variants", "planted_variants"):
            chosen = getattr(settings, name)
            unknown = sorted(set(chosen) - set(VARIANTS))
            if unknown:
                raise ValueError(f"settings.{name}: no variant {unknown[0]!r}; known: {', '.join(VARIANTS)}")
            if chosen and FULL not in chosen:
                raise ValueError(f"settings.{name}: must hold {FULL!r}, which all others are compared with")
        if not settings.seeds or min(settings.num_draws, settings.planted_patients, settings.planted_steps) < 1:
            raise ValueError("settings: name a seed; num_draws, planted_patients and planted_steps must be at least 1")
        if not 0 < settings.validation_share < 1:
            raise ValueError(f"settings.validation_share: must lie in (0, 1), got {settings.validation_share}")
        return settings
