"""How MedHMP pre-trains: stays are reconstructed, then the parts of an admission are contrasted and codes are guessed.

Stage one is an autoencoder of every stay (series and demographics, squared error). Stage two hides a share of the
codes of each admission and guesses them from the rest (sigmoid, squared error; the model is told how many are
hidden), and pulls each part of an admission towards the mean of its other parts, away from those of other admissions.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medcsp_model.baselines.ehr.medhmp_network import MedHmpNetwork
from medcsp_model.evaluation.task_data import InputSizes, Ints, RecordInputs, TaskBatch

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of the pre-training: Adam, so many epochs."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 1e-8


@dataclass(frozen=True, kw_only=True)
class StageRows:
    """What a stage is trained on: some records of the inputs, and which parts of them it reads."""

    inputs: RecordInputs
    records: Ints
    reads: tuple[str, ...]

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[TaskBatch]:
        """All records in random order, at least two at a time where there are two."""
        order = rng.permutation(self.records)
        for first in range(0, len(order), size):
            if len(part := order[first : first + size]) > 1 or len(order) == 1:
                yield self.inputs.batch(part, self.reads)


class Reconstruction(nn.Module):
    """Stage one: loss of rebuilding every stay of a batch from its encoding."""

    def __init__(self, network: MedHmpNetwork, sizes: InputSizes) -> None:
        super().__init__()
        self.network, self.bins = network, sizes.bins
        self.decoder = nn.LSTM(network.width, network.width, batch_first=True)
        self.to_series = nn.Linear(network.width, sizes.series)
        self.to_table = nn.Linear(network.width, sizes.demographics)

    def forward(self, batch: TaskBatch) -> Tensor:
        """Mean squared errors of series and demographics."""
        encoded_SD = self.network.encode_stays(batch)
        hidden_STD, _ = self.decoder(encoded_SD[:, None].expand(-1, self.bins, -1).contiguous())
        table_SE = batch.demographics_BE[batch.stay_record_S]
        of_series = F.mse_loss(self.to_series(hidden_STD), batch.stays_STF)
        return of_series + F.mse_loss(self.to_table(encoded_SD), table_SE)


class Guessing(nn.Module):
    """Stage two: loss of guessing hidden codes, and of telling admissions apart by their parts.

    Args:
        network: what is trained.
        sizes: of the inputs.
        mask_share: share of the codes that are hidden.
        contrast_weight: of the contrastive loss.
        temperature: of the same.
    """

    def __init__(
        self,
        network: MedHmpNetwork,
        sizes: InputSizes,
        *,
        mask_share: float,
        contrast_weight: float,
        temperature: float,
    ) -> None:
        super().__init__()
        self.network, self.mask_share = network, mask_share
        self.contrast_weight, self.temperature = contrast_weight, temperature
        self.counts = nn.ModuleDict({name: nn.Linear(1, network.width) for name in network.codes})
        self.guesses = nn.ModuleDict({name: nn.Linear(network.width, getattr(sizes, name)) for name in network.codes})

    def forward(self, batch: TaskBatch) -> Tensor:
        """Guessing + `contrast_weight` * contrast."""
        given = {"diagnosis": batch.diagnosis_BC, "drug": batch.drug_BG}
        hidden = {
            name: codes * (torch.rand_like(codes) < self.mask_share)
            for name, codes in given.items()
            if name in self.counts
        }
        parts = self.network.encode_parts(batch, {name: given[name] - codes for name, codes in hidden.items()})
        parts |= {name: parts[name] + self.counts[name](codes.sum(1, keepdim=True)) for name, codes in hidden.items()}
        whole_BD = torch.stack(list(parts.values())).mean(dim=0)
        guesses = [F.mse_loss(self.guesses[name](whole_BD).sigmoid(), codes) for name, codes in hidden.items()]
        contrast = leave_one_out_contrast(list(parts.values()), temperature=self.temperature)
        return sum(guesses, torch.zeros_like(contrast)) + self.contrast_weight * contrast


def leave_one_out_contrast(parts: list[Tensor], *, temperature: float) -> Tensor:
    """Mean InfoNCE of each part (B, D) against the mean of the other parts, over the admissions of the batch."""
    total_BD = torch.stack(parts).sum(dim=0)
    target_B = torch.arange(len(total_BD), device=total_BD.device)
    losses = []
    for part_BD in parts:
        rest_BD = (total_BD - part_BD) / (len(parts) - 1)
        similarity_BB = F.normalize(part_BD, dim=1) @ F.normalize(rest_BD, dim=1).T
        losses.append(F.cross_entropy(similarity_BB / temperature, target_B))
    return torch.stack(losses).mean()


def run_stage(loss: nn.Module, rows: StageRows, *, stage: Stage, seed: int) -> None:
    """Train what a loss holds, in place; logs the loss of the first and the last epoch."""
    loss.to(rows.inputs.device)
    trained = [parameter for parameter in loss.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=stage.learning_rate, weight_decay=stage.weight_decay)
    loss.train()
    for epoch in range(stage.epochs):
        values = []
        for batch in rows.batches(stage.batch_size, np.random.default_rng((seed, epoch))):
            value = loss(batch)
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            optimiser.step()
            values.append(float(value.detach()))
        if epoch in (0, stage.epochs - 1):
            log.info("MedHMP %s: epoch %d, loss %.4f", type(loss).__name__, epoch + 1, float(np.mean(values)))
