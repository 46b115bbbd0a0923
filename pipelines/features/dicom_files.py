"""Reads the stored values of a DICOM file's one grey frame, and the header that says what they mean.

Uncompressed little-endian pixels are viewed where they lie in the file's bytes; everything else is decoded by pydicom
and its plugins, after the size that the code stream says has been compared with the header's.
"""

import io
import struct
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.features.codestreams import codestream_size
from pipelines.features.image_files import Content, ImageError, check_size

if TYPE_CHECKING:
    from pydicom import FileDataset

GREY_PHOTOMETRICS = ("MONOCHROME1", "MONOCHROME2")
DEFLATED = b"1.2.840.10008.1.2.1.99"
HEAD_BYTES = 1 << 16
"""Headers end before this, but for those with large lookup tables."""
PIXEL_TAGS = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")
"""(7FE0,0010) as little and as big endian files write it."""
UNDEFINED_LENGTH = 0xFFFFFFFF
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
LIBJPEG_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81))
"""JPEG and JPEG-LS, which pydicom decodes by an optional package; the first by Pillow too."""
NO_DECODER = "transfer syntax cannot be decoded here"
NO_LIBJPEG = "transfer syntax needs a package that is not installed: pip install pylibjpeg-libjpeg (GPL-3.0)"
OTHER_SIZE = "pixel data is not of the size that the header says"


@dataclass(frozen=True)
class DicomHeader:
    """What is read of a DICOM file before its pixels.

    Attributes:
        dataset: every element before the pixels.
        height, width: size of the image in pixels.
        photometric: MONOCHROME1 or MONOCHROME2.
        pixels_at: where the pixel element begins in the file.
    """

    dataset: "FileDataset"
    height: int
    width: int
    photometric: str
    pixels_at: int

    @property
    def is_inverted(self) -> bool:
        """Whether the least value is white."""
        return self.photometric == "MONOCHROME1"


def is_dicom(content: Content) -> bool:
    """Return whether a file begins as a DICOM file does."""
    return content[128:132] == b"DICM"


def dicom_damage() -> tuple[type[Exception], ...]:
    """Return what pydicom raises on damaged files: it has no common class for them."""
    from pydicom.errors import BytesLengthException

    return (
        *(AttributeError, BytesLengthException, EOFError, IndexError, KeyError, NotImplementedError, OSError),
        *(OverflowError, RecursionError, RuntimeError, TypeError, ValueError, struct.error),
    )


def read_header(path: Path, content: Content, *, max_pixels: int) -> DicomHeader:
    """Read the header of a file with one grey frame.

    Raises:
        ImageError: it is no DICOM file, is damaged, has no pixels, or its image is not one that can be read here.
    """
    from pydicom.errors import InvalidDicomError

    if DEFLATED in content[: HEAD_BYTES // 32]:
        # pydicom inflates such a file whole, to whatever size, before anything can be asked of it
        raise ImageError(path, NO_DECODER)
    try:
        dataset, at = _before_pixels(content)
        height, width, frames, samples = (
            int(dataset.get(name) or default)
            for name, default in (("Rows", 0), ("Columns", 0), ("NumberOfFrames", 1), ("SamplesPerPixel", 1))
        )
        photometric = str(dataset.get("PhotometricInterpretation"))
    except InvalidDicomError as error:
        raise ImageError(path, "not a DICOM file") from error
    except dicom_damage() as error:
        raise ImageError(path, "DICOM header is damaged") from error
    if at is None:
        raise ImageError(path, "no pixel data")
    check_size(path, height, width, frames=frames, max_pixels=max_pixels)
    if photometric not in GREY_PHOTOMETRICS or samples != 1:
        raise ImageError(path, "not a grey image")
    if frames != 1:
        raise ImageError(path, "more than one frame")
    return DicomHeader(dataset, height, width, photometric, at)


def read_values(path: Path, content: Content, header: DicomHeader) -> NDArray[Any]:
    """Return the stored values, (height, width), of the file's own integer type.

    Raises:
        ImageError: the pixels are cut off, damaged, of another size than the header says, or cannot be decoded here.
    """
    try:
        plain = _plain_values(content, header)
        if plain is None and (reason := _why_no_decoder(header)):
            raise ImageError(path, reason)
        values = _decoded_values(path, content, header) if plain is None else plain
    except ImageError:
        raise
    except dicom_damage() as error:
        raise ImageError(path, "pixel data is damaged or cut off") from error
    if values.shape != (header.height, header.width):
        raise ImageError(path, OTHER_SIZE)
    return values


def _before_pixels(content: Content) -> "tuple[FileDataset, int | None]":
    """Return the elements before the pixels, and where these begin; None where there are none."""
    from pydicom import dcmread

    head = content[:HEAD_BYTES]
    try:
        stream = io.BytesIO(head)
        dataset = dcmread(stream, stop_before_pixels=True)
        at = stream.tell()
    except dicom_damage():
        if len(content) == len(head):
            raise
        at = len(head)
    if content[at : at + 4] not in PIXEL_TAGS and len(content) > len(head):
        stream = io.BytesIO(content[:])
        dataset = dcmread(stream, stop_before_pixels=True)
        at = stream.tell()
    return dataset, at if content[at : at + 4] in PIXEL_TAGS else None


def _plain_values(content: Content, header: DicomHeader) -> NDArray[Any] | None:
    """Return a view of uncompressed little-endian pixels; None where pydicom has to decode them."""
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    dataset, at = header.dataset, header.pixels_at + len(PIXEL_TAGS[0])
    syntax, bits = dataset.file_meta.get("TransferSyntaxUID"), dataset.get("BitsAllocated")
    if syntax not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian) or bits not in (8, 16):
        return None
    if syntax == ExplicitVRLittleEndian:
        if content[at : at + 2] not in (b"OB", b"OW"):
            return None
        at += 4
    (length,) = struct.unpack("<L", content[at : at + 4])
    dtype = np.dtype(f"<{'i' if dataset.get('PixelRepresentation') else 'u'}{bits // 8}")
    count = header.height * header.width
    if length == UNDEFINED_LENGTH or length - count * dtype.itemsize not in (0, 1):
        return None
    return np.frombuffer(content, dtype, count=count, offset=at + 4).reshape(header.height, header.width)


def _why_no_decoder(header: DicomHeader) -> str:
    """Return why nothing installed here decodes the file's transfer syntax, or an empty text."""
    from pydicom.pixels import get_decoder

    syntax = header.dataset.file_meta.TransferSyntaxUID
    try:
        is_available = get_decoder(syntax).is_available
    except NotImplementedError:
        return NO_DECODER
    # Pillow takes this syntax and decodes its 8-bit streams alone
    is_half = syntax == JPEG_EXTENDED and int(header.dataset.BitsAllocated) > 8 and find_spec("libjpeg") is None
    if is_available and not is_half:
        return ""
    return NO_LIBJPEG if syntax in LIBJPEG_SYNTAXES else NO_DECODER


def _decoded_values(path: Path, content: Content, header: DicomHeader) -> NDArray[Any]:
    from pydicom import dcmread
    from pydicom.encaps import generate_frames

    dataset = dcmread(io.BytesIO(content[:]))
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        size = codestream_size(next(generate_frames(dataset.PixelData, number_of_frames=1)))
        if size is not None and size != (header.height, header.width):
            raise ImageError(path, OTHER_SIZE)
    elif len(dataset.PixelData) > -(-header.height * header.width * int(dataset.BitsAllocated) // 8) + 1:
        # pydicom would leave out what is too much, and the rows of a film would be cut in the wrong places
        raise ImageError(path, OTHER_SIZE)
    values: NDArray[Any] = dataset.pixel_array
    return values
