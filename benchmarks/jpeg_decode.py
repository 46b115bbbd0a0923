"""JPEG to 224 x 224 grey pixels, against Pillow's full RGB decoding and bicubic filter, the habit of open_clip.

A film of 3056 x 2544 pixels, quality 95. Prints one JSON object last: `ratio` (CPU time of the usual way over ours in
fast mode) and `psnr_db` (our pixels against theirs).
"""

import io
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.measure import film, psnr_db, ratio_of
from pipelines.features.rendering import read_image

HEIGHT, WIDTH = 3056, 2544


def main() -> None:
    grey = (film(HEIGHT, WIDTH) >> 4).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, format="JPEG", quality=95)
    content = stream.getvalue()
    ratio, theirs, ours = ratio_of(lambda: usual(content), lambda: decode(content))
    quality = psnr_db(usual(content), decode(content))
    print(f"{len(content)} bytes: {theirs:.1f} ms against {ours:.1f} ms, {quality:.1f} dB")
    print(json.dumps({"ratio": round(ratio, 1), "psnr_db": round(quality, 1)}))


def decode(content: bytes) -> NDArray[np.uint8]:
    return read_image(Path("film.jpg"), content, mode="fast").pixels


def usual(content: bytes) -> NDArray[np.uint8]:
    """Decode whole, to three channels; resize the shortest side; crop; one channel of the three equal ones."""
    with Image.open(io.BytesIO(content)) as picture:
        short = min(picture.size)
        size = tuple(int(224 * side / short) for side in picture.size)
        resized = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    left, top = (round((side - 224) / 2) for side in size)
    return np.asarray(resized.crop((left, top, left + 224, top + 224)))[:, :, 0]


if __name__ == "__main__":
    main()
