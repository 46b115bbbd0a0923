"""MedCLIP: decoupled image-text learning with a Swin transformer or a ResNet-50, and Bio_ClinicalBERT.

Source: Wang et al., EMNLP 2022; weights of `medclip` 0.0.3 (`pytorch_model.bin`, a plain state dict). The package
itself pins transformers 4.24 and a CUDA device, so this is a re-implementation.

A picture is padded to a black square, grey, 224 x 224, with one mean and one deviation, repeated to three channels. A
text's feature is the mean over the first, second and last hidden states and over its tokens, projected.
`paper`: reports of 512 tokens, prompts of two sentences, and the mean over tokens counts padding, so that a feature
depends on the batch: give the harness's batches of 2 to follow it. `native`: 77 tokens, whole prompts, and every text
as if it were alone in its batch (its own tokens only), which is what the authors' code gives for one text.
Deviation: Swin and BERT sizes are read from the weights; the tokenizer is Bio_ClinicalBERT's vocab.txt in the folder.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn
from transformers import BertModel, SwinModel

from medcsp_model.baselines.radiology.interface import Mode, NotAvailableError, RadiologyModel, TextRule, Tokens
from medcsp_model.baselines.radiology.pixels import ImageRule, prepare
from medcsp_model.baselines.radiology.resnet import build_resnet
from medcsp_model.baselines.radiology.weights import (
    bert_config,
    load_exactly,
    part_of,
    read_tensors,
    swin_config,
    swin_names,
)
from medcsp_model.baselines.radiology.words import TextTokenizer

IMAGE_SIZE, NATIVE_CONTEXT, PAPER_CONTEXT = 224, 77, 512
RULE = ImageRule(
    size=IMAGE_SIZE,
    fit="pad",
    grey=True,
    mean=(0.5862785803043838,) * 3,
    std=(0.27950088968644304,) * 3,
)
MOST_SCALE = 4.6052
"""Upper bound of the logarithm of the logit scale, applied whenever logits are made."""
VISION, TEXT = "vision_model.model.", "text_model.model."


class MedClip(RadiologyModel):
    """A MedCLIP as published, ViT (that is, Swin) or ResNet.

    Args:
        folder: pytorch_model.bin and vocab.txt.
        mode: see the module.

    Raises:
        NotAvailableError: what is missing, or does not fit.
    """

    def __init__(self, folder: str | Path, *, mode: Mode) -> None:
        super().__init__()
        self.mode = mode
        self.tokenizer = TextTokenizer(folder)
        tensors, path = read_tensors(folder, ("pytorch_model.bin", "model.safetensors"))
        if f"{VISION}fc.weight" not in tensors:
            tensors = swin_names(tensors, VISION)
        try:
            self.embed_dim = tensors["text_model.projection_head.weight"].shape[0]
        except KeyError as error:
            raise NotAvailableError(f"{path}: not MedCLIP's weights: no {error}") from error
        text = bert_config(part_of(tensors, TEXT), path=path)
        self.vision_model = _vision(tensors, self.embed_dim, path)
        self.text_model = _Projected(BertModel(text), text.hidden_size, self.embed_dim)
        self.logit_scale_log = nn.Parameter(torch.zeros(()))
        renamed = {("logit_scale_log" if name == "logit_scale" else name): value for name, value in tensors.items()}
        load_exactly(self, renamed, path=path)
        self.eval()
        self.logit_scale = self.logit_scale_log.clamp(0, MOST_SCALE).exp().item()
        native = min(NATIVE_CONTEXT, text.max_position_embeddings)
        paper = min(PAPER_CONTEXT, text.max_position_embeddings)
        self.rules = (
            {"report": TextRule(paper), "prompt": TextRule(native, 2)}
            if mode == "paper"
            else {"report": TextRule(native), "prompt": TextRule(native)}
        )

    def preprocess(self, images: Sequence[Image]) -> Tensor:
        """Grey, padded, 224 x 224."""
        return prepare(images, RULE)

    def to_tokens(self, texts: Sequence[str], context_length: int) -> Tokens:
        """Word pieces in lower case."""
        return self.tokenizer(texts, context_length)

    def image_features(self, pixels_K3HW: Tensor) -> Tensor:
        """Swin's pooled patches, projected; a ResNet ends in its projection."""
        if isinstance(self.vision_model, _Projected):
            found: Tensor = self.vision_model.projection_head(self.vision_model.model(pixels_K3HW).pooler_output)
        else:
            found = self.vision_model.model(pixels_K3HW)
        return found

    def text_features(self, tokens: Tokens) -> Tensor:
        """Mean of three layers over tokens, projected."""
        output = self.text_model.model(tokens.ids_KL, attention_mask=tokens.mask_KL, output_hidden_states=True)
        layers_KLD = torch.stack([output.hidden_states[layer] for layer in (1, 2, -1)]).mean(dim=0)
        mask_KL = torch.ones_like(tokens.mask_KL) if self.mode == "paper" else tokens.mask_KL
        mean_KD = (layers_KLD * mask_KL[..., None]).sum(dim=1) / mask_KL.sum(dim=1, keepdim=True)
        found: Tensor = self.text_model.projection_head(mean_KD)
        return found


class _Projected(nn.Module):
    """A transformer and a linear projection without a bias, under the published names."""

    def __init__(self, model: nn.Module, width: int, embed_dim: int) -> None:
        super().__init__()
        self.model: Any = model
        self.projection_head = nn.Linear(width, embed_dim, bias=False)


class _ResNet(nn.Module):
    """A ResNet whose last layer is the projection, under the published names."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model


def _vision(tensors: dict[str, Tensor], embed_dim: int, path: Path) -> _Projected | _ResNet:
    own = part_of(tensors, VISION)
    if "fc.weight" in own:
        resnet = build_resnet(own, path=path)
        resnet.fc = nn.Linear(own["fc.weight"].shape[1], embed_dim, bias=False)
        return _ResNet(resnet)
    config = swin_config(own, image_size=IMAGE_SIZE, path=path)
    return _Projected(SwinModel(config), config.hidden_size, embed_dim)
