"""The processes of one run: who they are, what each takes of a batch, and the few things they tell each other.

`torchrun` sets RANK, WORLD_SIZE and LOCAL_RANK; without them there is one process and nothing is sent anywhere. Every
process plans the same batches and knows who is in them; what only one of them knows are its embeddings, which are
gathered, and its part of the losses and gradients, which are summed. Nothing else travels, and nothing is pickled.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor
from torch import distributed as dist

from medcsp_model.command import die_with_parent

CPU = torch.device("cpu")


class ProcessLostError(ValueError):
    """Another process of the run ended or does not answer."""


@dataclass(frozen=True)
class Ranks:
    """One of the processes of a run.

    Attributes:
        rank: its number, 0 for the one that writes files.
        size: how many there are.
        device: where it computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and logs."""
        return self.rank == 0

    def share(self, total: int) -> range:
        """The rows of a batch of `total` records that this process embeds: consecutive, even to within one."""
        return range(total * self.rank // self.size, total * (self.rank + 1) // self.size)

    def gather(self, parts: Mapping[str, Tensor], totals: Mapping[str, int]) -> dict[str, Tensor]:
        """Rows of every process, in the order of the batch.

        Args:
            parts: per source the rows of this process's share, all of one dtype.
            totals: records of each source in the batch.
        """
        if self.size == 1:
            return dict(parts)
        most = {name: -(-totals[name] // self.size) for name in parts}
        padded = [_pad(part, most[name]).flatten() for name, part in parts.items()]
        mine = torch.cat(padded)
        everyone = [torch.empty_like(mine) for _ in range(self.size)]
        with _talking():
            dist.all_gather(everyone, mine)
        pieces = [one.split([len(values) for values in padded]) for one in everyone]
        shares = [Ranks(rank, self.size) for rank in range(self.size)]
        return {
            name: torch.cat(
                [
                    piece[place].view(most[name], *part.shape[1:])[: len(share.share(totals[name]))]
                    for piece, share in zip(pieces, shares, strict=True)
                ]
            )
            for place, (name, part) in enumerate(parts.items())
        }

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the processes, the same on each."""
        return self._reduce(values, dist.ReduceOp.SUM)

    def max(self, values: Tensor) -> Tensor:
        """Largest over the processes, the same on each."""
        return self._reduce(values, dist.ReduceOp.MAX)

    def any(self, flag: bool) -> bool:
        """Whether any process says so; all of them hear the same answer at the same step."""
        if self.size == 1:
            return flag
        return bool(self.max(torch.tensor(int(flag), device=self.device)))

    def smallest(self, number: int) -> int:
        """The smallest number that any process says."""
        if self.size == 1:
            return number
        return -int(self.max(torch.tensor(-number, device=self.device)))

    def from_first(self, number: int) -> int:
        """What the first process says; also a point that none passes before the first has reached it."""
        if self.size == 1:
            return int(number)
        answer = torch.tensor(int(number), device=self.device)
        with _talking():
            dist.broadcast(answer, src=0)
        return int(answer)

    def _reduce(self, values: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
        if self.size == 1:
            return values
        result = values.detach().clone()
        with _talking():
            dist.all_reduce(result, op=operation)
        return result


@contextmanager
def _talking() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # of the connection; nothing is computed here
        raise ProcessLostError(
            "another process of the run ended or does not answer: its own error says why. The last state is kept; "
            f"start the same command again ({str(error).splitlines()[0]})"
        ) from error


def _pad(rows: Tensor, count: int) -> Tensor:
    return torch.cat([rows, rows.new_zeros(count - len(rows), *rows.shape[1:])])


def choose_device(setting: str, *, local_rank: int = 0) -> torch.device:
    """The device of a process: `auto` takes CUDA where there is one, each process of a machine its own.

    Raises:
        ValueError: CUDA is asked for and absent, or has fewer devices than the machine has processes.
    """
    if setting == "cpu" or (setting == "auto" and not torch.cuda.is_available()):
        return CPU
    found = torch.cuda.device_count()
    if local_rank >= found:
        raise ValueError(
            f"settings.run.device: process {local_rank} of this machine finds {found} CUDA devices; "
            "start no more processes than devices, or set device to cpu"
        )
    return torch.device("cuda", local_rank)


@contextmanager
def connected(setting: str, *, timeout_seconds: int = 600) -> Iterator[Ranks]:
    """This process among those that `torchrun` started, if it did: nccl between CUDA devices, gloo between CPUs.

    They end with what started them, a killed `torchrun` too. One that leaves with an error says no farewell, which
    would wait for the others. Its connections close as it ends, and the others find out: at once between CPUs; between
    CUDA devices when `torchrun` ends them, or after the timeout.
    Keep no trainer beyond it: what averages gradients, let go of behind its group, may wait for ever.

    Args:
        setting: `settings.run.device`.
        timeout_seconds: `settings.run.timeout_seconds`.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    device = choose_device(setting, local_rank=int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if size == 1:
        yield Ranks(device=device)
        return
    die_with_parent()
    backend, timeout = "nccl" if device.type == "cuda" else "gloo", timedelta(seconds=timeout_seconds)
    dist.init_process_group(backend, rank=rank, world_size=size, timeout=timeout)
    yield Ranks(rank, size, device)
    dist.destroy_process_group()
