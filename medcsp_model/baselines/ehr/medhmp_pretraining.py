"""How MedHMP pre-trains: stays are reconstructed, then the parts of an admission are contrasted and codes are guessed.

Stage one is an autoencoder of every stay (series and demographics, squared error). Stage two hides a share of the
codes of each admission and guesses them from the rest (sigmoid, squared error; the model is told how many are
hidden), and pulls each part of an admission towards the mean of its other parts, away from those of other admissions.
"""

import logging
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medcsp_model.baselines.ehr.medhmp import MedHmp, MedHmpNetwork, Stage
from medcsp_model.corpus import Corpus
from medcsp_model.evaluation.task_data import INPUTS, InputSizes, Ints, Part, RecordInputs, TaskBatch, TaskData

log = logging.getLogger(__name__)


def pretrain(method: MedHmp, data: TaskData, part: Part, *, seed: int) -> dict[str, Tensor]:
    """Run both stages (the second where the task has codes or a text).

    Returns:
        Weights of the network without its last layer.

    Raises:
        ValueError: the pre-training corpus has other features than the task.
    """
    inputs, records = _records(method, data, part)
    torch.manual_seed(seed)
    network = method.build(data.sizes).to(inputs.device)
    run_stage(Reconstruction(network, data.sizes, method), inputs, records, stage=method.stays, seed=seed)
    if network.is_of_admission:
        run_stage(Guessing(network, data.sizes, method), inputs, records, stage=method.admissions, seed=seed)
    left = ("head.", "text.encoder.") if method.text.folder else ("head.",)
    return {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(left)}


def _records(method: MedHmp, data: TaskData, part: Part) -> tuple[RecordInputs, Ints]:
    if not method.corpus:
        return data.inputs, data.record_N[part.train]
    corpus = Corpus.open(method.corpus)
    without = [name for name in INPUTS if name not in data.inputs.inputs]
    inputs = RecordInputs(corpus, without=without, device=data.inputs.device)
    for name in ("series", "bins", "stays", "demographics", "diagnosis", "drug", "vocabulary"):
        found, wanted = getattr(inputs.sizes, name), getattr(data.sizes, name)
        if found != wanted:
            raise ValueError(
                f"{corpus.folder}: {name} is {found}, the task's {wanted}: publish both with the same vocabularies"
            )
    return inputs, corpus.records("ehr", splits=[method.corpus_split])


class Reconstruction(nn.Module):
    """Stage one: loss of rebuilding every stay of a batch from its encoding."""

    def __init__(self, network: MedHmpNetwork, sizes: InputSizes, method: MedHmp) -> None:
        super().__init__()
        self.network, self.bins = network, sizes.bins
        self.decoder = nn.LSTM(method.width, method.width, batch_first=True)
        self.to_series = nn.Linear(method.width, sizes.series)
        self.to_table = nn.Linear(method.width, sizes.demographics)

    def forward(self, batch: TaskBatch) -> Tensor:
        """Mean squared errors of series and demographics."""
        encoded_SD = self.network.encode_stays(batch)
        hidden_STD, _ = self.decoder(encoded_SD[:, None].expand(-1, self.bins, -1).contiguous())
        table_SE = batch.demographics_BE[batch.stay_record_S]
        of_series = F.mse_loss(self.to_series(hidden_STD), batch.stays_STF)
        return of_series + F.mse_loss(self.to_table(encoded_SD), table_SE)


class Guessing(nn.Module):
    """Stage two: loss of guessing hidden codes, and of telling admissions apart by their parts."""

    def __init__(self, network: MedHmpNetwork, sizes: InputSizes, method: MedHmp) -> None:
        super().__init__()
        self.network, self.method = network, method
        self.counts = nn.ModuleDict({name: nn.Linear(1, method.width) for name in network.codes})
        self.guesses = nn.ModuleDict({name: nn.Linear(method.width, getattr(sizes, name)) for name in network.codes})

    def forward(self, batch: TaskBatch) -> Tensor:
        """Guessing + `contrast_weight` * contrast."""
        given = {"diagnosis": batch.diagnosis_BC, "drug": batch.drug_BG}
        hidden = {
            name: codes * (torch.rand_like(codes) < self.method.mask_share)
            for name, codes in given.items()
            if name in self.counts
        }
        parts = self.network.encode_parts(batch, {name: given[name] - codes for name, codes in hidden.items()})
        parts |= {name: parts[name] + self.counts[name](codes.sum(1, keepdim=True)) for name, codes in hidden.items()}
        whole_BD = torch.stack(list(parts.values())).mean(dim=0)
        guesses = [F.mse_loss(self.guesses[name](whole_BD).sigmoid(), codes) for name, codes in hidden.items()]
        contrast = leave_one_out_contrast(list(parts.values()), temperature=self.method.temperature)
        return sum(guesses, torch.zeros_like(contrast)) + self.method.contrast_weight * contrast


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


def run_stage(loss: nn.Module, inputs: RecordInputs, records: Ints, *, stage: Stage, seed: int) -> None:
    """Train what a loss holds, in place; logs the loss of the first and the last epoch."""
    trained = [parameter for parameter in loss.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=stage.learning_rate, weight_decay=stage.weight_decay)
    loss.train()
    for epoch in range(stage.epochs):
        values = []
        for batch in _batches(inputs, records, stage.batch_size, np.random.default_rng((seed, epoch))):
            value = loss(batch)
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            optimiser.step()
            values.append(float(value.detach()))
        if epoch in (0, stage.epochs - 1):
            log.info("MedHMP %s: epoch %d, loss %.4f", type(loss).__name__, epoch + 1, float(np.mean(values)))


def _batches(inputs: RecordInputs, records: Ints, size: int, rng: np.random.Generator) -> Iterator[TaskBatch]:
    order = rng.permutation(records)
    for first in range(0, len(order), size):
        if len(part := order[first : first + size]) > 1 or len(order) == 1:
            yield inputs.batch(part, MedHmp.reads)
