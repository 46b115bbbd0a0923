"""The recipes that are compared: `default()` at small size, and what becomes of it when a part is taken away.

An arm is a name, the corpus it trains on, and settings. Sizes, number of steps and learning rate are the same in all.
Arms that change the target of L_D get a `lambda_d` of their own (`matched`), so that lambda_d times the mean mass of an
anchor's targets stays that of `a_p_d`; where a loss is left out the others keep their weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medcsp_model.settings import Settings, default, demo, paper

BASES = {"default": default, "paper": paper}


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One recipe.

    Attributes:
        what: what differs, for the table.
        base: `default` or `paper`, for losses, batches and augmentation.
        own_optimiser: the base's own schedule, clipping and decay; otherwise those of `default`.
        changes: settings changed, by group.
        corpus: `both` or `single` (X-rays alone).
        matched: scale lambda_d to the effective weight of L_D in `default`.
    """

    what: str
    base: str = "default"
    own_optimiser: bool = False
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    corpus: str = "both"
    matched: bool = False


ARMS: dict[str, Arm] = {
    "a_p_d": Arm(what="`default()`"),
    "a_d": Arm(what="without L_P", changes={"loss": {"lambda_p": 0.0}}),
    "a_p": Arm(what="without L_D", changes={"loss": {"lambda_d": 0.0}}),
    "a": Arm(what="without L_P and L_D", changes={"loss": {"lambda_p": 0.0, "lambda_d": 0.0}}),
    "single_source": Arm(what="X-rays alone", corpus="single"),
    "paper": Arm(what="`paper()`, optimiser of `default()`", base="paper"),
    "paper_optimiser": Arm(what="`paper()`, its own schedule", base="paper", own_optimiser=True),
    "random_batches": Arm(what="link-aware batches off", changes={"batch": {"plan": "random"}}),
    "full_centroid": Arm(what="leave-one-out centroid off", changes={"loss": {"centroid": "full"}}),
    "quarter_a": Arm(what="weight of L_A a quarter", changes={"loss": {"lambda_a": 0.25}}),
    "one_direction": Arm(what="both directions off", changes={"loss": {"directions": "forward"}}),
    "any_negative": Arm(what="sibling masking off", changes={"loss": {"a_negatives": "record"}}),
    "row_target": Arm(what="sharpened alpha off: by row", changes={"loss": {"d_target": "row"}}, matched=True),
    "raw_target": Arm(
        what="sharpened alpha off: unnormalised", changes={"loss": {"d_target": "unnormalised"}}, matched=True
    ),
    "own_in_d": Arm(what="same patients in L_D", changes={"loss": {"d_exclude_same_patient": False}}),
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
    "quarter_a",
)
"""What the study runs where no arms are named."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How small, how long.

    Attributes:
        steps: of every arm.
        batch: records of each source in a batch.
        image_size: pixels per side.
        embed_dim: width of the embeddings.
        learning_rate: of every arm, towers and encoders.
    """

    steps: int = 250
    batch: int = 64
    image_size: int = 32
    embed_dim: int = 64
    learning_rate: float = 3e-3


def recipe(arm: Arm, *, size: Size, seed: int, lambda_d: float | None = None) -> Settings:
    """Settings of an arm.

    Both recipes get the sizes of `demo()`, and `default` its augmentation (`paper` has none). The towers start at
    random, for which neither learning rate is meant, nor the constant schedule of `paper`: all arms share a learning
    rate, and the warm-up, cosine, clipping and decay of `default` but for `own_optimiser`.
    """
    small, base = demo().to_json(), BASES[arm.base]()
    schedule = (base if arm.own_optimiser else default()).to_json()["optimiser"]
    rates = {"steps": size.steps, "lr": size.learning_rate, "tower_lr": size.learning_rate}
    model = small["model"] | {
        "embed_dim": size.embed_dim,
        "image": small["model"]["image"] | {"image_size": size.image_size},
        "text": small["model"]["text"] | {"pad_to": 8, "context_length": 64},
    }
    settings = base.replace(
        model=model,
        batch={"size": size.batch, "validation_share": 0.0},
        augmentation=small["augmentation"] if arm.base == "default" else {},
        optimiser=schedule | rates,
        run={"seed": seed, "device": "cpu", "precision": "float32", "num_threads": 1, "validate_every": 0}
        | {"log_every": 50, "save_every": size.steps},
    )
    settings = settings.replace(**arm.changes)
    return settings if lambda_d is None else settings.replace(loss={"lambda_d": lambda_d})
