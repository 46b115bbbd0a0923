"""The losses in tiles against whole matrices of similarities: memory by batch size, and how far the results differ.

Each size runs in a process of its own, two sources of two modalities, forward and backward. Prints one JSON object:
exponent and exponent_whole (of memory against the batch, fitted from 2,048 to 8,192 and to 4,096), mb_<size> and
mb_whole_<size> (peak beyond the embeddings), difference (of loss and gradient at 2,048, relative, float32); on a CUDA
device beside them, with the paper's 512 numbers an embedding, cuda_gb_<size> and cuda_seconds_<size> up to 32,768.
"""

import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
import torch

from medcsp_model.losses import Embedded, compute_losses
from medcsp_model.settings import LossSettings

SIZES, WHOLE_SIZES, WIDTH, HISTORY = (2048, 4096, 8192), (2048, 4096), 64, 100
CUDA_SIZES, CUDA_WIDTH, CUDA_TILE = (8192, 16_384, 32_768), 512, 1024


def random_batch(
    size: int, *, width: int, device: str
) -> tuple[dict[str, Embedded], dict[tuple[str, str], torch.Tensor]]:
    """Two sources of as many subjects as records, every second one linked."""
    draw = torch.Generator(device).manual_seed(size)
    names = torch.arange(size, device=device)
    batch = {
        source: Embedded(
            torch.randn(size, 2, width, generator=draw, device=device).requires_grad_(),
            torch.ones(size, 2, dtype=torch.bool, device=device),
            names,
            names,
            torch.full((size,), -1, device=device),
            (torch.rand(size, HISTORY, generator=draw, device=device) < 0.1).float(),
        )
        for source in ("ehr", "cxr")
    }
    return batch, {("ehr", "cxr"): torch.stack([names[::2], names[::2]])}


def run(size: int, tile: int, *, width: int = WIDTH, device: str = "cpu") -> tuple[float, torch.Tensor]:
    batch, linked = random_batch(size, width=width, device=device)
    total = compute_losses(batch, linked, settings=LossSettings(tile=tile)).total
    total.backward()
    return float(total.detach()), torch.cat([source.e_NMD.grad.flatten() for source in batch.values()])


def peak_megabytes(size: int, tile: int) -> float:
    """Of a fresh process: its peak less that of a batch of 64; every block goes back to the system once free."""
    command = [sys.executable, "-m", "benchmarks.loss_tiles", str(size), str(tile)]
    given_back = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=given_back).stdout)


def measure(size: int, tile: int) -> None:
    run(64, 64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(size, tile)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def on_cuda() -> dict[str, float]:
    """Memory beyond the embeddings and seconds of the losses and their gradient."""
    found = {}
    for size in CUDA_SIZES:
        run(size, CUDA_TILE, width=CUDA_WIDTH, device="cuda")
        torch.cuda.reset_peak_memory_stats()
        begun = time.perf_counter()
        run(size, CUDA_TILE, width=CUDA_WIDTH, device="cuda")
        embeddings = 2 * 2 * size * CUDA_WIDTH * 4
        found[f"cuda_gb_{size}"] = round((torch.cuda.max_memory_allocated() - embeddings) / 1e9, 2)
        found[f"cuda_seconds_{size}"] = round(time.perf_counter() - begun, 3)
    return found


def exponent(megabytes: dict[int, float]) -> float:
    slope = np.polyfit(np.log(list(megabytes)), np.log(list(megabytes.values())), 1)[0]
    return round(float(slope), 2)


def main() -> None:
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        measure(int(sys.argv[1]), int(sys.argv[2]))
        return
    tile = 256
    tiled = {size: peak_megabytes(size, tile) for size in SIZES}
    whole = {size: peak_megabytes(size, size) for size in WHOLE_SIZES}
    (loss, gradient), (loss_whole, gradient_whole) = run(2048, tile), run(2048, 2048)
    apart = float((gradient - gradient_whole).norm() / gradient_whole.norm())
    print(
        json.dumps(
            {"exponent": exponent(tiled), "exponent_whole": exponent(whole)}
            | {f"mb_{size}": round(value, 1) for size, value in tiled.items()}
            | {f"mb_whole_{size}": round(value, 1) for size, value in whole.items()}
            | {"difference": max(abs(loss / loss_whole - 1), apart)}
            | (on_cuda() if torch.cuda.is_available() else {})
        )
    )


if __name__ == "__main__":
    main()
