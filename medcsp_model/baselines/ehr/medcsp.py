"""Ours: the pre-trained encoders with a head on their merged embeddings, the same from scratch, and a linear probe.

Source: the paper, section 4.2. An example's modality embeddings (after the shared head of pre-training; zeros where
it lacks one) are put side by side and go through an MLP. The released code has one Linear there: `head_dim=0`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from medcsp_model.baselines.ehr.tables import LinearTable
from medcsp_model.checkpoint import file_sha256, read_json
from medcsp_model.evaluation.prediction import Network
from medcsp_model.evaluation.task_data import RECORD, SOURCE, InputSizes, RecordInputs, TaskBatch, TaskData
from medcsp_model.model import MedCSP, ModelDescription, load_model
from medcsp_model.towers import load_tower_weights, weights_file


@dataclass(frozen=True, kw_only=True)
class MedCspHead(Network):
    """Fine-tuning of the checkpoint, or the same network at random weights.

    Attributes:
        checkpoint: folder of the trained model; from scratch its description alone is read.
        start: from the trained weights, or at random ones.
        towers_folder: from scratch, start the text tower from this open_clip folder; empty starts it at random.
        head_dim: width of the hidden layer of the head; 0 makes it one Linear, as released.
        dropout: before each layer of the head.
    """

    name: str = "MedCSP"
    reads: ClassVar[tuple[str, ...]] = (RECORD,)
    needs: ClassVar[tuple[str, ...]] = ()
    checkpoint: str
    start: Literal["checkpoint", "scratch"] = "checkpoint"
    towers_folder: str = ""
    head_dim: int = 256
    dropout: float = 0.5

    def build(self, sizes: InputSizes) -> nn.Module:
        """The network: the checkpoint's encoders and a head at random weights."""
        return MedCspNetwork(sizes, self)

    def to_json(self) -> dict[str, Any]:
        """Settings, with the contents of what it starts from in place of paths."""
        if self.start == "checkpoint":
            return super().to_json() | {"checkpoint": checkpoint_digest(self.checkpoint)}
        towers = file_sha256(weights_file(self.towers_folder)) if self.towers_folder else ""
        description = read_description(self.checkpoint).to_json()
        return super().to_json() | {"checkpoint": description, "towers_folder": towers}

    def check(self, inputs: RecordInputs) -> None:
        """Refuse inputs of another vocabulary than the checkpoint's."""
        check_vocabulary(read_description(self.checkpoint), inputs)


def read_description(checkpoint: str | Path) -> ModelDescription:
    """What a checkpoint is, without its weights; ValueError where the folder has none."""
    path = Path(checkpoint) / "model.json"
    if not path.is_file():
        raise ValueError(f"{path}: missing; train first: dagster asset materialize --select pretrain_checkpoint")
    return ModelDescription.from_json(read_json(path)["model"])


def checkpoint_digest(checkpoint: str | Path) -> str:
    """Sha256 of a checkpoint's weights; ValueError where it has none."""
    read_description(checkpoint)
    path = Path(checkpoint) / "model.safetensors"
    if not path.is_file():
        raise ValueError(f"{path}: missing; train first: dagster asset materialize --select pretrain_checkpoint")
    return file_sha256(path)


def check_vocabulary(description: ModelDescription, inputs: RecordInputs) -> None:
    """ValueError where the task has a modality that the checkpoint knows in another size, or none that it knows."""
    known = description.shapes.get(SOURCE, {})
    entries = inputs.corpus.meta["sources"][SOURCE]["modalities"]
    for name in inputs.inputs:
        entry, trained = entries[name], known.get(name)
        if trained and (entry["kind"], entry["size"]) != (trained["kind"], trained["size"]):
            raise ValueError(
                f"{inputs.corpus.folder}: {name} has {entry['size']} features or codes, the checkpoint was trained with"
                f" {trained['size']}: publish the task with the vocabularies of the pre-training corpus"
            )
    if not set(known) & set(inputs.inputs):
        raise ValueError(
            f"{inputs.corpus.folder}: none of {list(inputs.inputs)} is known to the checkpoint: {list(known)}"
        )


class MedCspNetwork(nn.Module):
    """MedCSP without its image tower, and a head on the embeddings of an example's modalities."""

    def __init__(self, sizes: InputSizes, method: MedCspHead) -> None:
        super().__init__()
        description = read_description(method.checkpoint)
        if method.start == "checkpoint":
            self.model = load_model(method.checkpoint)
        else:
            self.model = MedCSP(description)
            if method.towers_folder:
                load_tower_weights(self.model.towers, method.towers_folder)
        self.model.towers.visual = None
        held = {"note" if name == "vocabulary" else name for name, size in vars(sizes).items() if size}
        width = description.settings.model.embed_dim * len(held & set(description.shapes[SOURCE]))
        hidden = method.head_dim
        layers = [nn.Dropout(method.dropout), nn.Linear(width, hidden), nn.ReLU()] if hidden else []
        self.head = nn.Sequential(*layers, nn.Dropout(method.dropout), nn.Linear(hidden or width, 1))

    def embed(self, batch: TaskBatch) -> Tensor:
        """Embeddings of all modalities side by side, (B, modalities * embed_dim)."""
        assert batch.record is not None
        return self.model.embed(SOURCE, batch.record).e_NMD.flatten(1)

    def forward(self, batch: TaskBatch) -> Tensor:
        """Logits (B,)."""
        logit_B: Tensor = self.head(self.embed(batch))[:, 0]
        return logit_B


@dataclass(frozen=True, kw_only=True)
class LinearProbe(LinearTable):
    """Logistic regression on the embeddings of the checkpoint, which stay as they are."""

    name: str = "MedCSP linear probe"
    checkpoint: str

    def to_json(self) -> dict[str, Any]:
        """Settings, with the content of the checkpoint in place of its path."""
        return super().to_json() | {"checkpoint": checkpoint_digest(self.checkpoint)}

    def check(self, inputs: RecordInputs) -> None:
        """Refuse inputs of another vocabulary than the checkpoint's."""
        check_vocabulary(read_description(self.checkpoint), inputs)

    def features(self, data: TaskData) -> np.ndarray:
        """Embeddings of all examples, float32 (N, modalities * embed_dim)."""
        self.check(data.inputs)
        method = MedCspHead(checkpoint=self.checkpoint)
        network = MedCspNetwork(data.sizes, method).to(data.inputs.device).eval()
        parts = []
        with torch.no_grad():
            for first in range(0, len(data.label_N), 256):
                rows = np.arange(first, min(first + 256, len(data.label_N)))
                parts.append(network.embed(data.batch(rows, method.reads)).float().cpu().numpy())
        return np.concatenate(parts)
