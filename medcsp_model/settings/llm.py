"""Settings of the LLM variant; losses, batches, optimiser and run are those of `medcsp_model.settings.Settings`."""

from dataclasses import dataclass
from typing import Literal

from medcsp_model.settings.plain import PlainSettings, check_least


@dataclass(frozen=True, kw_only=True)
class LlmSettings(PlainSettings):
    """What the variant chooses beside a training's settings.

    Attributes:
        image_features: what the projection sees of an image: the pooled output of the image tower's trunk, as in the
            paper (768 numbers of a ViT-B/16), or the embedding that the encoders were trained for, as of every other
            modality.
        pool: mean of the last hidden state over all of a sequence's own tokens, or the state of the last of them.
        context_length: tokens of a sequence, prompt included; longer texts are cut.
        dtype: of the language model's weights.
        checkpoint_gradients: keep one hidden state a layer for the backward pass and compute the rest again.
    """

    image_features: Literal["trunk", "shared"] = "trunk"
    pool: Literal["mean", "last"] = "mean"
    context_length: int = 512
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    checkpoint_gradients: bool = True

    def check(self) -> None:
        """Refuse values that cannot be, with a ValueError."""
        check_least(self, 1, "context_length")
