"""Training steps on a CUDA device at full size, 128 + 128, against the released loop's way of working.

Our side is `default()` with random towers: prefetch, bf16, compiled towers, gradient, clipping and optimiser. The other
side is that of `train_step`: float32, anomaly detection, texts padded to 256 and tokenised in collate, a file an image.
FLOPs are counted by torch over one uncompiled step; the peak is a measured bf16 product of two 8,192 x 8,192 matrices.
Beside it the same steps uncompiled, and as a device of 22 GB would take them: in parts that the trainer chooses.

Prints one JSON object: ratio (released seconds a step over ours), mfu, data_wait (share of a step), seconds_per_step,
seconds_per_epoch (156,837 images), tflop_per_step, peak_tflops, memory_gb; eager_ratio (uncompiled over compiled);
small_part, small_memory_gb and small_ratio (in parts over at once); without a CUDA device it says so.
`--check` runs the same code at a tiny size on the CPU, to see that it runs; its numbers mean nothing.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.train_step import compute, released_collate, write_corpus
from medcsp_model.model import MedCSP, ModelDescription
from medcsp_model.prefetch import Prefetch
from medcsp_model.settings import Settings, default, demo, paper
from medcsp_model.trainer import Trainer

IMAGES = 156_837
SQUARE = 8192
SMALL_GB, SMALL_PART = 22.0, 4  # memory of a small device, and a part where there is none to measure


def to_device(item: Any, device: torch.device) -> Any:
    """A batch of tensors moved, dataclasses and dictionaries all the way down."""
    if isinstance(item, torch.Tensor):
        return item.to(device)
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        values = {field.name: to_device(getattr(item, field.name), device) for field in dataclasses.fields(item)}
        return dataclasses.replace(item, **values)
    return {key: to_device(value, device) for key, value in item.items()} if isinstance(item, dict) else item


def seconds_of(action: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def peak_flops(device: torch.device, side: int) -> float:
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    left @ right
    times = [seconds_of(lambda: left @ right, device) for _ in range(10)]
    return 2 * side**3 / statistics.median(times)


def count_flops(trainer: Trainer) -> float:
    """Of a forward and backward pass over the inputs of the first step, before anything is compiled."""
    parts = trainer._work(0).parts
    with FlopCounterMode(display=False) as counter:
        gradient = {name: torch.ones_like(e) for name, e in trainer.cache.embed(parts, seeds=[0] * len(parts)).items()}
        trainer.cache.backward(parts, seeds=[0] * len(parts), gradient=gradient)
    trainer.model.zero_grad(set_to_none=True)
    return float(counter.get_total_flops())


@dataclass(frozen=True)
class Steps:
    """Seconds of each step, seconds waited for data, and the most memory that was held."""

    seconds: list[float]
    waited: list[float]
    memory_gb: float

    @property
    def median(self) -> float:
        """Of the seconds."""
        return statistics.median(self.seconds)


def our_steps(trainer: Trainer, *, warm_up: int, steps: int) -> Steps:
    """The steps behind the first ones."""
    found, is_cuda = [], trainer.device.type == "cuda"
    if is_cuda:
        torch.cuda.reset_peak_memory_stats()
    with Prefetch(trainer._work, stop=warm_up + steps, device=trainer.device) as inputs:
        for step in range(warm_up + steps):
            waits: list[float] = []

            def one(step: int = step, waits: list[float] = waits) -> None:
                work, waited = inputs.get(step)
                waits.append(waited)
                trainer._step(step, work, waited)

            found.append((seconds_of(one, trainer.device), *waits))
    took, waited = zip(*found[warm_up:], strict=True)
    return Steps(list(took), list(waited), torch.cuda.max_memory_allocated() / 1e9 if is_cuda else 0.0)


def released_step(
    folder: Path, trainer: Trainer, texts: dict[str, list[str]], settings: Settings
) -> Callable[[], None]:
    model = MedCSP(ModelDescription.of_corpus(trainer.corpus, settings=settings)).to(trainer.device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=1e-8)
    records = trainer.plan.batch(0)

    def run() -> None:
        batch = to_device(released_collate(trainer.corpus, texts, folder, records), trainer.device)
        compute(model, batch, optimiser, anomaly=True)

    return run


def sizes(recipe: Settings, *, size: int, is_check: bool) -> Settings:
    plain = recipe.to_json()
    if is_check:
        plain["model"] = demo().to_json()["model"]
    plain["model"]["text"]["vocab_size"] = 0 if is_check else 30_522
    plain["batch"] |= {"size": size, "validation_share": 0.0}
    plain["run"] |= {"validate_every": 0, "log_every": 1_000_000, "device": "cpu" if is_check else "cuda"}
    return Settings.from_json(plain)


def measure(folder: Path, *, is_check: bool, size: int, steps: int) -> dict[str, float]:
    corpus, texts = write_corpus(folder, np.random.default_rng(0), num_patients=2 * size)
    settings = sizes(default(), size=size, is_check=is_check)
    asked = {"warm_up": 1 if is_check else 20, "steps": steps}

    def prepared(name: str, **run: Any) -> Trainer:
        trainer = Trainer(corpus, settings=settings.replace(run=run), folder=folder / name)
        trainer._prepare()
        return trainer

    small = prepared("small", memory_gb=SMALL_GB, micro_batch=SMALL_PART if is_check else 0)
    in_parts, part = our_steps(small, **asked), small.micro_batch
    del small
    eager = prepared("eager", compile="off")
    flops, uncompiled = count_flops(eager), our_steps(eager, **asked)
    del eager
    trainer = prepared("run")
    ours = our_steps(trainer, **asked)
    released = released_step(folder, trainer, texts, sizes(paper(), size=size, is_check=is_check))
    released()
    theirs = statistics.median(seconds_of(released, trainer.device) for _ in range(3))
    peak = peak_flops(trainer.device, 256 if is_check else SQUARE)
    return {
        "ratio": round(theirs / ours.median, 2),
        "mfu": round(flops / ours.median / peak, 4),
        "data_wait": round(sum(ours.waited) / sum(ours.seconds), 4),
        "seconds_per_step": round(ours.median, 4),
        "seconds_per_epoch": round(ours.median * IMAGES / size, 1),
        "tflop_per_step": round(flops / 1e12, 3),
        "peak_tflops": round(peak / 1e12, 1),
        "memory_gb": round(ours.memory_gb, 1),
        "eager_ratio": round(uncompiled.median / ours.median, 2),
        "small_part": part,
        "small_memory_gb": round(in_parts.memory_gb, 1),
        "small_ratio": round(in_parts.median / ours.median, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="tiny, on the CPU")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=50)
    given = parser.parse_args()
    if not given.check and not torch.cuda.is_available():
        print(json.dumps({"skipped": "no CUDA device"}))
        return
    size, steps = (8, 2) if given.check else (given.size, given.steps)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), is_check=given.check, size=size, steps=steps)))


if __name__ == "__main__":
    main()
