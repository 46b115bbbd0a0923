"""Settings of the LLM variant; losses, batches, optimiser and run are those of `medcsp_model.settings.Settings`."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from medcsp_model.settings import read_settings


@dataclass(frozen=True, kw_only=True)
class LlmSettings:
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

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Settings from plain values; ValueError names an unknown key or a value that cannot be."""
        settings = read_settings(cls, values)
        if settings.context_length < 1:
            raise ValueError(f"settings.context_length: must be above 0, got {settings.context_length}")
        return settings
