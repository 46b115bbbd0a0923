"""A batch embedded in parts, its gradient cached, against the same batch at once: CPU seconds and memory of a step.

The full-size towers of `default()` at random weights, in bfloat16 as on a GPU, notes and reports of 256 tokens; one
whole training step each, in one process, of which the second is measured. A CPU holds the same tensors that a CUDA
device would, so the peak (resident memory: weights, gradients, both moments, and what the step holds) is about the same
there; kernels' own work space and the imports are not.

Usage: gradient_cache [--size 16] [--part 4] [--parts-only], records of each source in a batch and in a part. Prints one
JSON object: ratio (CPU seconds in parts over at once), seconds_parts, seconds_whole, gb_parts, gb_whole,
gradient_difference (relative norm; bfloat16 rounds other shapes otherwise).
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.train_step import write_corpus
from lake import Measurement, measured
from medcsp_model.batches import PlanInputs, make_plan
from medcsp_model.collate import Collate
from medcsp_model.corpus import Corpus
from medcsp_model.distributed import Ranks
from medcsp_model.gradient_cache import GradientCache
from medcsp_model.model import MedCSP, ModelDescription
from medcsp_model.settings import Settings, default
from medcsp_model.step import add_gradients
from medcsp_model.trainer import make_optimiser
from medcsp_model.work import make_work

WORDS = 254  # and two special tokens
VOCABULARY = 30_522


def full_size(size: int) -> Settings:
    """The default recipe without anything random, so that parts and the whole have one gradient."""
    plain = default().to_json()
    plain["model"]["text"] |= {"vocab_size": VOCABULARY, "dropout": 0.0}
    plain["augmentation"] = dict.fromkeys(plain["augmentation"], 0.0)
    plain["batch"] |= {"size": size, "validation_share": 0.0}
    return Settings.from_json(plain)


class Steps:
    """Whole training steps of one model on one batch."""

    def __init__(self, corpus: Corpus, settings: Settings) -> None:
        torch.manual_seed(0)
        self.settings, self.ranks = settings, Ranks()
        self.model = MedCSP(ModelDescription.of_corpus(corpus, settings=settings)).train()
        still = settings.replace(optimiser={"lr": 0.0, "tower_lr": 0.0})
        self.optimiser = make_optimiser(self.model, settings=still.optimiser)
        self.cache = GradientCache(self.model, ranks=self.ranks, precision=settings.run.precision)
        self.plan = make_plan(PlanInputs.from_corpus(corpus, split="pretrain"), settings=settings.batch, seed=0)
        text = settings.model.text
        self.collate = Collate(corpus, device=self.ranks.device, pad_to=text.pad_to, context_length=text.context_length)

    def run(self, part: int) -> Measurement:
        """One step in parts of so many records of each source; at once with 0."""
        work = make_work(0, plan=self.plan, collate=self.collate, ranks=self.ranks, micro_batch=part)
        with measured() as took:
            self.optimiser.zero_grad(set_to_none=True)
            seeds = list(range(len(work.parts)))
            add_gradients(work, cache=self.cache, ranks=self.ranks, settings=self.settings.loss, seeds=seeds)
            self.optimiser.step()
        return took

    def gradient(self) -> torch.Tensor:
        """Of every weight that has one, side by side."""
        return torch.cat([p.grad.flatten() for p in self.model.parameters() if p.grad is not None])


def measure(folder: Path, *, size: int, part: int, is_parts_only: bool) -> dict[str, float]:
    corpus, _ = write_corpus(folder, np.random.default_rng(0), num_patients=size, num_words=WORDS)
    steps = Steps(corpus, full_size(size))
    steps.run(part)  # makes the optimiser's moments
    in_parts = steps.run(part)
    found = {"seconds_parts": in_parts.cpu_seconds, "gb_parts": round(in_parts.peak_mb / 1000, 2)}
    if is_parts_only:
        return found
    gradient = steps.gradient()
    whole = steps.run(0)
    difference = (steps.gradient() - gradient).norm() / gradient.norm()
    return {
        "ratio": round(in_parts.cpu_seconds / whole.cpu_seconds, 3),
        **found,
        "seconds_whole": whole.cpu_seconds,
        "gb_whole": round(whole.peak_mb / 1000, 2),
        "gradient_difference": float(difference),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--part", type=int, default=4)
    parser.add_argument("--parts-only", action="store_true", help="where the whole batch does not fit")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), size=given.size, part=given.part, is_parts_only=given.parts_only)
    print(json.dumps({"size": given.size, "part": given.part, **found}))


if __name__ == "__main__":
    main()
