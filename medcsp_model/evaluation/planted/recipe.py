"""A recipe at the size of planted records: towers, images and texts that a core trains in half a minute."""

from dataclasses import dataclass

from medcsp_model.settings import Augmentation, Settings, demo


@dataclass(frozen=True, kw_only=True)
class Size:
    """How small, how long.

    Attributes:
        steps: of every training.
        batch: records of each source in a batch.
        image_size: pixels per side.
        embed_dim: width of the embeddings.
        learning_rate: of towers and encoders.
    """

    steps: int = 250
    batch: int = 64
    image_size: int = 32
    embed_dim: int = 64
    learning_rate: float = 3e-3


def at_planted_size(base: Settings, *, size: Size, seed: int, schedule: Settings) -> Settings:
    """A recipe's losses, batches and head with the sizes of `demo()`, and its augmentation where the recipe has any.

    Args:
        base: the recipe.
        size: of the training.
        seed: of weights, batches and dropout.
        schedule: whose warm-up, decay, clipping and schedule it gets. The towers start at random, for which no recipe's
            own learning rate is meant.
    """
    small, optimiser = demo().to_json(), schedule.to_json()["optimiser"]
    rates = {"steps": size.steps, "lr": size.learning_rate, "tower_lr": size.learning_rate}
    model = small["model"] | {
        "head": base.model.head,
        "embed_dim": size.embed_dim,
        "image": small["model"]["image"] | {"image_size": size.image_size},
        "text": small["model"]["text"] | {"pad_to": 8, "context_length": 64},
    }
    return base.replace(
        model=model,
        batch={"size": size.batch, "validation_share": 0.0},
        augmentation={} if base.augmentation == Augmentation() else small["augmentation"],
        optimiser=optimiser | rates,
        run={"seed": seed, "device": "cpu", "precision": "float32", "num_threads": 1, "validate_every": 0}
        | {"log_every": 50, "save_every": size.steps},
    )
