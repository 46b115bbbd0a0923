"""Compressed transfer syntaxes: what is encoded here, or lies with pydicom, gives the pixels that went in."""

import io
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from pipelines.features.codestreams import codestream_size
from pipelines.features.rendering import ImageError, render_dicom


def dicom(values):
    """Return an uncompressed DICOM image of unsigned values."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = "2.25.1"
    image.Rows, image.Columns = values.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 8 * values.dtype.itemsize
    image.HighBit, image.PixelRepresentation = image.BitsStored - 1, 0
    image.PixelData = values.tobytes()
    image["PixelData"].VR = "OW"
    return image


def encapsulated(path, values, stream, syntax):
    """Write a DICOM file around a compressed stream."""
    image = dicom(values)
    image.file_meta.TransferSyntaxUID = syntax
    image.PixelData = encapsulate([stream])
    image["PixelData"].is_undefined_length = True
    image.save_as(path, enforce_file_format=True)
    return path


def film(height=72, width=64, dtype=np.uint16):
    values = np.random.default_rng(0).normal(1, 0.02, (height, width)) * np.linspace(200, 3500, width)
    return values.clip(0, 4095).astype(dtype) if dtype == np.uint16 else (values / 16).clip(0, 255).astype(dtype)


def jpeg_lossless(values):
    """Encode values as lossless JPEG: process 14, the left neighbour predicts; every category's code has five bits."""
    height, width = values.shape
    table = b"\0" + bytes([0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17))
    head = b"\xff\xd8" + b"\xff\xc3" + struct.pack(">HBHHB3B", 11, 16, height, width, 1, 1, 0x11, 0)
    head += b"\xff\xc4" + struct.pack(">H", 2 + len(table)) + table
    head += b"\xff\xda" + struct.pack(">HB2B3B", 8, 1, 1, 0, 1, 0, 0)
    bits = []
    for y in range(height):
        for x in range(width):
            predicted = int(values[y, x - 1]) if x else int(values[y - 1, 0]) if y else 1 << 15
            difference = (int(values[y, x]) - predicted + (1 << 15)) % (1 << 16) - (1 << 15)
            size = abs(difference).bit_length()
            bits.append(f"{size:05b}")
            if size and size < 16:
                bits.append(f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    data = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    return head + data + b"\xff\xd9"


@pytest.fixture
def plain(tmp_path):
    """The uncompressed film and its picture."""
    dicom(film()).save_as(tmp_path / "plain.dcm", enforce_file_format=True)
    return render_dicom(tmp_path / "plain.dcm", size=32)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_lossless_syntaxes_give_the_same_picture(tmp_path, plain, syntax, mode):
    image = dicom(film())
    image.compress(syntax)
    image.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    assert np.array_equal(render_dicom(tmp_path / "x.dcm", size=32, mode=mode), plain)


def test_lossless_jpeg_gives_the_same_picture(tmp_path, plain):
    path = encapsulated(tmp_path / "x.dcm", film(), jpeg_lossless(film()), JPEGLosslessSV1)
    assert np.array_equal(render_dicom(path, size=32), plain)


def test_jpeg_ls_gives_the_same_picture_as_run_lengths():
    pictures = [
        render_dicom(Path(get_testdata_file(name, download=False)), size=32)
        for name in ("MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm")
    ]
    assert dcmread(get_testdata_file("MR_small_jpeg_ls_lossless.dcm", download=False)).file_meta.TransferSyntaxUID == (
        JPEGLSLossless
    )
    assert np.array_equal(pictures[0], pictures[1])
    assert np.array_equal(pictures[0], pictures[2])


def jpeg(values):
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, format="JPEG", quality=95)
    return stream.getvalue()


def test_baseline_jpeg_is_decoded(tmp_path):
    values = film(dtype=np.uint8)
    path = encapsulated(tmp_path / "x.dcm", values, jpeg(values), JPEGBaseline8Bit)
    dicom(values).save_as(tmp_path / "plain.dcm", enforce_file_format=True)
    difference = render_dicom(path, size=30).astype(int) - render_dicom(tmp_path / "plain.dcm", size=30)
    assert np.abs(difference).mean() < 4


def j2k(values):
    image = dicom(values)
    image.compress(JPEG2000Lossless)
    from pydicom.encaps import generate_frames

    return next(generate_frames(image.PixelData, number_of_frames=1))


@pytest.mark.parametrize("make", [j2k, jpeg_lossless])
def test_the_stream_s_own_size_is_read(make):
    assert codestream_size(make(film())) == (72, 64)


def test_the_size_of_other_streams():
    assert codestream_size(jpeg(film(dtype=np.uint8))) == (72, 64)
    assert codestream_size(b"\0" * 64) is None
    assert codestream_size(b"\xff\xd8\xff") is None
    assert codestream_size(b"\xff\x4f\xff\x51") is None


def test_a_header_that_promises_less_than_the_stream_holds_is_refused_before_decoding(tmp_path, monkeypatch):
    stream = bytearray(j2k(film()))
    struct.pack_into(">2L", stream, 8, 60_000, 60_000)
    path = encapsulated(tmp_path / "x.dcm", film(), bytes(stream), JPEG2000Lossless)

    def decode(dataset):
        raise AssertionError("decoded")

    monkeypatch.setattr(Dataset, "pixel_array", property(decode))
    with pytest.raises(ImageError, match="not of the size that the header says"):
        render_dicom(path)


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_a_stream_cut_off_is_an_image_error(tmp_path, syntax, share):
    image = dicom(film())
    image.compress(syntax)
    image.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    whole = (tmp_path / "x.dcm").read_bytes()
    pixels = whole.index(b"\xe0\x7f\x10\0")
    (tmp_path / "x.dcm").write_bytes(whole[: pixels + int((len(whole) - pixels) * share)])
    with pytest.raises(ImageError, match=r"damaged or cut off|size that the header says"):
        render_dicom(tmp_path / "x.dcm", size=32)


WITHOUT_LIBJPEG = """
import importlib.metadata, json, sys
from pathlib import Path
sys.modules["libjpeg"] = None
installed = importlib.metadata.entry_points
importlib.metadata.entry_points = lambda **asked: [
    point for point in installed(**asked) if not point.value.startswith("libjpeg")
]
import polars as pl
from pipelines.features.image_store import ImageStore
from pipelines.features.images import decode_images
root = Path(sys.argv[1])
films = pl.DataFrame({"dicom_id": sys.argv[2:], "path": sys.argv[2:]})
rows = decode_images(films, root=root, store=ImageStore(root / "store"), size=16)
print(json.dumps(rows["_rejected"].to_list()))
"""


def test_without_its_optional_decoder_a_film_is_rejected_with_what_to_install(tmp_path):
    """In a process of its own: pydicom looks for its decoders once, when it is imported."""
    encapsulated(tmp_path / "lossless.dcm", film(), jpeg_lossless(film()), JPEGLosslessSV1)
    for name, file in (("ls.dcm", "MR_small_jpeg_ls_lossless.dcm"), ("extended.dcm", "JPEG-lossy.dcm")):
        shutil.copy(get_testdata_file(file, download=False), tmp_path / name)
    assert dcmread(tmp_path / "extended.dcm").file_meta.TransferSyntaxUID == JPEGExtended12Bit
    values = film(dtype=np.uint8)
    encapsulated(tmp_path / "baseline.dcm", values, jpeg(values), JPEGBaseline8Bit)
    dicom(film()).save_as(tmp_path / "plain.dcm", enforce_file_format=True)
    names = ["lossless.dcm", "ls.dcm", "extended.dcm", "baseline.dcm", "plain.dcm"]
    command = [sys.executable, "-c", WITHOUT_LIBJPEG, str(tmp_path), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    needed = "path: transfer syntax needs a package that is not installed: pip install pylibjpeg-libjpeg (GPL-3.0)"
    assert json.loads(done.stdout) == [needed, needed, needed, None, None]
