"""Reads JPEG and PNG files as grey levels."""

import io
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.features.image_files import Content, ImageError, check_size

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
FORMATS = ("JPEG", "PNG")


def is_picture(content: Content) -> bool:
    """Return whether a file begins as a JPEG or PNG file does."""
    return content[: len(PNG)].startswith((JPEG, PNG))


def read_grey(
    path: Path, content: Content, *, max_pixels: int, at_least: int | None = None
) -> tuple[NDArray[np.uint8], str, tuple[int, int]]:
    """Decode a JPEG or PNG file.

    Args:
        path: the file, for messages.
        content: its bytes.
        max_pixels: a larger image is refused before it is decoded.
        at_least: a JPEG may be decoded at a fraction of its size as long as both sides are at least this.

    Returns:
        Grey levels, uint8 (height, width); the Pillow mode; height and width of the file's image.

    Raises:
        ImageError: the file is no picture, is too small or too large, damaged or cut off.
    """
    from PIL import Image, UnidentifiedImageError

    damage = (OSError, SyntaxError, EOFError, IndexError, KeyError, OverflowError, TypeError, struct.error, zlib.error)
    try:
        with Image.open(io.BytesIO(content[:]), formats=FORMATS) as picture:
            width, height = picture.size
            check_size(path, height, width, max_pixels=max_pixels)
            kind = picture.mode
            if at_least is not None:
                picture.draft("L", (at_least, at_least))
            return _grey(path, picture), kind, (height, width)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(path, "not an image file, or cut off in its header") from error
    except Image.DecompressionBombError as error:
        raise ImageError(path, f"more than {max_pixels} pixels") from error
    except (*damage, ValueError) as error:
        raise ImageError(path, "image is damaged or cut off") from error


def _grey(path: Path, picture: "PillowImage") -> NDArray[np.uint8]:
    """Return 8-bit grey levels; of 16-bit levels the upper eight, where Pillow's own conversion would cut them off."""
    if not picture.mode.startswith(("I", "F")):
        return np.asarray(picture.convert("L"), dtype=np.uint8)
    values = np.asarray(picture)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise ImageError(path, "neither 8 nor 16 bits a pixel")
    return (values >> 8).astype(np.uint8)
