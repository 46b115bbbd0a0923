"""DICOM films as JPG files: the picture that training would have cut its square from, each made once."""

import numpy as np
import pytest
from PIL import Image

from pipelines.features.film_pictures import write_pictures
from pipelines.features.rendering import ImageError, render_dicom, render_whole
from pipelines.features.resizing import resize_exact
from tests.features.dicom_film import film, write_dicom

RENDERINGS = ("mimic_cxr_jpg", "voi", "percentile")


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("rendering", RENDERINGS)
def test_the_square_of_the_whole_picture_is_the_square_that_training_reads(tmp_path, rendering, photometric):
    path = write_dicom(tmp_path / "x.dcm", film(120, 90), photometric=photometric)
    whole = render_whole(path, rendering=rendering)
    assert (whole.shape, whole.dtype) == ((120, 90), np.uint8)
    assert np.array_equal(resize_exact(whole, 64), render_dicom(path, size=64, rendering=rendering))


def test_pictures_lie_under_the_names_of_their_films_and_are_made_once(tmp_path):
    names = ["files/p10/a.dcm", "files/p11/b.dcm"]
    for number, name in enumerate(names):
        (tmp_path / "raw" / name).parent.mkdir(parents=True)
        write_dicom(tmp_path / "raw" / name, film(120, 90, seed=number))
    asked = {"root": tmp_path / "raw", "folder": tmp_path / "made", "rendering": "mimic_cxr_jpg"}
    assert write_pictures(names[:1], **asked) == 0
    first = tmp_path / "made" / "files" / "p10" / "a.jpg"
    with Image.open(first) as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "L", (90, 120))
        apart = np.asarray(picture).astype(int) - render_whole(tmp_path / "raw" / names[0])
    assert np.abs(apart).mean() < 3
    first.write_bytes(b"kept")
    assert write_pictures(names, num_threads=2, **asked) == 0
    assert first.read_bytes() == b"kept" and (tmp_path / "made" / "files" / "p11" / "b.jpg").is_file()
    assert sorted(path.suffix for path in (tmp_path / "made").rglob("*.*")) == [".jpg", ".jpg"]


def test_films_without_a_picture_are_counted_and_named_nowhere(tmp_path):
    (tmp_path / "raw").mkdir()
    write_dicom(tmp_path / "raw" / "one.dcm", np.full((40, 40), 7, dtype=np.uint16))
    (tmp_path / "raw" / "two.dcm").write_bytes(b"no film")
    names, said = ["one.dcm", "two.dcm", "three.dcm", "../outside.dcm"], []
    asked = {"root": tmp_path / "raw", "folder": tmp_path / "made", "rendering": "mimic_cxr_jpg"}
    assert write_pictures(names, log=said.append, **asked) == 4
    assert said == ["4 of 4 films could not be rendered as pictures; cxr_images lists why"]
    assert not list(tmp_path.rglob("*.jpg"))


def test_a_picture_is_no_dicom_file(tmp_path):
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(tmp_path / "x.png")
    with pytest.raises(ImageError, match="not a DICOM file"):
        render_whole(tmp_path / "x.png")
