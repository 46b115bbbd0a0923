"""CLIP and PubMedCLIP: transformers' `CLIPModel` folders.

Sources: Radford et al., ICML 2021 (`openai/clip-vit-large-patch14`); Eslami et al., Findings of EACL 2023
(`flaviagiammarino/pubmed-clip-vit-base-patch32`, ViT-B/32 fine-tuned on ROCO).

`paper`: a report is its first 77 tokens, a prompt its first two sentences. `native`: 77 tokens of whatever text is
given (give findings and impression, not the whole report), whole prompts. Preprocessing is the folder's own in both:
shortest side 224 by bicubic interpolation, centre crop.
Deviation: none known; pictures are resized by Pillow, as in the harness's time, not by transformers 5's torch filters.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor
from transformers import CLIPModel

from medcsp_model.baselines.radiology.interface import Mode, RadiologyModel, TextRule, Tokens
from medcsp_model.baselines.radiology.pixels import prepare, read_rule
from medcsp_model.baselines.radiology.weights import load_pretrained
from medcsp_model.baselines.radiology.words import TextTokenizer


class Clip(RadiologyModel):
    """A CLIP in transformers' format.

    Args:
        folder: config.json, weights, tokenizer.json, preprocessor_config.json.
        mode: see the module.
    """

    def __init__(self, folder: str | Path, *, mode: Mode) -> None:
        super().__init__()
        self.mode = mode
        self.tokenizer = TextTokenizer(folder)
        self.rule = read_rule(folder)
        self.inner = load_pretrained(CLIPModel, folder)
        positions = self.inner.config.text_config.max_position_embeddings
        self.rules = {"report": TextRule(positions), "prompt": TextRule(positions, 2 if mode == "paper" else 0)}
        self.embed_dim = self.inner.config.projection_dim
        self.logit_scale = self.inner.logit_scale.exp().item()

    def preprocess(self, images: Sequence[Image]) -> Tensor:
        """As the folder's preprocessor says."""
        return prepare(images, self.rule)

    def to_tokens(self, texts: Sequence[str], context_length: int) -> Tokens:
        """Byte pairs between start and end of text."""
        return self.tokenizer(texts, context_length)

    def image_features(self, pixels_K3HW: Tensor) -> Tensor:
        """Projected class token."""
        return features(self.inner.get_image_features(pixel_values=pixels_K3HW))

    def text_features(self, tokens: Tokens) -> Tensor:
        """Projected end of text."""
        return features(self.inner.get_text_features(input_ids=tokens.ids_KL, attention_mask=tokens.mask_KL))


def features(output: object) -> Tensor:
    """The features of `get_..._features`: a tensor until transformers 4, an output object since."""
    found = output if isinstance(output, Tensor) else getattr(output, "pooler_output", None)
    assert isinstance(found, torch.Tensor)
    return found
