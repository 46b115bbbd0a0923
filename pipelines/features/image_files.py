"""The bytes of an image file, why it gives no picture, and the limits beyond which none is read."""

import mmap
from pathlib import Path

Content = bytes | mmap.mmap
MAPPED_BYTES = 1 << 20

MAX_PIXELS = 100_000_000
"""The largest films of MIMIC-CXR have 14 million pixels; more than this is a mistake or an attack."""
MIN_SIDE = 8
"""Nothing smaller is a radiograph."""


class ImageError(ValueError):
    """A file that gives no picture.

    Attributes:
        path: the file.
        reason: why, without the file's name: the rule under which it is rejected.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def read_content(path: Path) -> Content:
    """Return the bytes of a file; a large one is mapped, which saves copying a film's fifteen megabytes.

    Raises:
        OSError: the file is not there or cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(MAPPED_BYTES)
        return head if len(head) < MAPPED_BYTES else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def check_size(path: Path, height: int, width: int, *, frames: int = 1, max_pixels: int) -> None:
    """Refuse a picture by the size that its header says, before it is decoded.

    Raises:
        ImageError: it has no pixels, is smaller than any radiograph, or has more pixels than the limit.
    """
    if height <= 0 or width <= 0:
        raise ImageError(path, "no image size in the header")
    if height * width * max(frames, 1) > max_pixels:
        raise ImageError(path, f"more than {max_pixels} pixels")
    if min(height, width) < MIN_SIDE:
        raise ImageError(path, f"smaller than {MIN_SIDE} pixels")
