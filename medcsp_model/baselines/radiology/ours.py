"""Our own model, from the folder that training left.

`native`: towers and shared head, as in training and in `medcsp_model.embed`. `paper`: towers alone (`raw_towers`), as
the released evaluation embedded. Pictures become grey squares as the image store has them (shortest side by bicubic
interpolation, centre crop), of the tower's own size; a store of larger pictures, which training resizes by area,
differs by that much. Texts are 512 tokens, prompts 256, or as many as the tower has positions.
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
from medcsp_model.baselines.radiology.words import TextTokenizer
from medcsp_model.model import load_model

REPORT, PROMPT = 512, 256
TOKENIZER = "tokenizer"


class Ours(RadiologyModel):
    """A finished run beside its tokenizer.

    Args:
        folder: model.json, model.safetensors, and the tokenizer's files in it or in its sub-folder `tokenizer`.
        mode: see the module.

    Raises:
        NotAvailableError: no finished model, no tokenizer, or one with more words than the text tower.
    """

    def __init__(self, folder: str | Path, *, mode: Mode) -> None:
        super().__init__()
        self.mode, folder = mode, Path(folder)
        find_file(folder, ["model.json"])
        self.tokenizer = TextTokenizer(folder / TOKENIZER if (folder / TOKENIZER).is_dir() else folder)
        try:
            self.inner = load_model(folder)
        except (ValueError, RuntimeError) as error:
            raise NotAvailableError(f"{folder}: not a finished run: {error}") from error
        self.inner.raw_towers = mode == "paper"
        description = self.inner.description
        bert = description.towers["bert"]
        words = self.tokenizer.inner.get_vocab_size()
        if words > bert["vocab_size"]:
            raise NotAvailableError(
                f"{folder}: its tokenizer has {words} words, the text tower {bert['vocab_size']}; take the run's own"
            )
        self.rule = ImageRule(size=description.settings.model.image.image_size, grey=True, rounded=True)
        positions = bert["max_position_embeddings"]
        self.rules = {"report": TextRule(min(REPORT, positions)), "prompt": TextRule(min(PROMPT, positions))}
        self.embed_dim = description.settings.model.embed_dim
        self.logit_scale = 1 / description.settings.loss.tau

    def preprocess(self, images: Sequence[Image]) -> Tensor:
        """Grey squares, uint8 (K, H, W): the model normalises them itself."""
        return torch.from_numpy(np.stack([np.asarray(square(image, self.rule).convert("L")) for image in images]))

    def to_tokens(self, texts: Sequence[str], context_length: int) -> Tokens:
        """Word pieces."""
        return self.tokenizer(texts, context_length)

    def image_features(self, pixels_K3HW: Tensor) -> Tensor:
        """The image tower, in mode `native` with the head."""
        return self._head(self.inner.encode_image(pixels_K3HW))

    def text_features(self, tokens: Tokens) -> Tensor:
        """The text tower, in mode `native` with the head."""
        return self._head(self.inner.encode_text(tokens.ids_KL))

    def _head(self, e_KD: Tensor) -> Tensor:
        return e_KD if self.inner.raw_towers else self.inner.apply_head(e_KD)
