"""The model: an encoder per modality, a shared head or none, record embeddings as means over what a record has.

No source or modality is named here: kinds and sizes come from the corpus. The kind chooses the encoder: codes, dense
and series have one each; every text goes through the one text tower, every image through the one image tower.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medcsp_model.checkpoint import load_weights, read_json
from medcsp_model.collate import Batch, Inputs, SourceBatch
from medcsp_model.corpus import Corpus
from medcsp_model.encoders import SeriesEncoder, VectorEncoder, widen
from medcsp_model.images import prepare_images
from medcsp_model.losses import Embedded
from medcsp_model.settings.training import Augmentation, Settings
from medcsp_model.towers import build_towers, compile_towers, describe_towers, mark_batch

TOWER_KINDS = ("text", "image")
_SIZES = {
    "codes": ("kind", "size"),
    "dense": ("kind", "size"),
    "text": ("kind", "size", "pad_id"),
    "image": ("kind",),
    "series": ("kind", "size", "num_bins", "max_stays"),
}


@dataclass(frozen=True)
class ModelDescription:
    """Everything that is needed to build a model again, as plain values.

    Attributes:
        settings: all settings of the run.
        towers: what `describe_towers` returned.
        shapes: kind and sizes by source and modality.
    """

    settings: Settings
    towers: dict[str, Any]
    shapes: dict[str, dict[str, dict[str, Any]]]

    @classmethod
    def of_corpus(cls, corpus: Corpus, *, settings: Settings) -> "ModelDescription":
        """Description of a model for a corpus; ValueError where settings and corpus do not fit."""
        shapes = {
            source: {
                name: {key: entry[key] for key in _SIZES[entry["kind"]]} for name, entry in values["modalities"].items()
            }
            for source, values in corpus.meta["sources"].items()
        }
        texts = [entry for source in shapes.values() for entry in source.values() if entry["kind"] == "text"]
        pads = sorted({entry["pad_id"] for entry in texts}) or [0]
        if len(pads) > 1:
            raise ValueError(f"{corpus.folder}: texts pad with tokens {pads}; one text tower reads all: use one pad_id")
        vocab_size = max((entry["size"] for entry in texts), default=1)
        towers = describe_towers(settings.model, vocab_size=vocab_size, pad_id=pads[0])
        return cls(settings, towers, shapes)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return {"settings": self.settings.to_json(), "towers": self.towers, "shapes": self.shapes}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ModelDescription":
        """Back from plain values."""
        return cls(Settings.from_json(values["settings"]), values["towers"], values["shapes"])


class RecordModel(nn.Module, ABC):
    """What training, validation and embedding ask of a model: an embedding of every modality that a record has.

    Attributes:
        embed_dim: width of the embeddings.
        raw_towers: leave the head off texts and images (how the released evaluation embeds), where there is one.
    """

    embed_dim: int
    raw_towers: bool = False

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Of the embeddings."""

    @abstractmethod
    def encode(self, source: str, modality: str, inputs: Inputs) -> Tensor:
        """Embeddings (k, embed_dim) of the records of a batch that have the modality."""

    @abstractmethod
    def modalities(self, source: str, kinds: Mapping[str, str]) -> list[str]:
        """Those of a source's modalities (name to kind) that the model can embed, in order."""

    @abstractmethod
    def idle(self) -> Tensor:
        """A scalar 0 whose graph reaches a trained parameter: what a process without any record joins in with."""

    def embed(self, source: str, batch: SourceBatch) -> Embedded:
        """Embeddings of all modalities of one source's records; zeros where a record lacks one."""
        device = batch.subject_N.device
        count = len(batch.records)
        names = self.modalities(source, {name: inputs.kind for name, inputs in batch.inputs.items()})
        columns, present = [], torch.zeros(count, len(names), dtype=torch.bool, device=device)
        for number, name in enumerate(names):
            inputs = batch.inputs[name]
            e_ND = torch.zeros(count, self.embed_dim, device=device, dtype=self.dtype)
            if len(inputs.rows):
                e_ND = e_ND.index_copy(0, inputs.rows, self.encode(source, name, inputs))
                present[inputs.rows, number] = True
            columns.append(e_ND)
        return Embedded(
            torch.stack(columns, dim=1), present, batch.subject_N, batch.study_N, batch.text_N, batch.history_NH
        )

    def forward(self, batch: Batch) -> dict[str, Embedded]:
        """Embeddings of a whole batch by source."""
        return {name: self.embed(name, source) for name, source in batch.sources.items()}


class MedCSP(RecordModel):
    """Encoders, towers and the shared head.

    Attributes:
        towers: open_clip's `CustomTextCLIP`; its logit scale is unused, tau is a setting.
        encoders: encoder per `<source>__<modality>` that is not text or image.
        head: LayerNorm of the head that all modalities share.
    """

    def __init__(self, description: ModelDescription) -> None:
        super().__init__()
        self.description = description
        settings = description.settings.model
        self.towers = build_towers(description.towers)
        sizes = {"hidden_dim": settings.hidden_dim, "embed_dim": settings.embed_dim}
        self.encoders = nn.ModuleDict()
        for source, modalities in description.shapes.items():
            for name, shape in modalities.items():
                if shape["kind"] in ("codes", "dense"):
                    self.encoders[f"{source}__{name}"] = VectorEncoder(shape["size"], **sizes)
                elif shape["kind"] == "series":
                    padded = shape["max_stays"] if settings.average_padded_stays else 0
                    self.encoders[f"{source}__{name}"] = SeriesEncoder(
                        shape["size"], state=settings.series_state, padded_stays=padded, **sizes
                    )
        self.embed_dim = settings.embed_dim
        self.head = nn.LayerNorm(settings.embed_dim)
        self._is_compiled = False

    def compile_towers(self) -> None:
        """Compile the forward pass of both towers in place."""
        most, text = self.description.towers["bert"]["max_position_embeddings"], self.description.settings.model.text
        compile_towers(self.towers, num_lengths=-(-most // text.pad_to))
        self._is_compiled = True

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.head.weight.dtype

    def idle(self) -> Tensor:
        """The head of no record."""
        nothing: Tensor = self.head(self.head.weight.new_zeros(0, self.embed_dim)).sum()
        return nothing

    @property
    def augmentation(self) -> Augmentation | None:
        """Changes of images while training; none in evaluation."""
        return self.description.settings.augmentation if self.training else None

    def modalities(self, source: str, kinds: Mapping[str, str]) -> list[str]:
        """Those of a source's modalities (name to kind) that the model can embed, in order.

        Texts and images of any source go through the towers; other kinds need the encoder that training made.
        """
        return [name for name, kind in kinds.items() if kind in TOWER_KINDS or f"{source}__{name}" in self.encoders]

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Grey pixels uint8 (k, height, width) to the image tower's output (k, embed_dim)."""
        settings = self.description.settings.model.image
        x = prepare_images(pixels, settings=settings, augmentation=self.augmentation).to(self.dtype)
        if self._is_compiled:
            mark_batch(x)
        features: Tensor = self.towers.encode_image(x)
        return widen(features)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Padded token ids int64 (u, tokens) to the text tower's output (u, embed_dim)."""
        if self._is_compiled:
            mark_batch(tokens)
        features: Tensor = self.towers.encode_text(tokens)
        return widen(features)

    def apply_head(self, e_KD: Tensor) -> Tensor:
        """ReLU, the shared LayerNorm and Dropout, or what `settings.model.head` leaves of them."""
        settings = self.description.settings.model
        if settings.head == "none":
            return e_KD
        active_KD = e_KD.relu() if settings.head == "relu_norm" else e_KD
        return F.dropout(self.head(active_KD), settings.head_dropout, training=self.training)

    def encode(self, source: str, modality: str, inputs: Inputs) -> Tensor:
        """Embeddings (k, embed_dim) of the records of a batch that have the modality."""
        if inputs.kind == "image":
            e_KD = self.encode_image(inputs.x)
        elif inputs.kind == "text":
            e_KD = self.encode_text(inputs.x).index_select(0, inputs.index)
        elif inputs.kind == "series":
            x_SLF = inputs.x.to(self.dtype)
            e_KD = self.encoders[f"{source}__{modality}"](x_SLF, inputs.index, len(inputs.rows))
        else:
            e_KD = widen(self.encoders[f"{source}__{modality}"](inputs.x.to(self.dtype)))
        if self.raw_towers and inputs.kind in TOWER_KINDS:
            return e_KD
        return self.apply_head(e_KD)


def load_model(checkpoint: str | Path, *, device: torch.device | str = "cpu") -> MedCSP:
    """A trained model in evaluation mode.

    Args:
        checkpoint: folder with model.json and model.safetensors, as training leaves it.
        device: where to put it.

    Raises:
        ValueError: the folder holds no finished model, or its files are torn or of different models.
    """
    folder = Path(checkpoint)
    for name in ("model.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise ValueError(
                f"{folder}: no {name}; train first: python -m medcsp_model.train goes on where it stopped; in the "
                "graph, dagster asset materialize --select pretrain_checkpoint"
            )
    description = ModelDescription.from_json(read_json(folder / "model.json")["model"])
    model = MedCSP(description)
    load_weights(model, folder / "model.safetensors")
    return model.to(device).eval()
