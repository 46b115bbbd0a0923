"""SigLIP folders in transformers' format, such as MedSigLIP or XraySigLIP.

Source: Zhai et al., ICCV 2023; MedGemma technical report, 2025 (`google/medsiglip-448`).

Texts are padded to the full context, because the text tower pools its last position whatever stands there. The sigmoid
of its training has a bias, which two prompts share and a softmax over them cancels. What is done to a text before
(lower case, no punctuation) is what tokenizer.json says. Both modes are the same but for
prompts, of which `paper` keeps two sentences as for every model of short context; the paper has no SigLIP.
"""

from collections.abc import Sequence
from pathlib import Path

from PIL.Image import Image
from torch import Tensor
from transformers import SiglipModel

from medcsp_model.baselines.radiology.clip import features
from medcsp_model.baselines.radiology.interface import Mode, RadiologyModel, TextRule, Tokens
from medcsp_model.baselines.radiology.pixels import prepare, read_rule
from medcsp_model.baselines.radiology.weights import load_pretrained
from medcsp_model.baselines.radiology.words import TextTokenizer


class Siglip(RadiologyModel):
    """A SigLIP in transformers' format.

    Args:
        folder: config.json, weights, tokenizer.json, preprocessor_config.json.
        mode: see the module.
    """

    def __init__(self, folder: str | Path, *, mode: Mode) -> None:
        super().__init__()
        self.mode = mode
        self.tokenizer = TextTokenizer(folder)
        self.rule = read_rule(folder)
        self.inner = load_pretrained(SiglipModel, folder)
        self.positions = self.inner.config.text_config.max_position_embeddings
        self.rules = {"report": TextRule(self.positions), "prompt": TextRule(self.positions, 2 * (mode == "paper"))}
        self.embed_dim = self.inner.config.vision_config.hidden_size
        self.logit_scale = self.inner.logit_scale.exp().item()

    def preprocess(self, images: Sequence[Image]) -> Tensor:
        """Both sides to the tower's size, values to [-1, 1]."""
        return prepare(images, self.rule)

    def to_tokens(self, texts: Sequence[str], context_length: int) -> Tokens:
        """Sentence pieces, padded to the full context."""
        return self.tokenizer(texts, context_length, pad_to=self.positions)

    def image_features(self, pixels_K3HW: Tensor) -> Tensor:
        """Attention-pooled patches."""
        return features(self.inner.get_image_features(pixel_values=pixels_K3HW))

    def text_features(self, tokens: Tokens) -> Tensor:
        """Last position; the mask is not given to the tower, as in its training."""
        return features(self.inner.get_text_features(input_ids=tokens.ids_KL))
