"""The size that a compressed picture says of itself, read from its first bytes: no decoder is asked before it is known.

A DICOM header may promise a small image over a code stream of a gigapixel.
"""

import struct

JPEG_START, J2K_START, JP2_START = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "
FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""Start of frame: JPEG in all its kinds, and JPEG-LS."""
MAX_HEADER_BYTES = 1 << 16


def codestream_size(data: bytes) -> tuple[int, int] | None:
    """Return height and width of a JPEG, JPEG-LS or JPEG 2000 stream; None where its head does not say.

    Args:
        data: the stream from its beginning; a JP2 file counts as its code stream.
    """
    if data.startswith(JP2_START):
        at = data.find(J2K_START, 0, MAX_HEADER_BYTES)
        data = data[at:] if at >= 0 else b""
    if data.startswith(J2K_START):
        return _j2k_size(data)
    return _jpeg_size(data) if data.startswith(JPEG_START) else None


def _j2k_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 24:
        return None
    right, bottom, left, top = struct.unpack_from(">4L", data, 8)
    return bottom - top, right - left


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in FRAME_MARKERS:
            height, width = struct.unpack_from(">2H", data, at + 5)
            return height, width
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None
