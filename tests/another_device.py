"""A device that is not the CPU, for machines that have no other: torch's `meta` device, watched.

Its tensors have a place and a shape but no values, so that code runs on it step by step as on a GPU, and an operation
that mixes it with the CPU is refused here as there. What a host asks of a tensor's values is answered with ones, and
counted: on a GPU each such question waits until everything asked of the device before is done. Numbers that are sent
there one by one, instead of pinned and beside the work, are counted too.
"""

import importlib
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = torch.device("meta")
aten = torch.ops.aten
PROJECT = "medcsp_model"


class Watch(TorchDispatchMode):
    """What happens on the device while it is active.

    Attributes:
        waits: the lines of the project, as `file: operation`, that waited for a value, and how often.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(
        self, operation: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        if not any(value.device == DEVICE for value in tensors):
            return operation(*args, **kwargs)
        with self:  # in inference mode some arrive as they were written, not in terms of the others
            whole = operation.decompose(*args, **kwargs)
        if whole is not NotImplemented:
            return whole
        if operation is aten.copy_.default:
            return self._copied(*args)
        answer = _ANSWERS.get(operation)
        known = answer(*args, **kwargs) if answer is not None else None
        if known is not None:
            self.waits[f"{_place()}: {operation}"] += 1
            return known
        strangers = [value for value in tensors if value.device != DEVICE and not _is_number(value, operation)]
        if strangers:
            raise AssertionError(f"{_place()}: {operation} mixes {DEVICE} and {strangers[0].device}")
        return operation(*args, **kwargs)

    def _copied(self, target: Tensor, source: Tensor, *_: Any) -> Tensor:
        if target.device == DEVICE:
            return target
        self.waits[f"{_place()}: copy_"] += 1
        return target.fill_(1)


def _is_number(value: Tensor, operation: Any) -> bool:
    """Whether a CPU tensor is a plain number to the operation, as in x * torch.tensor(2.0)."""
    name = str(operation)
    return value.ndim == 0 and "fused" not in name and "foreach" not in name


def _place() -> str:
    """The innermost line of the project that is running."""
    lines = [frame for frame in traceback.extract_stack() if f"/{PROJECT}/" in frame.filename]
    return lines[-1].filename.split(f"/{PROJECT}/")[-1] if lines else "?"


def _item(x: Tensor) -> bool | float | int:
    if x.dtype == torch.bool:
        return True
    return 1.0 if x.is_floating_point() else 1


def _to_host(x: Tensor, *, dtype: torch.dtype | None = None, device: Any = None, **_: Any) -> Tensor | None:
    if device is None or torch.device(device).type != "cpu":
        return None
    return torch.ones(x.shape, dtype=dtype or x.dtype)


def _nonzero(x: Tensor) -> Tensor:
    """All places, as if every value were true."""
    return torch.zeros(x.numel(), x.ndim, dtype=torch.int64, device=DEVICE)


def _chosen(x: Tensor, places: Sequence[Tensor | None]) -> Tensor | None:
    """x at places, some of them masks, whose number of true values the host must know."""
    masks = [place for place in places if place is not None and place.dtype == torch.bool and place.device == DEVICE]
    if not masks:
        return None
    known: list[Tensor | None] = []
    for place in places:
        is_mask = place is not None and place.dtype == torch.bool
        known += _nonzero(place).unbind(1) if is_mask else [place]  # type: ignore[arg-type, list-item]
    chosen: Tensor = aten.index.Tensor(x, known)
    return chosen


_ANSWERS: dict[Any, Callable[..., Any]] = {
    aten._local_scalar_dense.default: _item,
    aten._to_copy.default: _to_host,
    aten.nonzero.default: _nonzero,
    aten.index.Tensor: _chosen,
}


class _Sent(TorchFunctionMode):
    """Counts tensors made there of numbers that the host holds, which it waits to see sent."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is torch.tensor and kwargs.get("device") == DEVICE:
            self.watch.waits[f"{_place()}: tensor"] += 1
        return function(*args, **kwargs)


@contextmanager
def another_device(monkeypatch: Any) -> Iterator[Watch]:
    """The device, watched, and allowed to the fused optimiser; its tensors may be saved and loaded."""
    with monkeypatch.context() as patch, Watch() as watch:
        optimiser = importlib.import_module("torch.optim.optimizer")
        fused = optimiser._get_fused_kernels_supported_devices()
        patch.setattr(optimiser, "_get_fused_kernels_supported_devices", lambda: [*fused, DEVICE.type])
        with _Sent(watch):
            yield watch
