"""Training steps on a CUDA device at full size, 128 + 128, against the released loop's way of working.

Our side is `default()` with random towers: prefetch, bf16, compiled towers, gradient, clipping and optimiser. The other
side is that of `train_step`: float32, anomaly detection, texts padded to 256 and tokenised in collate, a file an image.
FLOPs are counted by torch over one uncompiled step; the peak is a measured bf16 product of two 8,192 x 8,192 matrices.

Prints one JSON object: ratio (released seconds a step over ours), mfu, data_wait (share of a step), seconds_per_step,
seconds_per_epoch (156,837 images), tflop_per_step, peak_tflops, memory_gb; without a CUDA device it says so.
`--check` runs the same code at a tiny size on the CPU, to see that it runs; its numbers mean nothing.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Callable
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


def our_steps(trainer: Trainer, *, warm_up: int, steps: int) -> list[tuple[float, float]]:
    """Seconds and seconds waited for data of each step behind the first ones."""
    found = []
    with Prefetch(trainer._work, stop=warm_up + steps, device=trainer.device) as inputs:
        for step in range(warm_up + steps):
            waits: list[float] = []

            def one(step: int = step, waits: list[float] = waits) -> None:
                work, waited = inputs.get(step)
                waits.append(waited)
                trainer._step(step, work, waited)

            found.append((seconds_of(one, trainer.device), *waits))
    return found[warm_up:]


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
    eager = Trainer(corpus, settings=settings.replace(run={"compile": "off"}), folder=folder / "eager")
    eager._prepare()
    flops = count_flops(eager)
    del eager
    trainer = Trainer(corpus, settings=settings, folder=folder / "run")
    trainer._prepare()
    ours = our_steps(trainer, warm_up=1 if is_check else 20, steps=steps)
    memory = torch.cuda.max_memory_allocated() / 1e9 if trainer.device.type == "cuda" else 0.0
    released = released_step(folder, trainer, texts, sizes(paper(), size=size, is_check=is_check))
    released()
    theirs = statistics.median(seconds_of(released, trainer.device) for _ in range(3))
    seconds = statistics.median(took for took, _ in ours)
    peak = peak_flops(trainer.device, 256 if is_check else SQUARE)
    return {
        "ratio": round(theirs / seconds, 2),
        "mfu": round(flops / seconds / peak, 4),
        "data_wait": round(sum(waited for _, waited in ours) / sum(took for took, _ in ours), 4),
        "seconds_per_step": round(seconds, 4),
        "seconds_per_epoch": round(seconds * IMAGES / size, 1),
        "tflop_per_step": round(flops / 1e12, 3),
        "peak_tflops": round(peak / 1e12, 1),
        "memory_gb": round(memory, 1),
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
