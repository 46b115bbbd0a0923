"""Chest X-ray files as small grey pictures: DICOM rendering, JPEG and PNG, resizing.

Decoding many files is in `images`, where their pixels are kept in `image_store`. Renderings: `mimic_cxr_jpg` is
what MIMIC-CXR-JPG did (minimum to maximum, MONOCHROME1 inverted, histogram equalised; no lookup tables), `voi` what a
viewer shows (modality and VOI lookup tables, then MONOCHROME1 inverted). Modes: `exact` resizes as open_clip does
(Pillow's bicubic, shortest side, centre crop), `fast` averages areas, by halves first.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom import FileDataset

Rendering = Literal["mimic_cxr_jpg", "voi"]
Mode = Literal["exact", "fast"]
GREY_PHOTOMETRICS = ("MONOCHROME1", "MONOCHROME2")
MAX_PIXELS = 100_000_000
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")


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
        rendering: `mimic_cxr_jpg` or `voi`.
        mode: `exact` or `fast`.
        max_pixels: a larger image is refused before it is decoded.

    Raises:
        ImageError: the file is no DICOM file, lacks pixels, is cut off, is not grey, or cannot be decoded here.
    """
    return read_image(
        path, path.read_bytes(), size=size, rendering=rendering, mode=mode, max_pixels=max_pixels, is_dicom=True
    ).pixels


def read_image(
    path: Path,
    content: bytes,
    *,
    size: int = 224,
    rendering: Rendering = "mimic_cxr_jpg",
    mode: Mode = "exact",
    max_pixels: int = MAX_PIXELS,
    is_dicom: bool | None = None,
) -> Picture:
    """Render the bytes of a DICOM, JPEG or PNG file; the name's ending tells which, unless `is_dicom` does.

    Raises:
        ImageError: the file gives no picture.
        ValueError: an unknown rendering or mode.
    """
    if rendering not in get_args(Rendering) or mode not in get_args(Mode):
        raise ValueError(
            f"images: rendering {rendering!r}, mode {mode!r}; "
            f"choose from {', '.join(get_args(Rendering))} and {', '.join(get_args(Mode))}"
        )
    if is_dicom is None:
        is_dicom = path.suffix.lower() not in PICTURE_SUFFIXES
    if not is_dicom:
        return _read_picture(path, content, size=size, mode=mode, max_pixels=max_pixels)
    header = _read_header(path, content, max_pixels)
    values = _pixel_values(path, header)
    if mode == "fast":
        values = _halve(values, size)
    grey = _render(path, header, values, rendering)
    return Picture(
        pixels=_resize_areas(grey, size) if mode == "fast" else resize_exact(grey, size),
        photometric=header.photometric,
        height_pixels=header.height,
        width_pixels=header.width,
    )


def resize_exact(grey: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize the shortest side to `size` by Pillow's bicubic filter and crop the centre, as open_clip does.

    Args:
        grey: uint8 (height, width).
        size: height and width of the result.
    """
    from PIL import Image

    height, width = grey.shape
    short = min(height, width)
    new_height, new_width = (int(size * side / short) if side != short else size for side in (height, width))
    picture = Image.fromarray(grey)
    if (new_height, new_width) != (height, width):
        picture = picture.resize((new_width, new_height), Image.Resampling.BICUBIC)
    top, left = round((new_height - size) / 2.0), round((new_width - size) / 2.0)
    return np.ascontiguousarray(np.asarray(picture)[top : top + size, left : left + size])


@dataclass(frozen=True)
class _Header:
    """What is read of a DICOM file before its pixels; `dataset` holds the rest."""

    dataset: "FileDataset"
    height: int
    width: int
    photometric: str


def _damage() -> tuple[type[Exception], ...]:
    """Return what pydicom raises on damaged files: it has no common class for them."""
    import struct

    from pydicom.errors import BytesLengthException

    return (
        *(AttributeError, BytesLengthException, EOFError, IndexError, KeyError, NotImplementedError, OSError),
        *(OverflowError, RuntimeError, TypeError, ValueError, struct.error),
    )


def _read_header(path: Path, content: bytes, max_pixels: int) -> _Header:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        dataset = dcmread(io.BytesIO(content))
        height, width, frames, samples = (
            int(dataset.get(name) or default)
            for name, default in (("Rows", 0), ("Columns", 0), ("NumberOfFrames", 1), ("SamplesPerPixel", 1))
        )
        photometric = str(dataset.get("PhotometricInterpretation"))
        has_pixels = "PixelData" in dataset
    except InvalidDicomError as error:
        raise ImageError(path, "not a DICOM file") from error
    except _damage() as error:
        raise ImageError(path, "DICOM header is damaged") from error
    if not has_pixels:
        raise ImageError(path, "no pixel data")
    if height <= 0 or width <= 0:
        raise ImageError(path, "no image size in the header")
    if height * width * frames > max_pixels:
        raise ImageError(path, f"more than {max_pixels} pixels")
    if photometric not in GREY_PHOTOMETRICS or samples != 1:
        raise ImageError(path, "not a grey image")
    if frames != 1:
        raise ImageError(path, "more than one frame")
    return _Header(dataset, height, width, photometric)


def _pixel_values(path: Path, header: _Header) -> NDArray[Any]:
    """Return the stored values, (height, width), of the file's own integer type."""
    try:
        plain = _plain_values(header)
        values: NDArray[Any] = header.dataset.pixel_array if plain is None else plain
    except (NotImplementedError, RuntimeError) as error:
        raise ImageError(path, "transfer syntax cannot be decoded here") from error
    except _damage() as error:
        raise ImageError(path, "pixel data is damaged or cut off") from error
    if values.shape != (header.height, header.width):
        raise ImageError(path, "pixel data is not of the size that the header says")
    return values


def _plain_values(header: _Header) -> NDArray[Any] | None:
    """Return a view of uncompressed little-endian pixels; None where pydicom has to decode them."""
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    dataset = header.dataset
    bits = dataset.get("BitsAllocated")
    if dataset.file_meta.get("TransferSyntaxUID") not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        return None
    if bits not in (8, 16):
        return None
    dtype = np.dtype(f"<{'i' if dataset.get('PixelRepresentation') else 'u'}{bits // 8}")
    count = header.height * header.width
    if len(dataset.PixelData) - count * dtype.itemsize not in (0, 1):
        return None
    return np.frombuffer(dataset.PixelData, dtype=dtype, count=count).reshape(header.height, header.width)


def _render(path: Path, header: _Header, values: NDArray[Any], rendering: Rendering) -> NDArray[np.uint8]:
    is_inverted = header.photometric == "MONOCHROME1"
    if rendering == "mimic_cxr_jpg":
        grey = _stretch(values)
        return _equalise(np.bitwise_not(grey) if is_inverted else grey) if values.min() != values.max() else grey
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    try:
        shown = apply_voi_lut(apply_modality_lut(values, header.dataset), header.dataset)
    except _damage() as error:
        raise ImageError(path, "lookup table is damaged") from error
    grey = _stretch(shown)
    return np.bitwise_not(grey) if is_inverted and shown.min() != shown.max() else grey


def _stretch(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Map minimum..maximum to 0..255, cut down to whole numbers; a constant image becomes zeros."""
    low, high = values.min(), values.max()
    if low == high:
        return np.zeros(values.shape, dtype=np.uint8)
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        # one table over every value of the type: seven million divisions become as many look-ups
        bits = 8 * values.dtype.itemsize
        every = np.arange(2**bits, dtype=f"u{bits // 8}").view(values.dtype.newbyteorder("=")).astype(np.float64)
        table = ((every.clip(low, high) - low) / (float(high) - float(low)) * 255).astype(np.uint8)
        return np.take(table, values.astype(values.dtype.newbyteorder("="), copy=False).view(f"u{bits // 8}"))
    return ((values - low) / (high - low) * 255).astype(np.uint8)


def _equalise(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.equalizeHist(np.ascontiguousarray(grey)), dtype=np.uint8)


def _halve(values: NDArray[Any], size: int) -> NDArray[Any]:
    """Halve by the mean of 2 x 2 pixels while the shortest side stays at least twice the result's."""
    import cv2

    while min(values.shape) >= 4 * size and values.dtype in (np.uint8, np.uint16, np.int16):
        height, width = values.shape[0] // 2, values.shape[1] // 2
        values = cv2.resize(values[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    return values


def _resize_areas(grey: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Crop the centre square and resize it by areas; upwards by cubic interpolation."""
    import cv2

    height, width = grey.shape
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = np.ascontiguousarray(grey[top : top + short, left : left + short])
    how = cv2.INTER_AREA if short > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (size, size), interpolation=how), dtype=np.uint8)


def _read_picture(path: Path, content: bytes, *, size: int, mode: Mode, max_pixels: int) -> Picture:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise ImageError(path, f"more than {max_pixels} pixels")
            kind = picture.mode
            if mode == "fast":
                picture.draft("L", (2 * size, 2 * size))
            grey = np.asarray(picture.convert("L"), dtype=np.uint8)
    except UnidentifiedImageError as error:
        raise ImageError(path, "not an image file") from error
    except Image.DecompressionBombError as error:
        raise ImageError(path, f"more than {max_pixels} pixels") from error
    except (OSError, SyntaxError, EOFError) as error:
        raise ImageError(path, "image is damaged or cut off") from error
    resized = _resize_areas(grey, size) if mode == "fast" else resize_exact(grey, size)
    return Picture(pixels=resized, photometric=kind, height_pixels=height, width_pixels=width)
