"""BiomedCLIP, the released MedCSP, and any other folder in open_clip's format, as published or as we export.

Sources: Zhang et al., 2023 (`microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224`); Wang et al., EMNLP 2024
(`xcwangpsu/MedCSP_clip`, the same architecture); open_clip (Ilharco et al.).

`paper`: reports of 512 tokens, as the harness tokenised them for retrieval, prompts of 256. `native`: the context that
the folder's configuration names (256 for BiomedCLIP). Both embed with the towers alone: the released evaluation leaves
MedCSP's shared head off, and the folder does not hold it. Preprocessing is open_clip's own from the configuration.

open_clip itself would ask a hub for the BERT's configuration, which a published folder lacks; its sizes are read from
the tensors instead, and the towers are open_clip's own classes. Configurations from before November 2023, with `proj`
and `pooler_type`, are read too. Text towers other than BERT and open_clip's own are refused.
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.tokenizer import get_clean_fn
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL.Image import Image
from torch import Tensor

from medcsp_model.baselines.radiology.interface import Mode, NotAvailableError, RadiologyModel, TextRule, Tokens
from medcsp_model.baselines.radiology.weights import (
    Tensors,
    bert_config,
    find_file,
    load_exactly,
    part_of,
    read_json,
    read_tensors,
)
from medcsp_model.baselines.radiology.words import TextTokenizer
from medcsp_model.towers import WEIGHTS, build_towers

PAPER_REPORT, PAPER_PROMPT = 512, 256
BERT = "text.transformer."
_clean = get_clean_fn("whitespace")
"""What open_clip does to a text before a tokenizer of transformers."""
_OLD_NAMES = {"hf_proj_type": "proj", "hf_pooler_type": "pooler_type"}


class OpenClip(RadiologyModel):
    """A CLIP in open_clip's format.

    Args:
        folder: open_clip_config.json, weights, and for a BERT its tokenizer.
        mode: see the module.

    Raises:
        NotAvailableError: what is missing, or does not fit.
    """

    def __init__(self, folder: str | Path, *, mode: Mode) -> None:
        super().__init__()
        self.mode = mode
        path = find_file(folder, ["open_clip_config.json"])
        config = read_json(path)
        if not isinstance(config.get("model_cfg"), dict):
            raise NotAvailableError(f"{path}: no model_cfg; fetch the file again")
        tensors, weights = read_tensors(folder, WEIGHTS)
        text = config["model_cfg"].get("text_cfg", {})
        self.has_bert = bool(text.get("hf_model_name"))
        if self.has_bert:
            self.inner, positions = _with_bert(config["model_cfg"], tensors, path)
            self.tokenizer: Any = TextTokenizer(folder)
        else:
            self.inner, positions = _plain(config["model_cfg"], path)
            self.tokenizer = open_clip.get_tokenizer(f"local-dir:{Path(folder).resolve()}")
        load_exactly(self.inner, tensors, path=weights)
        self.inner.eval()
        own = min(text.get("context_length", positions), positions)
        report, prompt = (PAPER_REPORT, PAPER_PROMPT) if mode == "paper" and self.has_bert else (own, own)
        self.rules = {"report": TextRule(min(report, positions)), "prompt": TextRule(min(prompt, positions))}
        self.transform = image_transform_v2(_preprocessing(config, self.inner), is_train=False)
        self.embed_dim = config["model_cfg"]["embed_dim"]
        self.logit_scale = self.inner.logit_scale.exp().item()

    def preprocess(self, images: Sequence[Image]) -> Tensor:
        """As the folder's configuration says."""
        return torch.stack([self.transform(image) for image in images])

    def to_tokens(self, texts: Sequence[str], context_length: int) -> Tokens:
        """Word pieces of cleaned texts, or open_clip's byte pairs."""
        if not self.has_bert:
            ids = self.tokenizer(list(texts), context_length=context_length)
            return Tokens(ids, (ids != 0).long())
        return self.tokenizer([_clean(text) for text in texts], context_length)

    def image_features(self, pixels_K3HW: Tensor) -> Tensor:
        """The image tower."""
        found: Tensor = self.inner.encode_image(pixels_K3HW)
        return found

    def text_features(self, tokens: Tokens) -> Tensor:
        """The text tower, which finds padding by its id."""
        found: Tensor = self.inner.encode_text(tokens.ids_KL)
        return found


def _with_bert(model_cfg: dict[str, Any], tensors: Tensors, path: Path) -> tuple[Any, int]:
    """Towers at random weights and the BERT's positions."""
    text = model_cfg["text_cfg"]
    bert = bert_config(part_of(tensors, BERT), path=path)
    description = {
        "model_cfg": {
            "embed_dim": model_cfg["embed_dim"],
            "vision_cfg": model_cfg["vision_cfg"] | {"timm_model_pretrained": False},
            "text_cfg": {new: text.get(new, text.get(old)) for new, old in _OLD_NAMES.items()},
        },
        "bert": {
            name: getattr(bert, name)
            for name in (
                "vocab_size",
                "hidden_size",
                "num_hidden_layers",
                "num_attention_heads",
                "intermediate_size",
                "max_position_embeddings",
            )
        },
    }
    return _built(lambda: build_towers(description), path), bert.max_position_embeddings


def _plain(model_cfg: dict[str, Any], path: Path) -> tuple[Any, int]:
    """A CLIP whose text tower is open_clip's own, and its context."""
    folder = path.parent.resolve()
    inner = _built(lambda: open_clip.create_model(f"local-dir:{folder}", load_weights=False), path)
    return inner, model_cfg["text_cfg"].get("context_length", 77)


def _built(build: Any, path: Path) -> Any:
    try:
        return build()
    except (KeyError, TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise NotAvailableError(f"{path}: describes towers that open_clip cannot build here: {error}") from error


def _preprocessing(config: dict[str, Any], model: Any) -> PreprocessCfg:
    """The configuration's, where it says nothing open_clip's own; the size is the tower's."""
    known = {field.name for field in fields(PreprocessCfg)}
    given = {name: value for name, value in config.get("preprocess_cfg", {}).items() if name in known}
    return PreprocessCfg(**given | {"size": model.visual.image_size})
