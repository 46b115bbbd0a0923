"""A random batch of 128 pictures from the image store, against one file of float32 tensors for each picture.

4,096 pictures of 224 x 224 in a temporary folder, all in the page cache; the files are 3 x 224 x 224 float32, what the
released MedCSP code loads. The store is read into one buffer again and again, as a training loop does. What the GPU
makes of either is left out; their pixels are compared. Prints one JSON object last: `ratio` (CPU time of the files over
that of the store) and `bytes_ratio`.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import ratio_of
from pipelines.features.image_store import ImageStore

NUM_IMAGES, BATCH, SIZE, REPEATS = 4096, 128, 224, 20


def main() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (NUM_IMAGES, SIZE, SIZE), dtype=np.uint8)
    batches = [rng.choice(NUM_IMAGES, BATCH, replace=False) for _ in range(REPEATS)]
    with tempfile.TemporaryDirectory() as folder:
        store = ImageStore(Path(folder) / "store")
        digests = np.array(store.add(pictures))
        files = Path(folder) / "files"
        files.mkdir()
        num_files = len({row for batch in batches[:4] for row in batch.tolist()})
        for row in {row for batch in batches[:4] for row in batch.tolist()}:
            np.save(files / f"{row}.npy", np.repeat(pictures[row][None].astype(np.float32) / 255, 3, axis=0))
        reader = store.reader(digests)
        position = iter(range(10**9))
        theirs = lambda: from_files(files, batches[next(position) % 4])  # noqa: E731
        buffer = np.empty((BATCH, SIZE, SIZE), dtype=np.uint8)
        ours = lambda: reader.read(batches[next(position) % REPEATS], out=buffer)  # noqa: E731
        ratio, slow, fast = ratio_of(theirs, ours, repeats=REPEATS)
        pixels = np.rint(from_files(files, batches[0])[:, 0] * 255).astype(np.uint8)
        equal = np.array_equal(pixels, reader.read(batches[0]))
        file_bytes = sum(path.stat().st_size for path in files.iterdir()) / num_files
    if not equal:
        raise SystemExit("the two ways gave different pixels")
    print(f"{slow:.2f} ms against {fast:.3f} ms a batch of {BATCH}")
    print(json.dumps({"ratio": round(ratio, 1), "bytes_ratio": round(file_bytes / SIZE**2, 1)}))


def from_files(folder: Path, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Load every tensor of a batch and stack them, float32 (images, 3, size, size)."""
    return np.stack([np.load(folder / f"{row}.npy") for row in rows.tolist()])


if __name__ == "__main__":
    main()
