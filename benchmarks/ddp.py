"""Two processes against one on the CPU, same global batch: CPU seconds per sample of whole training steps.

Gradients, gathering and the optimiser included, imports and the start of the processes not; a thread each, at the
demo's sizes on the corpus of `train_step`, a global batch of 64 + 64. Prints one JSON object: ratio,
seconds_per_sample_1, seconds_per_sample_2, gradient_difference (relative norm, float32, without dropout).
"""

import json
import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from benchmarks.train_step import settings as small_settings
from benchmarks.train_step import write_corpus
from medcsp_model.batches import PlanInputs, make_plan
from medcsp_model.collate import Collate
from medcsp_model.corpus import Corpus
from medcsp_model.distributed import Ranks, connected
from medcsp_model.gradient_cache import GradientCache
from medcsp_model.model import MedCSP, ModelDescription
from medcsp_model.step import add_gradients
from medcsp_model.trainer import make_optimiser
from medcsp_model.work import make_work

BATCH, STEPS, ROUNDS = 64, 5, 3
FORK = multiprocessing.get_context("fork")


def train(rank: int, size: int, port: int, folder: Path, answers: Any) -> None:
    torch.set_num_threads(1)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update(address | {"RANK": str(rank), "WORLD_SIZE": str(size)})
    with connected("cpu") as ranks:
        taken = cpu_seconds(ranks, folder)  # what averages gradients is gone before its group is
    answers.put(taken)


def cpu_seconds(ranks: Ranks, folder: Path) -> float:
    """CPU seconds per sample of one process's steps behind the first, which warms up."""
    corpus, settings = Corpus.open(folder / "corpus"), small_settings().replace(batch={"size": BATCH})
    torch.manual_seed(0)
    model = MedCSP(ModelDescription.of_corpus(corpus, settings=settings)).train()
    optimiser = make_optimiser(model, settings=settings.optimiser)
    plan = make_plan(PlanInputs.from_corpus(corpus, split="pretrain"), settings=settings.batch, seed=0)
    collate = Collate(corpus, device=ranks.device, pad_to=16, context_length=512)
    cache = GradientCache(model, ranks=ranks, precision="float32")
    began = 0.0
    for step in range(STEPS + 1):
        if step == 1:
            began = time.process_time()
        work = make_work(step, plan=plan, collate=collate, ranks=ranks, micro_batch=0)
        optimiser.zero_grad(set_to_none=True)
        add_gradients(work, cache=cache, ranks=ranks, settings=settings.loss, seeds=[step])
        if step == 0 and ranks.is_first:
            gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
            save_file(gradients, folder / f"gradients_{ranks.size}.safetensors")
        optimiser.step()
    return (time.process_time() - began) / (STEPS * plan.size)


def seconds_per_sample(size: int, folder: Path) -> float:
    """Summed over the processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answers = FORK.SimpleQueue()
    processes = [FORK.Process(target=train, args=(rank, size, port, folder, answers)) for rank in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert not any(process.exitcode for process in processes)
    return sum(answers.get() for _ in processes)


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_corpus(folder, np.random.default_rng(0))
        rounds = [(seconds_per_sample(1, folder), seconds_per_sample(2, folder)) for _ in range(ROUNDS)]
        one, two = (load_file(folder / f"gradients_{size}.safetensors") for size in (1, 2))
    apart = sum(float((one[name] - two[name]).square().sum()) for name in one)
    result = {
        "ratio": round(statistics.median(two / one for one, two in rounds), 3),
        "seconds_per_sample_1": round(statistics.median(alone for alone, _ in rounds), 5),
        "seconds_per_sample_2": round(statistics.median(both for _, both in rounds), 5),
        "gradient_difference": (apart / sum(float(value.square().sum()) for value in one.values())) ** 0.5,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
