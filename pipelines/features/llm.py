"""The variant with a language model, as a profile names it: which model, and how long its projection is trained.

Not here: what the variant itself chooses (`medcsp_model.settings.LlmSettings`).
"""

from dataclasses import dataclass, field, replace

import medcsp_model.settings as recipes


@dataclass(frozen=True, kw_only=True)
class LlmVariant:
    """The variant with a language model (paper, Appendix C).

    Attributes:
        language: folder below MEDCSP_WEIGHTS with the language model; `random` a tiny one with random weights, which
            shows that all parts work and nothing else; empty trains no variant.
        epochs: passes over the films; ignored where `steps` is set.
        steps: optimiser steps; 0 counts epochs.
        batch_size: records of each source in a batch; 0 takes the recipe's.
        lr: learning rate of the projection.
        chosen: what the variant chooses; a random language model has float32 weights whatever it says.
    """

    language: str = ""
    epochs: float = 1.0
    steps: int = 0
    batch_size: int = 0
    lr: float = 1e-3
    chosen: recipes.LlmSettings = field(default_factory=recipes.LlmSettings)

    @property
    def is_random(self) -> bool:
        """Whether the language model is a stand-in."""
        return self.language == "random"

    @property
    def settings(self) -> recipes.LlmSettings:
        """What the variant's trainer takes beside a recipe."""
        return replace(self.chosen, dtype="float32") if self.is_random else self.chosen

    def recipe(self, base: recipes.Settings) -> recipes.Settings:
        """The recipe of our model, with this learning rate and length."""
        return base.replace(
            batch={"size": self.batch_size or base.batch.size},
            optimiser={"epochs": self.epochs, "steps": self.steps, "lr": self.lr},
        )
