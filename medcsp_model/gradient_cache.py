"""Embeds a batch part by part and carries the gradient of its embeddings into the parameters (GradCache).

The losses need all embeddings of a batch at once, but not all activations behind them. Where these do not fit, every
part but the last is embedded without a graph; once the gradient of all embeddings is known, each is embedded again,
with the same random numbers, and its own gradient carried on. The gradient is that of the whole batch, for one more
forward pass. A batch in one part is embedded once. (Gao et al., Scaling deep contrastive learning batch size under
memory limited setup, 2021.)

Several processes average the parameters' gradients through torch's DistributedDataParallel while the last part's
backward pass runs.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from medcsp_model.collate import Batch
from medcsp_model.distributed import Ranks
from medcsp_model.model import RecordModel

PROBES = (8, 16)
REPLAY_TOLERANCE = 0.05
"""Relative distance between a modality embedded twice: rounding stays far below, other random numbers far above."""
MEMORY_SHARE = 0.85
"""Share of the device's free memory that a batch may take: texts differ in length, and blocks leave gaps."""


class ReplayError(ValueError):
    """A part of a batch could not be embedded twice with the same random numbers."""


class _Embedder(nn.Module):
    """The model as a function of a batch's inputs to tensors alone, which is what DistributedDataParallel looks at.

    The second output is always 0 and always has a graph: a process whose share holds nothing joins in all the same.
    """

    def __init__(self, model: RecordModel, *, precision: str) -> None:
        super().__init__()
        self.model, self.precision = model, precision

    def forward(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        nothing = self.model.idle()
        narrow = self.precision == "bfloat16"
        with torch.autocast(nothing.device.type, dtype=torch.bfloat16) if narrow else nullcontext():
            embedded = self.model(batch)
        return {name: source.e_NMD for name, source in embedded.items()}, nothing


class GradientCache:
    """Embeddings of one process's share of a batch, and later their gradient.

    Args:
        model: the model; its parameters get the gradients.
        ranks: the processes among which gradients are averaged.
        precision: `settings.run.precision`.
    """

    def __init__(self, model: RecordModel, *, ranks: Ranks, precision: str) -> None:
        self._alone = _Embedder(model, precision=precision)
        self._joint: nn.Module = self._alone
        if ranks.size > 1:
            with warnings.catch_warnings():  # torch 2.13 renames the first option, which 2.11 knows by this name alone
                warnings.simplefilter("ignore", FutureWarning)
                self._joint = DistributedDataParallel(self._alone, broadcast_buffers=False, find_unused_parameters=True)
        self._kept: tuple[dict[str, Tensor], Tensor] | None = None
        self._is_replayed = False
        self._first: list[dict[str, Tensor]] = []

    def embed(self, parts: Sequence[Batch], *, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Embeddings (records, modalities, width) of all parts by source, without a graph.

        Args:
            parts: the inputs; at least one part.
            seeds: of the random numbers of each part.
        """
        embedded = []
        with torch.no_grad():
            for part, seed in zip(parts[:-1], seeds[:-1], strict=True):
                torch.manual_seed(seed)
                embedded.append(self._alone(part)[0])
        with self._silent(len(parts) > 1):
            self._kept = self._forward(parts[-1], seeds[-1])
        self._first = [] if self._is_replayed else list(embedded)
        embedded.append(self._kept[0])
        return {name: torch.cat([part[name].detach() for part in embedded]) for name in embedded[0]}

    def backward(self, parts: Sequence[Batch], *, seeds: Sequence[int], gradient: Mapping[str, Tensor]) -> None:
        """Add the gradient of what `embed` returned to the parameters' gradients, averaged over the processes.

        Raises:
            ReplayError: a part embedded again is not what it was; looked at in the first batch that has several parts.
        """
        assert self._kept is not None
        lengths = {name: [len(part.sources[name].records) for part in parts] for name in gradient}
        pieces = {name: gradient[name].split(lengths[name]) for name in gradient}
        for number in reversed(range(len(parts))):
            with self._silent(number > 0):
                embedded, nothing = self._kept or self._forward(parts[number], seeds[number])
                self._kept = None
                if number < len(self._first):
                    _check_replay(self._first[number], embedded)
                    self._is_replayed = True
                alive = [name for name, values in embedded.items() if values.requires_grad]
                torch.autograd.backward(
                    [nothing, *(embedded[name] for name in alive)],
                    [torch.zeros_like(nothing), *(pieces[name][number] for name in alive)],
                )

    def _forward(self, part: Batch, seed: int) -> tuple[dict[str, Tensor], Tensor]:
        torch.manual_seed(seed)
        answer: tuple[dict[str, Tensor], Tensor] = self._joint(part)
        return answer

    def _silent(self, silent: bool) -> AbstractContextManager[object]:
        if silent and isinstance(self._joint, DistributedDataParallel):
            return self._joint.no_sync()
        return nullcontext()


def _check_replay(before: Mapping[str, Tensor], again: Mapping[str, Tensor]) -> None:
    for name, e_NMD in before.items():
        apart_M = (again[name].detach() - e_NMD).norm(dim=(0, 2)) / e_NMD.norm(dim=(0, 2)).clamp(min=1e-30)
        apart = float(apart_M.max())
        if apart > REPLAY_TOLERANCE:
            raise ReplayError(
                f"{name}: records embedded twice with the same seed are {apart:.0%} apart, so that gradients would be "
                "wrong. Set run.compile to off, or the dropout of head and text tower to 0"
            )


def fitting_micro_batch(measure: Callable[[int], int], *, size: int, free: int) -> int:
    """The most records of each source that fit at once, from the memory that two small numbers of them take.

    Args:
        measure: bytes at the peak of a forward and backward pass over so many records of each source.
        size: the most that are wanted.
        free: bytes there are.

    Raises:
        ValueError: not even the smaller of the two fits.
    """
    few, more = PROBES
    if size <= few:
        return size
    bytes_few, bytes_more = measure(few), measure(min(more, size))
    each = max((bytes_more - bytes_few) / (min(more, size) - few), 1.0)
    fits = few + int((free - bytes_few) / each)
    if fits < few:
        raise ValueError(
            f"the device has {free / 1e9:.1f} GB for a batch, {few} records of each source take {bytes_few / 1e9:.1f}; "
            "choose smaller towers, shorter texts, or set run.micro_batch yourself"
        )
    return size if fits >= size else fits // few * few


def measure_on_cuda(cache: GradientCache, make: Callable[[int], Batch], *, model: nn.Module) -> Callable[[int], int]:
    """What `fitting_micro_batch` asks for, measured on the model's CUDA device; of what does not fit, the whole device.

    Args:
        cache: embeds; measured before several processes join.
        make: inputs of so many records of each source.
        model: whose gradients are thrown away afterwards.
    """

    def measure(count: int) -> int:
        batch = make(count)
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        try:
            gradient = {name: torch.ones_like(e_NMD) for name, e_NMD in cache.embed([batch], seeds=[0]).items()}
            cache.backward([batch], seeds=[0], gradient=gradient)
            peak = torch.cuda.max_memory_allocated() - before
        except torch.OutOfMemoryError:  # more than is free: all there is, so that fewer are taken
            peak = torch.cuda.mem_get_info()[1]
        model.zero_grad(set_to_none=True)
        return peak

    return measure


def free_memory(model: nn.Module, *, most: float = 0.0) -> int:
    """Bytes of the CUDA device that a batch may take once AdamW holds two moments of every trained parameter.

    Args:
        model: already on the device.
        most: bytes that the whole process may take, the model included; 0: as many as are free.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    moments = 2 * sum(parameter.numel() * parameter.element_size() for parameter in trained)
    held = torch.cuda.memory_allocated()
    available = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - held
    available = min(available, int(most) - held) if most else available
    return int(MEMORY_SHARE * available) - moments
