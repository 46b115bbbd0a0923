"""What a training step asks of the host: every operation of `default()` at full depth, and hardly any arithmetic.

A GPU idles where the host takes longer to ask for a step than the device to compute it; only there would CUDA graphs
help, which ask for all of it at once. So this is a step on one CPU core with towers of twelve layers as at full size,
but narrow, two records of each source, short texts and small films: forward and backward pass, gradient norm, AdamW.
What arithmetic is left counts too, so the host takes less than this.

Prints one JSON object: milliseconds and milliseconds_compiled (CPU time, medians), full_size_ms (what a device that
computes `PEAK` at an MFU of 40 % takes for the same step at 128 + 128, texts of 128 tokens), host_share (compiled over
that).
"""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from timm.models import register_model

from benchmarks.train_step import WORDS, write_corpus
from medcsp_model.corpus import Corpus
from medcsp_model.settings import Settings, default
from medcsp_model.trainer import Trainer

BATCH, WORDS_PER_TEXT, WARM_UP, STEPS = 2, 6, 12, 30
TFLOP, PEAK, MFU = 30.7, 790.0, 0.4
"""Of a step at full size (docs/method.md); TFLOP/s of bf16 products as an H200 does them."""
NARROW: dict[str, Any] = {
    "embed_dim": 16,
    "hidden_dim": 8,
    "image": {"timm_model_name": "deep_and_narrow", "image_size": 32},
    "text": {"vocab_size": WORDS + 4, "width": 16, "num_heads": 1, "mlp_width": 16},
}


@register_model
def deep_and_narrow(pretrained: bool = False, **kwargs: Any) -> torch.nn.Module:
    """The smallest ViT of timm with as many layers as ViT-B."""
    model: torch.nn.Module = timm.create_model("test_vit", depth=12, num_classes=kwargs.get("num_classes", 0))
    return model


def narrow_settings(*, is_compiled: bool) -> Settings:
    """`default()` with all its layers and next to no width."""
    plain = default().to_json()
    for name, value in NARROW.items():
        plain["model"][name] = plain["model"][name] | value if isinstance(value, dict) else value
    plain["batch"] |= {"size": BATCH, "validation_share": 0.0}
    plain["run"] |= {"device": "cpu", "compile": "on" if is_compiled else "off", "validate_every": 0, "num_threads": 1}
    return Settings.from_json(plain)


def milliseconds(corpus: Corpus, folder: Path, *, is_compiled: bool) -> float:
    """CPU time of a step, its inputs at hand."""
    trainer = Trainer(corpus, settings=narrow_settings(is_compiled=is_compiled), folder=folder)
    trainer._prepare()
    took = []
    for step in range(WARM_UP + STEPS):
        work = trainer._work(step)
        began = time.process_time()
        trainer._step(step, work, 0.0)
        took.append(time.process_time() - began)
    return 1000 * statistics.median(took[WARM_UP:])


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus, _ = write_corpus(folder, np.random.default_rng(0), num_patients=16, num_words=WORDS_PER_TEXT)
        eager = milliseconds(corpus, folder / "eager", is_compiled=False)
        compiled = milliseconds(corpus, folder / "compiled", is_compiled=True)
    full_size = 1000 * TFLOP / (PEAK * MFU)
    result = {
        "milliseconds": round(eager, 1),
        "milliseconds_compiled": round(compiled, 1),
        "full_size_ms": round(full_size, 1),
        "host_share": round(compiled / full_size, 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
