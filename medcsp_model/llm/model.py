"""The LLM variant's model: frozen encoders, one trained projection, a frozen language model.

A modality that is no text becomes one vector of the frozen encoders, which the projection turns into a soft token:
prompt, soft token, prompt. A text is the same prompt around its own tokens. The embedding is the mean of the last
hidden state over the sequence's own tokens; texts need no gradient, as nothing trained touches them.

The projection takes `width` numbers, the widest of what the encoders give (768 of a ViT-B/16's trunk, so that with
LLaMA-7B it has the paper's 3,149,824 parameters); narrower vectors are filled up with zeros.

Letters: K records of a batch that have a modality, T tokens, W width of the projection, D hidden width.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medcsp_model.checkpoint import load_weights, read_json
from medcsp_model.collate import Inputs
from medcsp_model.images import prepare_images
from medcsp_model.llm.language import NO_TOKEN, Language
from medcsp_model.model import MedCSP, RecordModel, load_model
from medcsp_model.settings.llm import LlmSettings


def make_projection(width: int, hidden: int) -> nn.Linear:
    """The one trained layer, with bias: `width` numbers of an encoder to a token of the language model."""
    return nn.Linear(width, hidden)


class MedCSPLLM(RecordModel):
    """A language model as the encoder of every modality.

    Attributes:
        encoders: our model, frozen and never in training mode.
        language: the language model, frozen; in training mode only for the sake of gradient checkpointing.
        projection: what is trained.
        settings: of the variant.
    """

    def __init__(self, language: Language, encoders: MedCSP, *, settings: LlmSettings) -> None:
        super().__init__()
        self.settings, self.words = settings, language
        self.encoders = encoders.requires_grad_(False).eval()
        self.language = language.model.eval()
        if settings.checkpoint_gradients:
            with warnings.catch_warnings():  # transformers 5.23 renames it, earlier ones know this name alone
                warnings.simplefilter("ignore", FutureWarning)
                self.language.gradient_checkpointing_enable({"use_reentrant": False})
        width = encoders.embed_dim
        if settings.image_features == "trunk":
            width = max(width, int(encoders.towers.visual.trunk.num_features))
        self.embed_dim = int(self.language.config.hidden_size)
        self.projection = make_projection(width, self.embed_dim)

    @property
    def dtype(self) -> torch.dtype:
        """Of the embeddings."""
        return torch.float32

    def train(self, mode: bool = True) -> "MedCSPLLM":
        """Training mode of the projection; the encoders stay as they are, and so does what the language model says."""
        super().train(mode)
        self.encoders.eval()
        self.language.train(mode and self.settings.checkpoint_gradients)
        return self

    def idle(self) -> Tensor:
        """The projection of nothing."""
        nothing: Tensor = self.projection(self.projection.weight.new_zeros(0, self.projection.in_features)).sum()
        return nothing

    def modalities(self, source: str, kinds: Mapping[str, str]) -> list[str]:
        """Those that the encoders know, and every text."""
        return self.encoders.modalities(source, kinds)

    def encode(self, source: str, modality: str, inputs: Inputs) -> Tensor:
        """Embeddings (k, embed_dim) of the records of a batch that have the modality."""
        if inputs.kind == "text":
            ids, mask = self.with_prompt(inputs.x, modality)
            return self.read(ids, mask).index_select(0, inputs.index)
        if inputs.kind == "image":
            return self.embed_pixels(inputs.x, modality)
        with torch.no_grad():
            x_KW = self.encoders.encode(source, modality, inputs)
        return self.look(x_KW, modality, inputs.kind)

    def embed_pixels(self, pixels: Tensor, modality: str) -> Tensor:
        """Embeddings (k, embed_dim) of grey pixels, uint8 (k, height, width)."""
        image = self.encoders.description.settings.model.image
        with torch.no_grad():
            if self.settings.image_features == "trunk":
                x_KW = self.encoders.towers.visual.trunk(prepare_images(pixels, settings=image))
            else:
                x_KW = self.encoders.apply_head(self.encoders.encode_image(pixels))
        return self.look(x_KW, modality, "image")

    def look(self, x_KW: Tensor, modality: str, kind: str) -> Tensor:
        """Embeddings of what encoders gave, (K, D): prompt, soft token, prompt."""
        wide_KW = F.pad(x_KW, (0, self.projection.in_features - x_KW.shape[1]))
        soft_K1D = self.projection(wide_KW)[:, None].to(self.language.dtype)
        sides = [
            self.language.embed_tokens(torch.tensor([ids], device=x_KW.device)).expand(len(x_KW), -1, -1)
            for ids in self.words.prompt(modality, kind)
        ]
        inputs_KTD = torch.cat([sides[0], soft_K1D, sides[1]], dim=1)
        mask_KT = torch.ones(inputs_KTD.shape[:2], dtype=torch.int64, device=x_KW.device)
        return self._pool(self.language(inputs_embeds=inputs_KTD, attention_mask=mask_KT, use_cache=False), mask_KT)

    @torch.no_grad()
    def read(self, ids_KT: Tensor, mask_KT: Tensor) -> Tensor:
        """Embeddings of texts inside their prompts, (K, D)."""
        return self._pool(self.language(ids_KT, attention_mask=mask_KT, use_cache=False), mask_KT)

    def with_prompt(self, text_KT: Tensor, modality: str) -> tuple[Tensor, Tensor]:
        """Ids and mask of texts, padded on the right by `NO_TOKEN`, with the prompt directly around each."""
        before, after = (torch.tensor(ids, device=text_KT.device) for ids in self.words.prompt(modality, "text"))
        length_K = (text_KT != NO_TOKEN).sum(dim=1)
        total_K = len(before) + length_K + len(after)
        place_T = torch.arange(len(before) + text_KT.shape[1] + len(after), device=text_KT.device)
        mask_KT = (place_T < total_K[:, None]).long()
        start = before.expand(len(text_KT), -1)
        ids_KT = F.pad(torch.cat([start, text_KT.clamp(min=0)], dim=1), (0, len(after)))
        ends_KA = (len(before) + length_K)[:, None] + torch.arange(len(after), device=text_KT.device)
        return ids_KT.scatter(1, ends_KA, after.expand(len(text_KT), -1)) * mask_KT, mask_KT

    def _pool(self, output: Any, mask_KT: Tensor) -> Tensor:
        states_KTD = output.last_hidden_state.float()
        if self.settings.pool == "last":
            last_K = mask_KT.sum(dim=1) - 1
            last_KD: Tensor = states_KTD[torch.arange(len(last_K), device=last_K.device), last_K]
            return last_KD
        mask_KT1 = mask_KT[..., None].float()
        mean_KD: Tensor = (states_KTD * mask_KT1).sum(dim=1) / mask_KT1.sum(dim=1)
        return mean_KD


def load_llm(
    folder: str | Path,
    *,
    language: str | Path | None = None,
    checkpoint: str | Path | None = None,
    device: torch.device | str = "cpu",
) -> MedCSPLLM:
    """A trained variant in evaluation mode.

    Args:
        folder: of a finished run, with model.json and model.safetensors, the projection.
        language: folder of the language model, where it has moved since.
        checkpoint: folder of our model, where it has moved since.
        device: where to put it.

    Raises:
        ValueError: no finished run, or another language model or checkpoint than it was trained with.
    """
    folder = Path(folder)
    for name in ("model.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: no {name}; train first: dagster asset materialize --select pretrain_llm")
    known = read_json(folder / "model.json").get("llm")
    if known is None:
        raise ValueError(f"{folder}: a run of another kind; give the folder of pretrain_llm")
    settings = LlmSettings.from_json(known["settings"])
    own = folder / "language"  # where a random one lies, wherever the run has gone
    words = Language.open(language or (own if own.is_dir() else known["language"]), dtype=settings.dtype)
    encoders = Path(checkpoint or known["checkpoint"])
    found = {"language_digest": words.digest, "checkpoint_sha256": checkpoint_digest(encoders)}
    for key, value in found.items():
        if value != known[key]:
            raise ValueError(f"{folder}: trained with another {key.split('_')[0]} than {words.folder}, {encoders}")
    model = MedCSPLLM(words, load_model(encoders), settings=settings)
    load_weights(model.projection, folder / "model.safetensors")
    return model.to(device).eval()


def checkpoint_digest(folder: Path) -> str:
    """Digest of a finished model's weights, as its model.json has it; ValueError where there is none."""
    if not (folder / "model.json").is_file():
        raise ValueError(
            f"{folder}: no model.json; train first: dagster asset materialize --select pretrain_checkpoint"
        )
    return str(read_json(folder / "model.json")["sha256"])
