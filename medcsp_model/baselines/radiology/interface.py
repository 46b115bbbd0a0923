"""What every image-text model of the radiology evaluation can do, and what is said where one cannot be had.

Two modes. `paper` does what the released evaluation harness did, quirks included; `native` gives a model its own
tokenizer, context length, preprocessing and pooling, as its authors ran it. The docstring of each family says how the
two differ and where we deviate.

Letters: K images or texts of a batch, L tokens, H and W pixels, D width of the embeddings.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor, nn
from torch.nn import functional as F

from medcsp_model.evaluation.zero_shot import first_sentences

Mode = Literal["paper", "native"]
Kind = Literal["report", "prompt"]
Item = TypeVar("Item")


class NotAvailableError(ValueError):
    """A model that cannot be had here: its row says `not available`, and the message says what would help."""


@dataclass(frozen=True)
class TextRule:
    """What is left of a text.

    Attributes:
        context_length: most tokens, special ones included.
        num_sentences: sentences kept before; 0 keeps all.
    """

    context_length: int
    num_sentences: int = 0


@dataclass(frozen=True)
class Tokens:
    """Texts as padded token ids.

    Attributes:
        ids_KL: int64.
        mask_KL: int64, 1 where a token is the text's own.
    """

    ids_KL: Tensor
    mask_KL: Tensor

    def to(self, device: torch.device) -> "Tokens":
        """The same on another device."""
        return Tokens(self.ids_KL.to(device), self.mask_KL.to(device))


class RadiologyModel(nn.Module, ABC):
    """An image and a text tower with one space of embeddings.

    Attributes:
        mode: `paper` or `native`.
        rules: what is left of a report and of a prompt.
        embed_dim: width of the embeddings.
        logit_scale: what cosines are multiplied by before a softmax.
    """

    mode: Mode
    rules: Mapping[Kind, TextRule]
    embed_dim: int
    logit_scale: float

    @abstractmethod
    def preprocess(self, images: Sequence[Image]) -> Tensor:
        """Pillow images of any size and mode to the image tower's input, float32 (K, 3, H, W)."""

    def tokenize(self, texts: Sequence[str], *, kind: Kind = "report") -> Tokens:
        """Texts to tokens; `kind` says which rule cuts them."""
        rule = self.rules[kind]
        kept = [first_sentences(text, rule.num_sentences) if rule.num_sentences else text for text in texts]
        return self.to_tokens(kept, rule.context_length)

    @abstractmethod
    def to_tokens(self, texts: Sequence[str], context_length: int) -> Tokens:
        """Token ids of texts, cut to so many tokens."""

    @abstractmethod
    def image_features(self, pixels_K3HW: Tensor) -> Tensor:
        """Embeddings of any length, (K, D)."""

    @abstractmethod
    def text_features(self, tokens: Tokens) -> Tensor:
        """Embeddings of any length, (K, D)."""

    def encode_image(self, pixels_K3HW: Tensor) -> Tensor:
        """Embeddings of images, float32 (K, D), of length 1."""
        return F.normalize(self.image_features(pixels_K3HW).float(), dim=-1)

    def encode_text(self, tokens: Tokens) -> Tensor:
        """Embeddings of texts, float32 (K, D), of length 1."""
        return F.normalize(self.text_features(tokens).float(), dim=-1)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device


@torch.inference_mode()
def embed_images(model: RadiologyModel, images: Iterable[Image], *, batch_size: int = 32) -> NDArray[np.float32]:
    """Embeddings of images that are read as they are needed, float32 (n, D), of length 1.

    Raises:
        ValueError: an embedding is not finite.
    """
    parts = [model.encode_image(model.preprocess(batch).to(model.device)) for batch in _batches(images, batch_size)]
    return _together(parts, model.embed_dim, "images")


@torch.inference_mode()
def embed_texts(
    model: RadiologyModel, texts: Iterable[str], *, kind: Kind = "report", batch_size: int = 32
) -> NDArray[np.float32]:
    """Embeddings of texts, float32 (n, D), of length 1.

    Raises:
        ValueError: an embedding is not finite.
    """
    parts = [
        model.encode_text(model.tokenize(batch, kind=kind).to(model.device)) for batch in _batches(texts, batch_size)
    ]
    return _together(parts, model.embed_dim, "texts")


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _together(parts: Sequence[Tensor], embed_dim: int, what: str) -> NDArray[np.float32]:
    whole = torch.cat([part.cpu() for part in parts]) if parts else torch.zeros(0, embed_dim)
    bad = int((~torch.isfinite(whole).all(dim=1)).sum())
    if bad:
        raise ValueError(f"{bad} of {len(whole)} embeddings of {what} are not finite; load the model in float32")
    embeddings: NDArray[np.float32] = whole.numpy()
    return embeddings
