"""CXR-CLIP: a ResNet-50 or a Swin transformer, and Bio_ClinicalBERT, trained on X-rays, reports and label prompts.

Source: You et al., MICCAI 2023; checkpoints `r50_m|mc|mcc.tar` and `swint_m|mc|mcc.tar`, which `convert` turns once
into `model.safetensors` and `cxr_clip.json` (what of the configuration is needed: longest text, pooling).

Swin's feature is its first patch token, as the authors' code takes it (Swin has no class token); a text's feature is
its last token that is not padding. `native`: shortest side 224 by bilinear interpolation, centre crop, mean and
deviation 1/2 (Swin) or ImageNet's (ResNet); Bio_ClinicalBERT's tokenizer, 256 tokens.
`paper`: the released harness hands CXR-CLIP the tokenizer and the preprocessing of BiomedCLIP, whose ids mean other
words here: BiomedCLIP's tokenizer is read from the sub-folder `biomedclip`. Deviation: ids beyond the vocabulary
(30,522 against 28,996), which would stop the harness, are the unknown token.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Pillow
from PIL.Image import Image
from torch import Tensor, nn
from transformers import BertModel, SwinModel

from medcsp_model.baselines.radiology.interface import Mode, NotAvailableError, RadiologyModel, TextRule, Tokens
from medcsp_model.baselines.radiology.pixels import IMAGENET_MEAN, IMAGENET_STD, ImageRule, prepare
from medcsp_model.baselines.radiology.resnet import build_resnet
from medcsp_model.baselines.radiology.weights import (
    bert_config,
    find_file,
    load_exactly,
    part_of,
    read_json,
    read_tensors,
    swin_config,
    swin_names,
)
from medcsp_model.baselines.radiology.words import TextTokenizer

CONFIG, WEIGHTS = "cxr_clip.json", "model.safetensors"
IMAGE_SIZE, PAPER_REPORT, PAPER_PROMPT = 224, 512, 256
SWIN_RULE = ImageRule(
    size=IMAGE_SIZE, resample=Pillow.Resampling.BILINEAR, mean=(0.5,) * 3, std=(0.5,) * 3, rounded=True
)
RESNET_RULE = replace(SWIN_RULE, mean=IMAGENET_MEAN, std=IMAGENET_STD)
PAPER_RULE = ImageRule(size=IMAGE_SIZE, rounded=True)
UNKNOWN = "[UNK]"
SWIN, RESNET, TEXT = "image_encoder.image_encoder.", "image_encoder.resnet.", "text_encoder.text_encoder."


class CxrClip(RadiologyModel):
    """A converted CXR-CLIP checkpoint.

    Args:
        folder: model.safetensors and cxr_clip.json as `convert` writes them, vocab.txt of Bio_ClinicalBERT, and for
            mode `paper` the sub-folder biomedclip with BiomedCLIP's tokenizer.
        mode: see the module.

    Raises:
        NotAvailableError: what is missing, or does not fit.
    """

    def __init__(self, folder: str | Path, *, mode: Mode) -> None:
        super().__init__()
        self.mode, folder = mode, Path(folder)
        if folder.is_dir() and not (folder / WEIGHTS).is_file() and (tars := sorted(folder.glob("*.tar"))):
            command = f"python -m medcsp_model.baselines.radiology.convert cxr_clip {tars[0]} {folder}"
            raise NotAvailableError(f"{folder}: holds a checkpoint as published; convert it once: {command}")
        tensors, path = read_tensors(folder, (WEIGHTS,))
        config = read_json(find_file(folder, [CONFIG]))
        self.tokenizer = TextTokenizer(folder / "biomedclip" if mode == "paper" else folder)
        tensors = swin_names(tensors, SWIN)
        text = bert_config(part_of(tensors, TEXT), path=path)
        self.pooling = config["text_pooling"]
        if self.pooling not in ("eos", "bos", "mean"):
            raise NotAvailableError(f"{folder / CONFIG}: text_pooling {self.pooling!r}; known: eos, bos, mean")
        try:
            self.embed_dim = tensors["text_projection.projection.weight"].shape[0]
        except KeyError as error:
            raise NotAvailableError(f"{path}: not CXR-CLIP's weights: no {error}") from error
        self.image_encoder, width = _image_encoder(tensors, path)
        self.text_encoder = _Named("text_encoder", BertModel(text))
        self.image_projection = _Named("projection", nn.Linear(width, self.embed_dim))
        self.text_projection = _Named("projection", nn.Linear(text.hidden_size, self.embed_dim))
        self.logit_scale_log = nn.Parameter(torch.zeros(()))
        renamed = {("logit_scale_log" if name == "logit_scale" else name): value for name, value in tensors.items()}
        load_exactly(self, renamed, path=path)
        self.eval()
        self.logit_scale = self.logit_scale_log.exp().item()
        self.rule = PAPER_RULE if mode == "paper" else RESNET_RULE if self.has_resnet else SWIN_RULE
        report, prompt = (PAPER_REPORT, PAPER_PROMPT) if mode == "paper" else (config["text_max_length"],) * 2
        longest = text.max_position_embeddings
        self.rules = {"report": TextRule(min(report, longest)), "prompt": TextRule(min(prompt, longest))}
        self.vocab_size = text.vocab_size

    @property
    def has_resnet(self) -> bool:
        """Whether the image encoder is a ResNet."""
        return hasattr(self.image_encoder, "resnet")

    def preprocess(self, images: Sequence[Image]) -> Tensor:
        """224 x 224, see the module."""
        return prepare(images, self.rule)

    def to_tokens(self, texts: Sequence[str], context_length: int) -> Tokens:
        """Word pieces; in mode `paper` BiomedCLIP's, with ids that the text encoder does not have made unknown."""
        tokens = self.tokenizer(texts, context_length)
        unknown = self.tokenizer.inner.token_to_id(UNKNOWN)
        ids = tokens.ids_KL.masked_fill(tokens.ids_KL >= self.vocab_size, unknown)
        return Tokens(ids, tokens.mask_KL)

    def image_features(self, pixels_K3HW: Tensor) -> Tensor:
        """First patch token of Swin, or pooled ResNet, projected."""
        if self.has_resnet:
            pooled = self.image_encoder.resnet(pixels_K3HW)
        else:
            pooled = self.image_encoder.image_encoder(pixels_K3HW).last_hidden_state[:, 0]
        found: Tensor = self.image_projection.projection(pooled)
        return found

    def text_features(self, tokens: Tokens) -> Tensor:
        """Last own token (or what the configuration pools), projected."""
        states_KLD = self.text_encoder.text_encoder(tokens.ids_KL, attention_mask=tokens.mask_KL).last_hidden_state
        count_K = tokens.mask_KL.sum(dim=1)
        if self.pooling == "eos":
            pooled = states_KLD[torch.arange(len(states_KLD), device=states_KLD.device), count_K - 1]
        elif self.pooling == "bos":
            pooled = states_KLD[:, 0]
        else:
            pooled = (states_KLD * tokens.mask_KL[..., None]).sum(dim=1) / count_K[:, None]
        found: Tensor = self.text_projection.projection(pooled)
        return found


class _Named(nn.Module):
    """One module under a published name."""

    def __init__(self, name: str, module: nn.Module) -> None:
        super().__init__()
        self.add_module(name, module)

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name)


def _image_encoder(tensors: dict[str, Tensor], path: Path) -> tuple[_Named, int]:
    """Image encoder at random weights and the width of its feature."""
    if resnet := part_of(tensors, RESNET):
        built = build_resnet(resnet, path=path)
        width = built.fc.in_features
        built.fc = nn.Identity()
        return _Named("resnet", built), width
    config = swin_config(part_of(tensors, SWIN), image_size=IMAGE_SIZE, path=path)
    return _Named("image_encoder", SwinModel(config)), config.hidden_size
