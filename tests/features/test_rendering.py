"""DICOM files are written here and rendered; the reference is the formula, or open_clip's own resize."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from pipelines.features.rendering import ImageError, read_image, render_dicom
from pipelines.features.resizing import resize_exact
from tests.features.dicom_film import film, write_dicom


def mimic_cxr_jpg(values, *, inverted=False):
    """The reference rendering, straight from its definition."""
    grey = (values.astype(np.float64) - values.min()) / (values.max() - values.min())
    grey = (grey * 255).astype(np.uint8)
    if inverted:
        grey = 255 - grey
    counts = np.bincount(grey.ravel(), minlength=256)
    first = np.flatnonzero(counts)[0]
    table = np.cumsum(counts) - counts[first]
    return np.round(table / (grey.size - counts[first]) * 255).clip(0).astype(np.uint8)[grey]


def decibels(left, right):
    return 10 * np.log10(255**2 / np.mean((left.astype(float) - right) ** 2))


@pytest.mark.parametrize("inverted", [False, True])
def test_rendering_is_that_of_mimic_cxr_jpg(tmp_path, inverted):
    values = film()
    photometric = "MONOCHROME1" if inverted else "MONOCHROME2"
    path = write_dicom(tmp_path / "x.dcm", values, photometric=photometric)
    expected = resize_exact(mimic_cxr_jpg(values, inverted=inverted), 224)
    assert np.abs(render_dicom(path).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [(300, 260), (260, 300), (224, 500), (100, 80), (224, 224), (451, 449)])
def test_resize_is_that_of_open_clip(size):
    from open_clip.transform import image_transform

    grey = mimic_cxr_jpg(film(*size))
    transform = image_transform(224, is_train=False, mean=(0, 0, 0), std=(1, 1, 1))
    theirs = (transform(Image.fromarray(grey)) * 255).round().numpy().astype(np.uint8)
    assert np.array_equal(np.stack([resize_exact(grey, 224)] * 3), theirs)


@pytest.mark.parametrize("rendering", ["mimic_cxr_jpg", "voi", "percentile"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("size", [(1100, 1000), (950, 1211)])
def test_fast_is_within_44_decibels_of_exact(tmp_path, rendering, photometric, size):
    path = write_dicom(tmp_path / "x.dcm", film(*size), photometric=photometric)
    exact, fast = (render_dicom(path, rendering=rendering, mode=mode) for mode in ("exact", "fast"))
    assert decibels(exact, fast) >= 44


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("inverted", [False, True])
def test_equalisation_is_opencv_s_to_the_bit(tmp_path, seed, inverted):
    import cv2

    values = np.random.default_rng(seed).gamma(2, 300, (224, 224)).astype(np.uint16)
    path = write_dicom(tmp_path / "x.dcm", values, photometric="MONOCHROME1" if inverted else "MONOCHROME2")
    grey = values.astype(np.float64) - values.min()
    grey = (grey / grey.max() * 255).astype(np.uint8)
    assert np.array_equal(render_dicom(path), cv2.equalizeHist(255 - grey if inverted else grey))


def test_the_percentile_window_is_numpy_s(tmp_path):
    values = np.random.default_rng(0).normal(0, 3000, (300, 260)).clip(-32768, 32767).astype(np.int16)
    low, high = np.percentile(values, [0.5, 99.5])
    grey = (np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    shown = render_dicom(write_dicom(tmp_path / "x.dcm", values), rendering="percentile")
    assert np.array_equal(shown, resize_exact(grey, 224))
    negative = write_dicom(tmp_path / "y.dcm", values, photometric="MONOCHROME1")
    assert np.array_equal(render_dicom(negative, rendering="percentile"), resize_exact(255 - grey, 224))


@pytest.mark.parametrize("mode", ["exact", "fast"])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_the_transfer_syntax_does_not_show(tmp_path, syntax, mode):
    values = film(64, 50)
    plain = render_dicom(write_dicom(tmp_path / "plain.dcm", values), size=32, mode=mode)
    assert np.array_equal(
        render_dicom(write_dicom(tmp_path / "x.dcm", values, syntax=syntax), size=32, mode=mode), plain
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int8])
def test_small_and_signed_values_render_as_their_range(tmp_path, dtype):
    values = np.arange(-60, 60).reshape(10, 12)
    shifted = values - values.min() if dtype == np.uint8 else values
    path = write_dicom(tmp_path / "x.dcm", shifted.astype(dtype))
    expected = resize_exact(mimic_cxr_jpg(values), 10)
    assert np.array_equal(render_dicom(path, size=10), expected)


@pytest.mark.parametrize("rendering", ["mimic_cxr_jpg", "voi", "percentile"])
@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_an_image_of_one_value_is_no_picture(tmp_path, rendering, mode):
    path = write_dicom(tmp_path / "x.dcm", np.full((40, 30), 777, np.uint16))
    with pytest.raises(ImageError, match="constant image"):
        render_dicom(path, size=16, rendering=rendering, mode=mode)


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (300, 7)])
def test_an_image_smaller_than_any_film_is_refused(tmp_path, size):
    path = write_dicom(tmp_path / "x.dcm", film(*size))
    with pytest.raises(ImageError, match="smaller than 8 pixels"):
        render_dicom(path)
    with pytest.raises(ImageError, match="smaller than 8 pixels"):
        read_image(tmp_path / "x.png", picture_bytes(np.zeros(size, np.uint8), "PNG"))


def test_voi_applies_the_window_then_inverts(tmp_path):
    values = np.tile(np.arange(0, 4000, 100, dtype=np.uint16), (40, 1))
    window = {"WindowCenter": 2000, "WindowWidth": 1000}
    shown = render_dicom(write_dicom(tmp_path / "a.dcm", values, **window), size=40, rendering="voi")
    assert shown[0, 15] == 0
    assert shown[0, 25] == 255
    assert 0 < shown[0, 20] < 255
    negative = write_dicom(tmp_path / "b.dcm", values, photometric="MONOCHROME1", **window)
    assert np.array_equal(render_dicom(negative, size=40, rendering="voi"), 255 - shown)


def test_voi_applies_lookup_tables(tmp_path):
    table = Dataset()
    table.LUTDescriptor = [4, 0, 16]
    table.LUTData = np.array([0, 65535, 0, 65535], dtype="<u2").tobytes()
    table["LUTData"].VR = "OW"
    values = np.tile(np.repeat(np.arange(4, dtype=np.uint16), 2), (8, 1))
    path = write_dicom(tmp_path / "x.dcm", values, VOILUTSequence=Sequence([table]))
    assert render_dicom(path, size=8, rendering="voi")[0].tolist() == [0, 0, 255, 255, 0, 0, 255, 255]


def broken(path, kind):
    values = film(40, 30)
    if kind == "not a DICOM file":
        path.write_bytes(b"report" * 40)
    elif kind == "no pixel data":
        write_dicom(path, values, PixelData=None)
    elif kind == "no image size in the header":
        write_dicom(path, values, Rows=None)
    elif kind == "pixel data is damaged or cut off":
        write_dicom(path, values, PixelData=values.tobytes()[:1000])
    elif kind == "not a grey image":
        write_dicom(path, values, photometric="RGB")
    elif kind == "more than one frame":
        write_dicom(path, values, Rows=20, NumberOfFrames=2)
    elif kind == "transfer syntax cannot be decoded here":
        write_dicom(path, values, syntax=DeflatedExplicitVRLittleEndian)
    return path


@pytest.mark.parametrize(
    "reason",
    [
        "not a DICOM file",
        "no pixel data",
        "no image size in the header",
        "pixel data is damaged or cut off",
        "not a grey image",
        "more than one frame",
        "transfer syntax cannot be decoded here",
    ],
)
@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_a_file_without_picture_says_why(tmp_path, reason, mode):
    path = broken(tmp_path / "x.dcm", reason)
    with pytest.raises(ImageError, match=r"x\.dcm") as error:
        render_dicom(path, size=16, mode=mode)
    assert error.value.reason == reason


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory):
    return write_dicom(tmp_path_factory.mktemp("dicom") / "x.dcm", film(40, 30)).read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.95])
def test_a_file_cut_off_anywhere_is_an_image_error(whole_file, share):
    with pytest.raises(ImageError):
        read_image(Path("x.dcm"), whole_file[: int(len(whole_file) * share)], size=16)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places=st.lists(st.tuples(st.integers(128, 900), st.integers(0, 255)), min_size=1, max_size=6),
    rendering=st.sampled_from(["mimic_cxr_jpg", "voi"]),
)
def test_a_file_with_wrong_bytes_gives_a_picture_or_an_image_error(whole_file, places, rendering):
    content = bytearray(whole_file)
    for place, value in places:
        content[place] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = read_image(Path("x.dcm"), bytes(content), size=16, rendering=rendering)
        except ImageError as error:
            assert error.reason
        else:
            assert picture.pixels.shape == (16, 16)


def test_an_image_beyond_the_limit_is_refused_before_it_is_decoded(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", film(40, 30), Rows=60000, Columns=60000)
    with pytest.raises(ImageError, match="more than 100000000 pixels"):
        render_dicom(path)
    with pytest.raises(ImageError, match="more than 1199 pixels"):
        render_dicom(write_dicom(tmp_path / "y.dcm", film(40, 30)), max_pixels=1199)


def picture_bytes(grey, kind, **how):
    content = io.BytesIO()
    Image.fromarray(grey).save(content, format=kind, **how)
    return content.getvalue()


def test_a_png_is_resized_alike(tmp_path):
    grey = mimic_cxr_jpg(film())
    picture = read_image(tmp_path / "x.png", picture_bytes(grey, "PNG"))
    assert np.array_equal(picture.pixels, resize_exact(grey, 224))
    assert (picture.photometric, picture.height_pixels, picture.width_pixels) == ("L", 300, 260)


def test_a_fast_jpeg_is_close_to_the_exact_one(tmp_path):
    content = picture_bytes(mimic_cxr_jpg(film(1100, 1000)), "JPEG", quality=95)
    exact, fast = (read_image(tmp_path / "x.jpg", content, mode=mode) for mode in ("exact", "fast"))
    assert decibels(exact.pixels, fast.pixels) >= 48
    assert (fast.height_pixels, fast.width_pixels) == (1100, 1000)


def test_damaged_pictures_say_why(tmp_path):
    whole = picture_bytes(film(40, 30).astype(np.uint8), "PNG")
    with pytest.raises(ImageError, match="neither a DICOM, a JPEG nor a PNG file"):
        read_image(tmp_path / "x.png", b"no picture")
    with pytest.raises(ImageError, match="damaged or cut off"):
        read_image(tmp_path / "x.png", whole[: len(whole) // 2])
    with pytest.raises(ImageError, match="more than 9 pixels"):
        read_image(tmp_path / "x.png", whole, max_pixels=9)


@pytest.mark.parametrize("name", ["x.dcm", "x.jpg", "x", "x.txt"])
def test_the_content_says_what_a_file_is_not_its_name(tmp_path, name):
    grey = mimic_cxr_jpg(film(40, 30))
    assert np.array_equal(
        read_image(tmp_path / name, picture_bytes(grey, "PNG"), size=16).pixels, resize_exact(grey, 16)
    )
    dicom = write_dicom(tmp_path / name, film(40, 30)).read_bytes()
    assert read_image(tmp_path / name, dicom, size=16).photometric == "MONOCHROME2"
    with pytest.raises(ImageError, match="neither a DICOM"):
        read_image(tmp_path / name, picture_bytes(grey, "GIF"))


def test_the_upper_eight_of_sixteen_bits_are_kept(tmp_path):
    values = film(40, 30) * 16
    picture = read_image(tmp_path / "x.png", picture_bytes(values, "PNG"), size=30)
    assert np.array_equal(picture.pixels, resize_exact((values >> 8).astype(np.uint8), 30))


def test_the_header_of_a_long_file_may_be_longer_than_what_is_read_first(tmp_path, monkeypatch):
    values = film(64, 50)
    path = write_dicom(tmp_path / "x.dcm", values, ImageComments="x" * 3000)
    whole = render_dicom(path, size=32)
    monkeypatch.setattr("pipelines.features.dicom_files.HEAD_BYTES", 1024)
    assert np.array_equal(render_dicom(path, size=32), whole)


def test_a_large_file_is_read_alike(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "x.dcm", film(64, 50))
    whole = render_dicom(path, size=32)
    monkeypatch.setattr("pipelines.features.image_files.MAPPED_BYTES", 1000)
    assert np.array_equal(render_dicom(path, size=32), whole)


def test_unknown_settings_are_named(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", film(40, 30))
    with pytest.raises(ValueError, match="rendering 'raw'"):
        render_dicom(path, rendering="raw")
    with pytest.raises(ValueError, match="mode 'slow'"):
        render_dicom(path, mode="slow")
