"""Small valid films with one thing changed: each kind says why the film is rejected, or that it still is a picture.

The film beside it must come out as before, and no exception of a library may escape.
"""

import io
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pipelines.features.image_store import ImageStore
from pipelines.features.images import decode_images
from tests.features.dicom_film import dicom_bytes

EXAMPLES = 6
HEIGHT, WIDTH, SIZE = 40, 32, 16
DICOM, PICTURES = ("dcm",), ("jpg", "png")
NOT_A_FILM = "neither a DICOM, a JPEG nor a PNG file"
NO_PICTURE = (
    *(
        "not a DICOM file",
        "DICOM header is damaged",
        "no pixel data",
        "no image size in the header",
        "not a grey image",
    ),
    *("more than one frame", "transfer syntax cannot be decoded here", "pixel data is damaged or cut off"),
    *("pixel data is not of the size that the header says", "more than 16 bits a pixel", "lookup table is damaged"),
    *("constant image", "not an image file, or cut off in its header", "image is damaged or cut off", NOT_A_FILM),
    *("neither 8 nor 16 bits a pixel", r"more than \d+ pixels", r"smaller than \d+ pixels"),
)
"""Every reason that damage anywhere in a film may give."""


def grey(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    across = np.linspace(0, 3, width)[None, :] + np.linspace(0, 2, height)[:, None]
    return (127 + 100 * np.sin(across)).astype(np.uint8)


def dicom(pixels: np.ndarray, *, syntax: str = ExplicitVRLittleEndian, **elements: object) -> bytes:
    """A film of 12 bits in 16; elements overwrite or, as None, remove."""
    bits = {"BitsStored": 12, "HighBit": 11}
    return dicom_bytes(pixels.astype(np.uint16) << 4, syntax=syntax, **bits | elements)


def picture(pixels: np.ndarray, form: str) -> bytes:
    if form == "dcm":
        return dicom(pixels)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format={"jpg": "JPEG", "png": "PNG"}[form])
    return stream.getvalue()


GOOD = {form: picture(grey(), form) for form in (*DICOM, *PICTURES)}


@dataclass
class Case:
    """A changed film.

    Attributes:
        data: its bytes; None leaves it out.
        reasons: patterns of why it is rejected, one of which must fit; empty where it must give a picture.
        or_picture: whether it may give a picture all the same.
        place: how it comes to its place: as a file, a folder, or a link to a file outside.
    """

    data: bytes | None
    reasons: tuple[str, ...] = ()
    or_picture: bool = False
    place: str = "file"


@dataclass
class Given:
    """Hypothesis' choices."""

    data: st.DataObject

    def pick(self, *choices):
        return self.data.draw(st.sampled_from(choices))

    def number(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, high))

    def form(self) -> str:
        return self.pick(*GOOD)


def form_of_storage(given: Given) -> Case:
    """What must not matter: the syntax, a byte of padding, what follows the pixels."""
    plain = dicom(grey(), syntax=given.pick(ExplicitVRLittleEndian, ImplicitVRLittleEndian))
    return Case(given.pick(plain, GOOD["jpg"] + b"\0" * 9, GOOD["png"] + b"more"))


def no_pixel_data(given: Given) -> Case:
    return Case(dicom(grey(), PixelData=None), ("no pixel data",))


def header_that_promises_more(given: Given) -> Case:
    more = given.pick({"Rows": HEIGHT + 1}, {"Columns": WIDTH + 3}, {"Rows": 4000, "Columns": 3000})
    return Case(dicom(grey(), **more), ("pixel data is damaged or cut off",))


def header_that_promises_less(given: Given) -> Case:
    """Read by its header, the film would be cut into rows in the wrong places."""
    less = given.pick({"Rows": HEIGHT - 1}, {"Columns": WIDTH - 2}, {"Rows": HEIGHT // 2}, {"Columns": WIDTH // 2})
    return Case(dicom(grey(), **less), ("pixel data is not of the size that the header says",))


def header_without_a_size(given: Given) -> Case:
    elements = given.pick({"Rows": None}, {"Columns": None}, {"Rows": 0}, {"Rows": None, "Columns": None})
    return Case(dicom(grey(), **elements), ("no image size in the header",))


def colours_and_frames(given: Given) -> Case:
    elements, reason = given.pick(
        ({"PhotometricInterpretation": "RGB"}, "not a grey image"),
        ({"PhotometricInterpretation": None}, "not a grey image"),
        ({"SamplesPerPixel": 3}, "not a grey image"),
        ({"NumberOfFrames": 2, "Rows": HEIGHT // 2}, "more than one frame"),
    )
    return Case(dicom(grey(), **elements), (reason,))


def bomb(given: Given) -> Case:
    """A header of gigapixels over a few bytes: refused by what it says."""
    side = given.pick(20_000, 60_000)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">2L5B", side, side, 8, 0, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1 << 16))) + chunk(b"IEND", b"")
    at = GOOD["jpg"].index(b"\xff\xc0") + 5
    jpeg = GOOD["jpg"][:at] + struct.pack(">2H", side, side) + GOOD["jpg"][at + 4 :]
    return Case(given.pick(png, jpeg, dicom(grey(), Rows=side, Columns=side)), ("more than 100000000 pixels",))


def one_pixel(given: Given) -> Case:
    height, width = given.pick((1, 1), (1, WIDTH), (HEIGHT, 1), (7, 7))
    return Case(picture(grey(height, width), given.form()), ("smaller than 8 pixels",))


def one_grey_level(given: Given) -> Case:
    return Case(picture(np.full((HEIGHT, WIDTH), given.pick(0, 100, 255), np.uint8), given.form()), ("constant image",))


def cut_off(given: Given) -> Case:
    data = GOOD[given.form()]
    return Case(data[: given.number(0, len(data) * 9 // 10)], NO_PICTURE)


def wrong_bytes(given: Given) -> Case:
    data = bytearray(GOOD[given.form()])
    for _ in range(given.number(1, 5)):
        data[given.number(0, len(data) - 1)] = given.number(0, 255)
    return Case(bytes(data), NO_PICTURE, or_picture=True)


def something_else(given: Given) -> Case:
    data = given.pick(b"", b"FINAL REPORT", b"GIF89a" + b"\0" * 200, b"\0" * 200, b"BM" + b"\0" * 200, b"II*\0" * 50)
    return Case(data, (NOT_A_FILM,))


def nothing_there(given: Given) -> Case:
    return Case(None, ("file is missing or cannot be read",))


def folder(given: Given) -> Case:
    return Case(b"", ("not a file",), place="folder")


def link_out_of_the_root(given: Given) -> Case:
    return Case(GOOD[given.form()], ("a link that leaves the root",), place="link")


KINDS = (
    *(form_of_storage, no_pixel_data, header_that_promises_more, header_that_promises_less, header_without_a_size),
    *(colours_and_frames, bomb, one_pixel, one_grey_level, cut_off, wrong_bytes, something_else, nothing_there),
    *(folder, link_out_of_the_root),
)
MANY = {cut_off: 40, wrong_bytes: 60}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_film(kind, tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(
        max_examples=MANY.get(kind, EXAMPLES),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def mutated(data: st.DataObject) -> None:
        check(kind(Given(data)), tmp_path_factory.mktemp("film"), Given(data))

    mutated()


def check(case: Case, folder: Path, choices: Given) -> None:
    root = folder / "root"
    root.mkdir()
    put(case, root / "changed.dcm")
    (root / "other.dcm").write_bytes(GOOD["dcm"])
    rows = decode_images(
        pl.DataFrame({"dicom_id": ["changed", "other"], "path": ["changed.dcm", "other.dcm"]}),
        root=root,
        store=ImageStore(folder / "store"),
        size=SIZE,
        rendering=choices.pick("mimic_cxr_jpg", "voi", "percentile"),
        mode=choices.pick("exact", "fast"),
    )
    changed, other = rows.rows(named=True)
    assert other["_rejected"] is None
    assert (other["height_pixels"], other["width_pixels"]) == (HEIGHT, WIDTH)
    reason = changed["_rejected"]
    if reason is None:
        assert case.or_picture or not case.reasons
        assert ImageStore(folder / "store").read([changed["pixel_sha256"]]).shape == (1, SIZE, SIZE)
    else:
        assert any(re.fullmatch(f"path: {pattern}", reason) for pattern in case.reasons), reason
        assert changed["pixel_sha256"] is None


def put(case: Case, path: Path) -> None:
    if case.data is None:
        return
    if case.place == "folder":
        path.mkdir()
        return
    file = path.parent.parent / "outside" if case.place == "link" else path
    file.write_bytes(case.data)
    if case.place == "link":
        path.symlink_to(file)
