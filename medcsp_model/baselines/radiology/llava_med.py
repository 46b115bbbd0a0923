"""LLaVA-Med: a language model that sees patches of an image through a projection, used as two towers.

Source: Li et al., NeurIPS 2023. `LlavaMedV1` is version 1.0, what the paper used (LLaMA-7B, a linear projection, CLIP
ViT-L/14 at 224): `convert` adds the published delta to the original LLaMA. `LlavaMedV15` is version 1.5 in
transformers' format (Mistral-7B, two layers, CLIP ViT-L/14 at 336).

`native`: an image is a prompt and its patches, a text the same prompt and its tokens; the embedding is the mean of the
last hidden state over all of a sequence's own tokens. Version 1.5 pads a picture to a square of CLIP's mean grey,
version 1.0 crops the centre.
`paper`: the class in the released harness takes the mean of the vision tower's patches for an image and of the last but
one hidden states, without the first token, for a text; it compares 1,024 numbers with 4,096 and cannot run. Least
change: the patches pass the projection first. No prompt on either side.
Deviations: the prompts are our own wording, as the paper prints none; the text tower is the same language model without
an image (its section 4.3.3).
"""

import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn
from transformers import CLIPModel, LlamaConfig, LlamaForCausalLM, LlavaForConditionalGeneration

from medcsp_model.baselines.radiology.interface import Mode, NotAvailableError, RadiologyModel, TextRule, Tokens
from medcsp_model.baselines.radiology.pixels import CLIP_MEAN, ImageRule, prepare, read_rule
from medcsp_model.baselines.radiology.weights import (
    SHARDED,
    find_file,
    load_exactly,
    load_pretrained,
    part_of,
    read_json,
    read_tensors,
)
from medcsp_model.baselines.radiology.words import TextTokenizer, pad_rows

CONTEXT_LENGTH = 2048
IMAGE_PROMPT = ("Image of a chest X-ray: ", "\nThe findings in short:")
TEXT_PROMPT = ("Report of a chest X-ray: ", "\nThe findings in short:")
VISION_TOWER = "vision_tower"
PROJECTOR = "model.mm_projector."
START, END = "<im_start>", "<im_end>"


class _Llava(RadiologyModel):
    """What both versions share: a vision tower, a projection, a language model."""

    rule: ImageRule
    vision_layer: int
    around: tuple[Sequence[int], Sequence[int]] = ((), ())

    def __init__(self, folder: str | Path, *, mode: Mode) -> None:
        super().__init__()
        self.mode = mode
        self.tokenizer = TextTokenizer(folder, pad=_pad(folder))
        self.rules = {"report": TextRule(CONTEXT_LENGTH), "prompt": TextRule(CONTEXT_LENGTH)}
        self.logit_scale = 1 / 0.07  # it has none of its own; CLIP's first, which changes no argmax and no order

    @property
    @abstractmethod
    def vision(self) -> Any:
        """The vision tower."""

    @property
    @abstractmethod
    def language(self) -> Any:
        """The language model without its head."""

    @abstractmethod
    def project(self, patches_KPW: Tensor) -> Tensor:
        """Patches of the vision tower to the width of the language model."""

    def preprocess(self, images: Sequence[Image]) -> Tensor:
        """As CLIP's processor, padded to a square in version 1.5."""
        return prepare(images, self.rule)

    def to_tokens(self, texts: Sequence[str], context_length: int) -> Tokens:
        """Tokens of texts, in mode `native` inside the prompt, whose end is never cut off."""
        if self.mode == "paper":
            return self.tokenizer(texts, context_length)
        before, after = self._prompt(TEXT_PROMPT)
        left = max(context_length - len(before) - len(after), 1)
        return pad_rows([[*before, *self._ids(text)[:left], *after] for text in texts], self.tokenizer.pad_id)

    def _prompt(self, prompt: tuple[str, str]) -> tuple[list[int], list[int]]:
        """Tokens before (with the start of a sequence) and after what is prompted."""
        self.tokenizer.inner.no_truncation()
        return self.tokenizer.inner.encode(prompt[0]).ids, self._ids(prompt[1])

    def _ids(self, text: str) -> list[int]:
        self.tokenizer.inner.no_truncation()
        ids: list[int] = self.tokenizer.inner.encode(text, add_special_tokens=False).ids
        return ids

    def image_features(self, pixels_K3HW: Tensor) -> Tensor:
        """Mean over the projected patches, or over the language model's states of prompt and patches."""
        states = self.vision(pixels_K3HW.to(self.dtype), output_hidden_states=True).hidden_states
        patches_KPD = self.project(states[self.vision_layer][:, 1:])
        if self.mode == "paper":
            return patches_KPD.float().mean(dim=1)
        before, after = self._prompt(IMAGE_PROMPT)
        sides = [
            self.language.embed_tokens(torch.tensor([ids], device=patches_KPD.device)).expand(len(patches_KPD), -1, -1)
            for ids in ([*before, *self.around[0]], [*self.around[1], *after])
        ]
        inputs_KLD = torch.cat([sides[0], patches_KPD, sides[1]], dim=1)
        mask_KL = torch.ones(inputs_KLD.shape[:2], dtype=torch.int64, device=inputs_KLD.device)
        output = self.language(inputs_embeds=inputs_KLD, attention_mask=mask_KL, use_cache=False)
        return _mean(output.last_hidden_state, mask_KL)

    def text_features(self, tokens: Tokens) -> Tensor:
        """Mean over the states of a text's own tokens."""
        output = self.language(
            tokens.ids_KL, attention_mask=tokens.mask_KL, output_hidden_states=self.mode == "paper", use_cache=False
        )
        if self.mode == "native":
            return _mean(output.last_hidden_state, tokens.mask_KL)
        mask_KL = tokens.mask_KL.clone()
        mask_KL[:, 0] = mask_KL.sum(dim=1) == 1  # a text of one token has no other
        return _mean(output.hidden_states[-2], mask_KL)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next(self.language.parameters()).dtype


class LlavaMedV15(_Llava):
    """Version 1.5 in transformers' format.

    Args:
        folder: config.json, weights in shards, tokenizer.json, preprocessor_config.json.
        mode: see the module.
        dtype: of the weights; float32 takes 30 GB.

    Raises:
        NotAvailableError: what is missing, or does not fit.
    """

    def __init__(self, folder: str | Path, *, mode: Mode, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(folder, mode=mode)
        fill = tuple(int(255 * value) for value in CLIP_MEAN)
        rule = read_rule(folder)
        self.rule = rule if mode == "paper" else replace(rule, fit="pad", fill=(fill[0], fill[1], fill[2]))
        whole = load_pretrained(LlavaForConditionalGeneration, folder, dtype=dtype)
        layer = whole.config.vision_feature_layer
        if not isinstance(layer, int):
            raise NotAvailableError(f"{folder}: config.json: vision_feature_layer {layer}; one layer is expected")
        self.whole, self.vision_layer = whole, layer
        self.embed_dim = whole.config.text_config.hidden_size

    @property
    def vision(self) -> Any:
        """The vision tower."""
        return self.whole.model.vision_tower

    @property
    def language(self) -> Any:
        """The language model without its head."""
        return self.whole.model.language_model

    def project(self, patches_KPW: Tensor) -> Tensor:
        """Two layers with GELU between."""
        found: Tensor = self.whole.model.multi_modal_projector(patches_KPW)
        return found


class LlavaMedV1(_Llava):
    """Version 1.0 after the delta was added.

    Args:
        folder: config.json (`model_type` llava of 2023), weights with `model.mm_projector`, LLaMA's tokenizer.json,
            added_tokens.json, and the sub-folder vision_tower with CLIP ViT-L/14 in transformers' format.
        mode: see the module.
        dtype: of the weights; float32 takes 28 GB.

    Raises:
        NotAvailableError: what is missing, or does not fit.
    """

    def __init__(self, folder: str | Path, *, mode: Mode, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(folder, mode=mode)
        folder = Path(folder)
        config, added = (read_json(find_file(folder, [name])) for name in ("config.json", "added_tokens.json"))
        if not {START, END} <= set(added):
            raise NotAvailableError(f"{folder / 'added_tokens.json'}: no {START} and {END}; fetch the file again")
        self.around = ([added[START]], [added[END]])
        self.rule = read_rule(folder / VISION_TOWER)
        known = set(signature(LlamaConfig).parameters)
        llama = LlamaConfig(**{name: value for name, value in config.items() if name in known})
        unused = re.compile(rf"^{re.escape(PROJECTOR)}")
        self.whole = load_pretrained(LlamaForCausalLM, folder, config=llama, unused=unused, dtype=dtype)
        self.clip = load_pretrained(CLIPModel, folder / VISION_TOWER, dtype=dtype)
        self.vision_layer = int(config.get("mm_vision_select_layer", -2))
        self.mm_projector = nn.Linear(self.clip.config.vision_config.hidden_size, llama.hidden_size)
        tensors, path = read_tensors(folder, SHARDED, only=PROJECTOR)
        load_exactly(self.mm_projector, part_of(tensors, PROJECTOR), path=path)
        self.mm_projector.to(dtype)
        self.embed_dim = llama.hidden_size

    @property
    def vision(self) -> Any:
        """The vision tower."""
        return self.clip.vision_model

    @property
    def language(self) -> Any:
        """The language model without its head."""
        return self.whole.model

    def project(self, patches_KPW: Tensor) -> Tensor:
        """One linear layer."""
        found: Tensor = self.mm_projector(patches_KPW)
        return found


def _mean(states_KLD: Tensor, mask_KL: Tensor) -> Tensor:
    """Mean over own tokens, in float32."""
    mask_KL1 = mask_KL[..., None].float()
    mean_KD: Tensor = (states_KLD.float() * mask_KL1).sum(dim=1) / mask_KL1.sum(dim=1)
    return mean_KD


def _pad(folder: str | Path) -> str:
    """LLaMA's tokenizer has no token to pad with; which one stands there does not matter, as it is masked."""
    path = find_file(folder, ["tokenizer.json"])
    names = {token["content"] for token in read_json(path).get("added_tokens", [])}
    return "<pad>" if "<pad>" in names else "<unk>"
