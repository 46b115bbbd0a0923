"""Makes the next step's inputs in a thread while the device works on this step's.

On CUDA the thread copies on a stream of its own, from pinned memory, and the step waits for that stream alone. On a CPU
the code is the same without streams. What is made draws no random numbers, so the thread changes no result.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import torch

Item = TypeVar("Item")


class Prefetch(Generic[Item]):
    """Items of steps in order, each begun when the one before is handed out.

    Args:
        make: makes the item of a step.
        stop: the first step of which nothing is made.
        device: where the items' tensors are.
    """

    def __init__(self, make: Callable[[int], Item], *, stop: int, device: torch.device) -> None:
        self.make, self.stop = make, stop
        is_cuda = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if is_cuda else None
        # A new thread is on device 0; going back there after each batch would take memory of it for every process.
        there = partial(torch.cuda.set_device, device) if is_cuda else None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch", initializer=there)
        self._next: tuple[int, Future[tuple[Item, Any]]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown(cancel_futures=True)

    def get(self, step: int) -> tuple[Item, float]:
        """The item of a step, and how many seconds it was waited for."""
        began = time.perf_counter()
        if self._next is None or self._next[0] != step:
            self._next = (step, self._thread.submit(self._make, step))
        item, ready = self._next[1].result()
        self._next = (step + 1, self._thread.submit(self._make, step + 1)) if step + 1 < self.stop else None
        if self._stream is not None:
            current = torch.cuda.current_stream(self._stream.device)
            current.wait_event(ready)
            for tensor in tensors_of(item):
                tensor.record_stream(current)
        return item, time.perf_counter() - began

    def _make(self, step: int) -> tuple[Item, Any]:
        if self._stream is None:
            return self.make(step), None
        with torch.cuda.stream(self._stream):
            item = self.make(step)
            return item, self._stream.record_event()


def tensors_of(item: object) -> Iterator[torch.Tensor]:
    """Every tensor in nested dataclasses, dictionaries and lists."""
    if isinstance(item, torch.Tensor):
        yield item
    elif dataclasses.is_dataclass(item):
        for field in dataclasses.fields(item):
            yield from tensors_of(getattr(item, field.name))
    elif isinstance(item, dict | list):
        for value in item.values() if isinstance(item, dict) else item:
            yield from tensors_of(value)
