"""Chest X-ray files as small grey pictures: what a file holds is told from its first bytes, never from its name.

Renderings of DICOM files: `mimic_cxr_jpg` is what MIMIC-CXR-JPG did (minimum to maximum, MONOCHROME1 inverted,
histogram equalised; no lookup tables), `voi` what a viewer shows (modality and VOI lookup tables, then MONOCHROME1
inverted), `percentile` a window from the 0.5th to the 99.5th percentile. Each is one table from stored value to grey
level. `fast` takes histograms from some of the rows and resizes by halves first. Decoding many files is in `images`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipelines.features.dicom_files import DicomHeader, dicom_damage, is_dicom, read_header, read_values
from pipelines.features.image_files import MAX_PIXELS, Content, ImageError, read_content
from pipelines.features.picture_files import is_picture, read_grey
from pipelines.features.resizing import Mode, halve, resize

__all__ = ["ImageError", "Mode", "Picture", "Rendering", "read_image", "render_dicom", "render_whole"]

Rendering = Literal["mimic_cxr_jpg", "voi", "percentile"]
PERCENTILES = (0.5, 99.5)
CONSTANT = "constant image"
ROW_STEP = 16
"""Rows of a fast histogram: at least one in so many, and 256 or more; of these every second pixel."""
PIXELS_AT_ONCE = 1 << 18
"""Of a histogram: few enough for their counts to stay in the cache."""


@dataclass(frozen=True)
class Picture:
    """One rendered file.

    Attributes:
        pixels: uint8 (size, size).
        photometric: photometric interpretation of the file; the Pillow mode of a JPEG or PNG.
        height_pixels: height of the file's image.
        width_pixels: width of the file's image.
    """

    pixels: NDArray[np.uint8]
    photometric: str
    height_pixels: int
    width_pixels: int


def render_dicom(
    path: Path,
    *,
    size: int = 224,
    rendering: Rendering = "mimic_cxr_jpg",
    mode: Mode = "exact",
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Render a DICOM file as uint8 (size, size) grey pixels, white high.

    Args:
        path: the file.
        size: height and width of the result.
        rendering: `mimic_cxr_jpg`, `voi` or `percentile`.
        mode: `exact` or `fast`.
        max_pixels: a larger image is refused before it is decoded.

    Raises:
        ImageError: the file is no DICOM file, lacks pixels, is cut off, is not grey, or cannot be decoded here.
    """
    content = read_content(path)
    if not is_dicom(content):
        raise ImageError(path, "not a DICOM file")
    return read_image(path, content, size=size, rendering=rendering, mode=mode, max_pixels=max_pixels).pixels


def render_whole(path: Path, *, rendering: Rendering = "mimic_cxr_jpg") -> NDArray[np.uint8]:
    """Render a DICOM file as uint8 (height, width) grey pixels in the file's own size, white high.

    Raises:
        ImageError: as `render_dicom`.
    """
    content = read_content(path)
    if not is_dicom(content):
        raise ImageError(path, "not a DICOM file")
    return _read_dicom(path, content, size=0, rendering=rendering, mode="exact", max_pixels=MAX_PIXELS)[0]


def read_image(
    path: Path,
    content: Content,
    *,
    size: int = 224,
    rendering: Rendering = "mimic_cxr_jpg",
    mode: Mode = "exact",
    max_pixels: int = MAX_PIXELS,
) -> Picture:
    """Render the bytes of a DICOM, JPEG or PNG file.

    Raises:
        ImageError: the file gives no picture, or one of a single grey level.
        ValueError: an unknown rendering or mode.
    """
    if rendering not in get_args(Rendering) or mode not in get_args(Mode):
        raise ValueError(
            f"images: rendering {rendering!r}, mode {mode!r}; "
            f"choose from {', '.join(get_args(Rendering))} and {', '.join(get_args(Mode))}"
        )
    if is_picture(content):
        at_least = 2 * size if mode == "fast" else None
        grey, kind, (height, width) = read_grey(path, content, max_pixels=max_pixels, at_least=at_least)
    elif is_dicom(content):
        grey, header = _read_dicom(path, content, size=size, rendering=rendering, mode=mode, max_pixels=max_pixels)
        kind, height, width = header.photometric, header.height, header.width
    else:
        raise ImageError(path, "neither a DICOM, a JPEG nor a PNG file")
    pixels = resize(grey, size, mode)
    if pixels.min() == pixels.max():
        raise ImageError(path, CONSTANT)
    return Picture(pixels=pixels, photometric=kind, height_pixels=height, width_pixels=width)


def _read_dicom(
    path: Path, content: Content, *, size: int, rendering: Rendering, mode: Mode, max_pixels: int
) -> tuple[NDArray[np.uint8], DicomHeader]:
    header = read_header(path, content, max_pixels=max_pixels)
    values = read_values(path, content, header)
    return _render(path, header, values, size=size, rendering=rendering, mode=mode), header


def _render(
    path: Path, header: DicomHeader, values: NDArray[Any], *, size: int, rendering: Rendering, mode: Mode
) -> NDArray[np.uint8]:
    """Return grey levels, uint8 of the image's size, or in fast mode of some halving of it."""
    values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    if values.dtype.kind not in "iu" or values.dtype.itemsize > 2:
        raise ImageError(path, "more than 16 bits a pixel")
    step = max(1, min(ROW_STEP, header.height // 256)) if mode == "fast" else 1
    # tables are indexed by the bits of a value: those of a signed type begin with its positive half
    bits = values.view(f"u{values.dtype.itemsize}")
    every = np.arange(256**values.dtype.itemsize, dtype=bits.dtype).view(values.dtype)
    counts = _histogram(bits, step)
    if rendering == "percentile":
        table = _stretch(every, *_percentiles(path, every, counts))
        if mode == "fast" and values.dtype != np.int8:  # a window is a straight line, which halving may precede
            bits = halve(values, size).view(bits.dtype)
        return _look_up(bits, np.bitwise_not(table) if header.is_inverted else table)
    if rendering == "mimic_cxr_jpg":
        table = _stretch(every, *_extremes(path, values))
        table = np.bitwise_not(table) if header.is_inverted else table
        return _look_up(bits, _equalise(table, counts))
    shown = _shown(path, header, every)
    low, high = shown[counts > 0].min(), shown[counts > 0].max()
    if not np.isfinite(high - low):
        raise ImageError(path, "lookup table is damaged")
    if low == high:
        raise ImageError(path, CONSTANT)
    table = _stretch(shown, low, high)
    return _look_up(bits, np.bitwise_not(table) if header.is_inverted else table)


def _extremes(path: Path, values: NDArray[Any]) -> tuple[float, float]:
    """Return minimum and maximum."""
    import cv2

    low, high, _, _ = cv2.minMaxLoc(values)
    if low == high:
        raise ImageError(path, CONSTANT)
    return low, high


def _shown(path: Path, header: DicomHeader, every: NDArray[Any]) -> NDArray[np.float64]:
    """Return what the file's modality and VOI lookup tables make of every value of its type."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    try:
        shown = apply_voi_lut(apply_modality_lut(every, header.dataset), header.dataset)
    except dicom_damage() as error:
        raise ImageError(path, "lookup table is damaged") from error
    return np.asarray(shown, dtype=np.float64)


def _histogram(bits: NDArray[Any], step: int) -> NDArray[np.float64]:
    """Return how many pixels have each value, in the order of their bits; if `step` is not 1, of a sample."""
    rows, num_values = bits[::step, :: min(step, 2)], 256**bits.dtype.itemsize
    counts = np.zeros(num_values)
    at_once = max(1, PIXELS_AT_ONCE // rows.shape[1])
    for first in range(0, len(rows), at_once):  # numpy widens every value to 64 bits on the way
        counts += np.bincount(rows[first : first + at_once].ravel(), minlength=num_values)
    return counts


def _percentiles(path: Path, every: NDArray[Any], counts: NDArray[np.float64]) -> tuple[float, float]:
    """Return the two percentiles, interpolated between neighbours as numpy does; the extremes where they are equal."""
    if every[-1] < 0:
        every, counts = np.roll(every, every.size // 2), np.roll(counts, every.size // 2)
    ranks = np.cumsum(counts)
    ends = []
    for percent in PERCENTILES:
        place = percent / 100 * (ranks[-1] - 1)
        floor, ceiling = np.floor(place), np.ceil(place)
        below, above = (float(every[np.searchsorted(ranks, rank, side="right")]) for rank in (floor, ceiling))
        ends.append(below + (above - below) * float(place - floor))
    if ends[0] == ends[1]:
        found = np.flatnonzero(counts)
        ends = [float(every[found[0]]), float(every[found[-1]])]
    if ends[0] == ends[1]:
        raise ImageError(path, CONSTANT)
    return ends[0], ends[1]


def _stretch(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Map low..high to 0..255, cut down to whole numbers."""
    return ((values.astype(np.float64).clip(low, high) - low) / (high - low) * 255).astype(np.uint8)


def _equalise(table: NDArray[np.uint8], counts: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the table followed by OpenCV's histogram equalisation, given how often each of its entries is used."""
    levels = np.bincount(table, weights=counts, minlength=256)
    darkest = levels[np.flatnonzero(levels)[0]]
    below = (np.cumsum(levels) - darkest).astype(np.float32)
    scale = np.float32(255.0) / np.float32(max(levels.sum() - darkest, 1))  # in single precision, as OpenCV does
    return np.asarray(np.rint(below * scale).clip(0, 255).astype(np.uint8)[table])


def _look_up(bits: NDArray[Any], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.LUT(bits, table), dtype=np.uint8)
