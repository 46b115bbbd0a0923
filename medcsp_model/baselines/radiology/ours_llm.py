"""Our LLM variant (paper, Appendix C) as an image-text model, from the folder that its training left.

Both modes are one: the paper gives the variant's embedding as the mean of the last hidden state, and no harness for it
was released. Pictures become grey squares as in `ours`; a text is put between the prompts that training put around
reports. Language model and checkpoint are found where the run's model.json says they were.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from medcsp_model.baselines.radiology.interface import Mode, NotAvailableError, RadiologyModel, TextRule, Tokens
from medcsp_model.baselines.radiology.pixels import ImageRule, square
from medcsp_model.baselines.radiology.weights import find_file
from medcsp_model.baselines.radiology.words import pad_rows
from medcsp_model.llm.model import load_llm

REPORT, IMAGE = "report", "image"


class OursLlm(RadiologyModel):
    """A finished run of the variant.

    Args:
        folder: model.json and model.safetensors, the projection.
        mode: see the module.

    Raises:
        NotAvailableError: no finished run, or its language model or checkpoint is gone or another.
    """

    def __init__(self, folder: str | Path, *, mode: Mode) -> None:
        super().__init__()
        self.mode = mode
        find_file(folder, ["model.json"])
        try:
            self.inner = load_llm(folder)
        except (ValueError, RuntimeError) as error:
            raise NotAvailableError(f"{folder}: not a finished run of the variant: {error}") from error
        ours = self.inner.encoders.description.settings
        self.rule = ImageRule(size=ours.model.image.image_size, grey=True, rounded=True)
        rule = TextRule(self.inner.settings.context_length)
        self.rules = {"report": rule, "prompt": rule}
        self.embed_dim = self.inner.embed_dim
        self.logit_scale = 1 / ours.loss.tau

    def preprocess(self, images: Sequence[Image]) -> Tensor:
        """Grey squares, uint8 (K, H, W): the encoders normalise them themselves."""
        return torch.from_numpy(np.stack([np.asarray(square(image, self.rule).convert("L")) for image in images]))

    def to_tokens(self, texts: Sequence[str], context_length: int) -> Tokens:
        """Tokens of texts inside the prompt of a report, whose end is never cut off."""
        before, after = self.inner.words.prompt(REPORT, "text")
        left = max(context_length - len(before) - len(after), 1)
        rows = [[*before, *self.inner.words.tokens(text)[:left], *after] for text in texts]
        return pad_rows(rows, self.inner.words.tokenizer.pad_id)

    def image_features(self, pixels_K3HW: Tensor) -> Tensor:
        """The language model's states of prompt and soft token."""
        return self.inner.embed_pixels(pixels_K3HW, IMAGE)

    def text_features(self, tokens: Tokens) -> Tensor:
        """The language model's states of prompt and text."""
        return self.inner.read(tokens.ids_KL, tokens.mask_KL)
