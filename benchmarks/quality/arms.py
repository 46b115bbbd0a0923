"""The recipes that are compared: `default()` at small size, and what becomes of it when a part is taken away.

An arm is a variant (`medcsp_model.settings.VARIANTS`) of a recipe. Sizes, number of steps and learning rate
are the same in all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medcsp_model.evaluation.planted.recipe import Size, at_planted_size
from medcsp_model.settings import REPAIRS, ROWS, Settings, Variant, default, paper

BASES = {"default": default, "paper": paper}


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One recipe.

    Attributes:
        variant: what differs from its base.
        base: `default` or `paper`, for losses, batches and augmentation.
        own_optimiser: the base's own schedule, clipping and decay; otherwise those of `default`.
    """

    variant: Variant
    base: str = "default"
    own_optimiser: bool = False

    @property
    def what(self) -> str:
        """What differs, for the table."""
        return self.variant.what


def _arm(what: str, *, is_matched: bool = False, **changes: Mapping[str, Any]) -> Arm:
    return Arm(variant=Variant(what=what, changes=changes, is_matched=is_matched))


ARMS: dict[str, Arm] = {
    **{name: Arm(variant=variant) for name, variant in ROWS.items()},
    "a_p_d": _arm("`default()`"),
    "paper": Arm(variant=Variant(what="`paper()`, optimiser of `default()`"), base="paper"),
    "paper_optimiser": Arm(variant=Variant(what="`paper()`, its own schedule"), base="paper", own_optimiser=True),
    "random_batches": Arm(variant=REPAIRS["random_batches"]),
    "full_centroid": Arm(variant=REPAIRS["full_centroid"]),
    "shared_head": Arm(variant=REPAIRS["shared_head"]),
    "norm_head": _arm("head of LayerNorm and Dropout", model={"head": "norm"}),
    "quarter_a": _arm("weight of L_A a quarter", loss={"lambda_a": 0.25}),
    **{name: Arm(variant=variant) for name, variant in REPAIRS.items()},
    "row_target": _arm("sharpened alpha off: by row", loss={"d_target": "row"}, is_matched=True),
}
"""By name; the first five are the rows of the paper's ablation."""

STUDY = (
    "a_p_d",
    "a_d",
    "a_p",
    "a",
    "single_source",
    "paper",
    "random_batches",
    "full_centroid",
    "shared_head",
    "norm_head",
    "quarter_a",
)
"""What the study runs where no arms are named."""


def recipe(arm: Arm, *, size: Size, seed: int) -> Settings:
    """Settings that an arm's variant changes.

    All arms share a learning rate, and the warm-up, cosine, clipping and decay of `default` but for `own_optimiser`.
    """
    base = BASES[arm.base]()
    return at_planted_size(base, size=size, seed=seed, schedule=base if arm.own_optimiser else default())
