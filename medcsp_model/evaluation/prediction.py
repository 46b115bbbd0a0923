"""One training loop for every method of prediction: early stopping, choice of the epoch by validation alone.

A method says what it reads and how it is built or fitted; everything else is the same for all.

What lives here: methods' interface and the loop. What does not: which trainings are made and kept
(`medcsp_model.evaluation.sweep`), measures of the test (`scores`), tensors (`task_data`), any particular method
(`medcsp_model.baselines`).
"""

import copy
import dataclasses
import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from medcsp_model.evaluation.areas import DISCRIMINATION, score
from medcsp_model.evaluation.task_data import InputSizes, Ints, Part, RecordInputs, TaskData
from medcsp_model.settings.sweep import SweepSettings

Point = dict[str, float]
Floats = NDArray[np.float64]
_SCORED_AT_ONCE = 256


@dataclass(frozen=True)
class Fitted:
    """What came of one training.

    Attributes:
        validation, test: risks of the records of the part.
        facts: plain values for the line of the trial.
    """

    validation: Floats
    test: Floats
    facts: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """A method of prediction with its sizes; its fields are its settings.

    Attributes:
        name: what figures call it.
        reads: inputs, of `task_data.INPUTS`, `stays` and `record`; those that a task does not have are left out.
        needs: inputs that it cannot do without.
    """

    name: str
    reads: ClassVar[tuple[str, ...]]
    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def grid(self, settings: SweepSettings) -> list[Point]:
        """Points among which validation chooses."""

    @abstractmethod
    def fit(
        self,
        data: TaskData,
        part: Part,
        *,
        point: Point,
        seed: int,
        settings: SweepSettings,
        pretrained: Mapping[str, Tensor],
    ) -> Fitted:
        """Learn from the training records and score the others."""

    def check(self, inputs: RecordInputs) -> None:
        """Refuse a task that the method cannot be used on.

        Raises:
            ValueError: an input of `needs` is missing.
        """
        missing = [name for name in self.needs if name not in inputs.inputs]
        if missing:
            raise ValueError(
                f"{self.name} needs {', '.join(missing)}; {inputs.corpus.folder} has {', '.join(inputs.inputs)}:"
                " leave the method out of this task"
            )

    def pretrain(self, data: TaskData, part: Part, *, settings: SweepSettings) -> dict[str, Tensor]:
        """What it learns before, without labels, once for all points and seeds; nothing unless a method says so."""
        return {}

    def pretrained_on(self, data: TaskData, part: Part) -> str:
        """Digest of what `pretrain` learns from: the training records, unless a method has others."""
        rows = data.record_N[part.train].tobytes()
        return hashlib.sha256(f"{data.inputs.corpus.fingerprint} {data.inputs.inputs}".encode() + rows).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Its class and settings as plain values."""
        return {"class": type(self).__name__, **json.loads(json.dumps(dataclasses.asdict(self)))}


class Network(Method):
    """A method that is a torch module from a `TaskBatch` to logits (B,)."""

    needs: ClassVar[tuple[str, ...]] = ("series", "demographics")

    @abstractmethod
    def build(self, sizes: InputSizes) -> nn.Module:
        """The network at random weights."""

    def validation_loss(self, logit_N: Tensor, label_N: Tensor) -> Tensor:
        """Loss by which validation judges an epoch."""
        return F.binary_cross_entropy_with_logits(logit_N, label_N)

    def grid(self, settings: SweepSettings) -> list[Point]:
        """Every batch size with every learning rate."""
        pairs = product(settings.batch_sizes, settings.learning_rates)
        return [{"batch_size": size, "learning_rate": rate} for size, rate in pairs]

    def fit(
        self,
        data: TaskData,
        part: Part,
        *,
        point: Point,
        seed: int,
        settings: SweepSettings,
        pretrained: Mapping[str, Tensor],
    ) -> Fitted:
        """Train with early stopping; the weights of the best epoch score."""
        self.check(data.inputs)
        torch.manual_seed(seed)
        module = self.build(data.sizes).to(data.inputs.device)
        if pretrained:
            load_pretrained(module, pretrained)
        clock = Clock()
        best, facts = train(self, module, data, part, point=point, seed=seed, settings=settings, clock=clock)
        module.load_state_dict(best)
        validation, test = (
            _probability(predict(module, data, rows, self.reads)) for rows in (part.validation, part.test)
        )
        num_parameters = sum(parameter.numel() for parameter in module.parameters())
        return Fitted(validation, test, facts | clock.facts() | {"num_parameters": num_parameters})


class Clock:
    """How long a training took, and how long of it the data."""

    def __init__(self) -> None:
        self.start, self.data = time.perf_counter(), 0.0

    def batches(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The batches, counting the time until each is there."""
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self.data += time.perf_counter() - start
            if batch is None:
                return
            yield batch

    def facts(self) -> dict[str, float]:
        """Seconds so far."""
        return {"seconds": round(time.perf_counter() - self.start, 3), "seconds_of_data": round(self.data, 3)}


def load_pretrained(module: nn.Module, pretrained: Mapping[str, Tensor]) -> None:
    """Put pre-trained tensors into a module that may have more.

    Raises:
        ValueError: a tensor has no place in it, or another shape.
    """
    own = module.state_dict()
    for name, tensor in pretrained.items():
        if name not in own or own[name].shape != tensor.shape:
            found = tuple(own[name].shape) if name in own else "missing"
            raise ValueError(f"pre-trained {name} is {tuple(tensor.shape)}, in the network {found}: pre-train again")
    module.load_state_dict(own | dict(pretrained))


def train(
    method: Network,
    module: nn.Module,
    data: TaskData,
    part: Part,
    *,
    point: Point,
    seed: int,
    settings: SweepSettings,
    clock: Clock,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Train a network until validation has not been better for `patience` epochs.

    Returns:
        (weights of the best epoch, facts): epochs trained, the best one, and its validation.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=point["learning_rate"], weight_decay=settings.weight_decay)
    best, chosen, best_epoch, epoch = copy.deepcopy(module.state_dict()), None, 0, 0
    for epoch in range(1, settings.max_epochs + 1):
        module.train()
        rows = np.random.default_rng((seed, epoch)).permutation(part.train)
        for batch, label_B in clock.batches(_batches(data, rows, int(point["batch_size"]), method.reads)):
            loss = F.binary_cross_entropy_with_logits(module(batch), label_B)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if settings.clip_norm:
                nn.utils.clip_grad_norm_(trained, settings.clip_norm)
            optimiser.step()
        logit_N = predict(module, data, part.validation, method.reads, clock=clock)
        said = judge(data.label_N[part.validation], _probability(logit_N))
        said["loss"] = float(method.validation_loss(logit_N, data.labels(part.validation).cpu()))
        if not np.isfinite(said["loss"]):
            break
        if chosen is None or rank(said, settings) > rank(chosen, settings):
            best, chosen, best_epoch = copy.deepcopy(module.state_dict()), said, epoch
        elif epoch - best_epoch >= settings.patience:
            break
    if chosen is None:  # the first epoch diverged: the untrained weights stand, and are never the best
        chosen = {"auroc": 0.0, "average_precision": 0.0, "loss": float("inf")}
    return best, {"epochs": epoch, "best_epoch": best_epoch, "said": chosen}


def judge(label_N: NDArray[np.bool_], risk_N: Floats) -> dict[str, float]:
    """What validation says of risks: both areas and the loss."""
    p_N = np.clip(np.where(label_N, risk_N, 1 - risk_N), 1e-7, 1.0)
    areas = {name: score(DISCRIMINATION[name], label_N, risk_N) for name in ("auroc", "average_precision")}
    return areas | {"loss": float(-np.log(p_N).mean())}


def rank(said: Mapping[str, float], settings: SweepSettings) -> tuple[float, float]:
    """What is compared of two validations: higher is better."""
    value = -said["loss"] if settings.monitor == "loss" else said[settings.monitor]
    return value, -said["loss"]


@torch.no_grad()
def predict(
    module: nn.Module, data: TaskData, rows: Ints, reads: Sequence[str], *, clock: Clock | None = None
) -> Tensor:
    """Logits of some examples in evaluation mode, float32 (n,) on the host."""
    module.eval()
    batches = _batches(data, rows, _SCORED_AT_ONCE, reads)
    parts = [module(batch).float().cpu() for batch, _ in (clock.batches(batches) if clock else batches)]
    return torch.cat(parts)


def _batches(data: TaskData, rows: Ints, size: int, reads: Sequence[str]) -> Iterator[tuple[Any, Tensor]]:
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        yield data.batch(part, reads), data.labels(part)


def _probability(logit_N: Tensor) -> Floats:
    risk_N: Floats = torch.nan_to_num(logit_N).double().sigmoid().numpy()
    return risk_N
