"""Small models of the published families, each trained by its family's own objective on the same corpus as ours.

They are no replacement for published weights: they say what an objective makes of the same films, where those weights
cannot be had. All but the last have the towers of our demo; `medcsp_model.small_models` trains them.

    clip_small        one image and its report's first 77 tokens, InfoNCE both ways (CLIP, PubMedCLIP)
    biomedclip_small  the same with 256 tokens (BiomedCLIP)
    medclip_small     images and reports drawn apart; how alike their labels are is the target (MedCLIP)
    cxr_clip_small    two images and two texts of a study: image-text both ways, image-image, text-text (CXR-CLIP)
    llava_med_small   an image as one soft token before its report, next-token loss; embeddings are masked means of the
                      last hidden states (LLaVA-Med); its "language model" is trained too, having read nothing before

None of them sees a link between sources, an admission, or a subject of an evaluation set.

Letters: K images or texts, L tokens, V words, D width, S studies.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from medcsp_model.baselines.radiology.interface import Mode, NotAvailableError, RadiologyModel, TextRule, Tokens
from medcsp_model.baselines.radiology.weights import find_file, read_json
from medcsp_model.baselines.radiology.words import TextTokenizer
from medcsp_model.images import prepare_images
from medcsp_model.settings import ImageTower, demo
from medcsp_model.towers import build_towers, describe_towers

FILE, WEIGHTS = "small.json", "model.safetensors"
CONTEXT = {
    "clip_small": 77,
    "biomedclip_small": 256,
    "medclip_small": 77,
    "cxr_clip_small": 256,
    "llava_med_small": 256,
}
"""Families, and the most tokens that each reads."""
FIRST_SCALE, LARGEST_SCALE = 1 / 0.07, 100.0


class SmallTowers(nn.Module):
    """Image and text tower with a learned temperature.

    Args:
        vocab_size: words.
        embed_dim: width of the embeddings.
    """

    def __init__(self, *, vocab_size: int, embed_dim: int) -> None:
        super().__init__()
        settings = demo().replace(model={"embed_dim": embed_dim}).model
        self.image: ImageTower = settings.image
        self.towers = build_towers(describe_towers(settings, vocab_size=vocab_size))
        self.towers.logit_scale.data.fill_(math.log(FIRST_SCALE))

    @property
    def logit_scale(self) -> Tensor:
        """What cosines are multiplied by, at most 100."""
        return self.towers.logit_scale.exp().clamp(max=LARGEST_SCALE)

    def image_features(self, pixels_KHH: Tensor) -> Tensor:
        """Grey pixels, uint8, to embeddings (K, D)."""
        found: Tensor = self.towers.encode_image(prepare_images(pixels_KHH, settings=self.image))
        return found

    def text_features(self, tokens: Tokens) -> Tensor:
        """Embeddings of texts (K, D)."""
        found: Tensor = self.towers.encode_text(tokens.ids_KL)
        return found


class SmallGenerator(nn.Module):
    """An image tower whose embedding is a soft token before the words of a causal language model.

    Args:
        vocab_size: words.
        embed_dim: width of the language model.
    """

    def __init__(self, *, vocab_size: int, embed_dim: int) -> None:
        super().__init__()
        settings = demo().replace(model={"embed_dim": embed_dim}).model
        self.image: ImageTower = settings.image
        self.visual = build_towers(describe_towers(settings, vocab_size=vocab_size)).visual
        self.words = nn.Embedding(vocab_size, embed_dim)
        self.places = nn.Embedding(CONTEXT["llava_med_small"] + 1, embed_dim)
        for table in (self.words, self.places):  # of unit variance, the first logits would be off by dozens
            nn.init.normal_(table.weight, std=embed_dim**-0.5)
        layer = nn.TransformerEncoderLayer(embed_dim, 4, 2 * embed_dim, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, nn.LayerNorm(embed_dim), enable_nested_tensor=False)

    @property
    def logit_scale(self) -> Tensor:
        """No temperature is learned: that of a contrastive model at its start."""
        return torch.tensor(FIRST_SCALE)

    def hidden(self, x_KLD: Tensor) -> Tensor:
        """Last hidden states of embedded tokens, each of what stands before it alone."""
        length = x_KLD.shape[1]
        x_KLD = x_KLD + self.places.weight[:length]
        ahead_LL = torch.ones(length, length, dtype=torch.bool, device=x_KLD.device).triu(1)
        found: Tensor = self.layers(x_KLD, mask=ahead_LL)
        return found

    def soft_token(self, pixels_KHH: Tensor) -> Tensor:
        """Grey pixels, uint8, to one token (K, 1, D)."""
        found: Tensor = self.visual(prepare_images(pixels_KHH, settings=self.image))
        return found[:, None]

    def image_features(self, pixels_KHH: Tensor) -> Tensor:
        """Hidden state of the soft token (K, D)."""
        return self.hidden(self.soft_token(pixels_KHH))[:, 0]

    def text_features(self, tokens: Tokens) -> Tensor:
        """Masked mean of the words' hidden states (K, D)."""
        hidden_KLD, mask_KL1 = self.hidden(self.words(tokens.ids_KL)), tokens.mask_KL[:, :, None]
        return (hidden_KLD * mask_KL1).sum(dim=1) / mask_KL1.sum(dim=1)

    def loss(self, pixels_KHH: Tensor, tokens: Tokens) -> Tensor:
        """Mean cross entropy of every word, given the image and the words before it."""
        x_KLD = torch.cat([self.soft_token(pixels_KHH), self.words(tokens.ids_KL)], dim=1)
        logits_KLV = self.hidden(x_KLD)[:, :-1] @ self.words.weight.T
        wanted_KL = tokens.ids_KL.masked_fill(tokens.mask_KL == 0, -100)
        return F.cross_entropy(logits_KLV.flatten(0, 1), wanted_KL.flatten(), ignore_index=-100)


def build_small(family: str, *, vocab_size: int, embed_dim: int) -> SmallTowers | SmallGenerator:
    """A model of a family at random weights; ValueError for one that is not known."""
    if family not in CONTEXT:
        raise ValueError(f"no small model {family!r}: known are {', '.join(CONTEXT)}")
    made = SmallGenerator if family == "llava_med_small" else SmallTowers
    return made(vocab_size=vocab_size, embed_dim=embed_dim)


def info_nce(left_KD: Tensor, right_KD: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE both ways between rows that belong together."""
    logits_KK = scale * F.normalize(left_KD, dim=-1) @ F.normalize(right_KD, dim=-1).T
    own_K = torch.arange(len(left_KD), device=left_KD.device)
    return (F.cross_entropy(logits_KK, own_K) + F.cross_entropy(logits_KK.T, own_K)) / 2


def semantic_matching(image_KD: Tensor, text_KD: Tensor, scale: Tensor, alike_KK: Tensor) -> Tensor:
    """MedCLIP's loss: cross entropy with the softmax of how alike labels are, both ways.

    Args:
        image_KD: embeddings of images.
        text_KD: embeddings of reports of other studies.
        scale: what cosines are multiplied by.
        alike_KK: cosine of the labels of each image and each report.
    """
    logits_KK = scale * F.normalize(image_KD, dim=-1) @ F.normalize(text_KD, dim=-1).T
    to_text = F.cross_entropy(logits_KK, alike_KK.softmax(dim=1))
    return (to_text + F.cross_entropy(logits_KK.T, alike_KK.T.softmax(dim=1))) / 2


class Small(RadiologyModel):
    """A trained small model of any family.

    Args:
        folder: small.json, model.safetensors, vocab.txt.
        mode: `native`; there is no released harness that ran it.

    Raises:
        NotAvailableError: the folder holds no finished model.
    """

    reads_stored = True
    """It was trained on the stored squares, so it is shown those."""

    def __init__(self, folder: str | Path, *, mode: Mode) -> None:
        super().__init__()
        self.mode = mode
        described: dict[str, Any] = read_json(find_file(folder, [FILE]))
        family = described["method"]
        self.tokenizer = TextTokenizer(folder)
        self.inner = build_small(family, vocab_size=described["vocab_size"], embed_dim=described["embed_dim"])
        try:
            self.inner.load_state_dict(load_file(find_file(folder, [WEIGHTS])))
        except RuntimeError as error:
            raise NotAvailableError(f"{folder}: not a finished {family}: {error}; train it again") from error
        self.rules = {kind: TextRule(CONTEXT[family]) for kind in ("report", "prompt")}
        self.embed_dim = described["embed_dim"]
        self.logit_scale = self.inner.logit_scale.item()

    def preprocess(self, images: Sequence[Image]) -> Tensor:
        """Grey squares, uint8 (K, H, H): the model resizes and normalises them itself."""
        return torch.from_numpy(np.stack([np.asarray(image.convert("L")) for image in images]))

    def to_tokens(self, texts: Sequence[str], context_length: int) -> Tokens:
        """Word pieces."""
        return self.tokenizer(texts, context_length)

    def image_features(self, pixels_K3HW: Tensor) -> Tensor:
        """The image tower."""
        return self.inner.image_features(pixels_K3HW)

    def text_features(self, tokens: Tokens) -> Tensor:
        """The text tower."""
        return self.inner.text_features(tokens)


def describe(family: str, *, vocab_size: int, embed_dim: int) -> str:
    """What small.json holds."""
    return json.dumps({"method": family, "vocab_size": vocab_size, "embed_dim": embed_dim}, sort_keys=True) + "\n"
