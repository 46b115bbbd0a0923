import numpy as np
import polars as pl
import pytest
from PIL import Image

from data_contracts.features import CxrImages
from pipelines.features.image_store import ImageStore
from pipelines.features.images import decode_images


@pytest.fixture
def films(tmp_path):
    """Four pictures, the last equal to the first, one damaged file and one that is not there."""
    names = ["a.png", "b.png", "damaged.png", "absent.png", "c.png", "again.png"]
    for k, name in enumerate(names):
        pixels = np.random.default_rng(k if name != "again.png" else 0).integers(0, 255, (20, 24), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "damaged.png").write_bytes(b"no picture")
    (tmp_path / "absent.png").unlink()
    return pl.DataFrame(
        {
            "dicom_id": [f"{k:08x}-00000000-00000000-00000000-00000000" for k in range(len(names))],
            "subject_id": range(1, 7),
            "study_id": range(11, 17),
            "path": names,
        }
    )


def decode(films, tmp_path, store, **how):
    return decode_images(films, root=tmp_path, store=store, size=8, **how)


def test_every_film_has_a_row_and_every_picture_its_pixels(tmp_path, films):
    store = ImageStore(tmp_path / "store")
    rows = decode(films, tmp_path, store)
    assert rows["dicom_id"].to_list() == films["dicom_id"].to_list()
    assert rows["_rejected"].to_list() == [
        None,
        None,
        "path: not an image file",
        "path: file is missing or cannot be read",
        None,
        None,
    ]
    good = rows.filter(pl.col("_rejected").is_null()).drop("_rejected")
    assert CxrImages.filter(good, cast=True)[1].counts() == {}
    assert good["pixel_sha256"][0] == good["pixel_sha256"][3]
    assert len(store) == 3
    assert store.read(good["pixel_sha256"]).mean(axis=(1, 2)).tolist() == good["mean_intensity"].to_list()
    assert good.select("photometric", "height_pixels", "width_pixels").unique().rows() == [("L", 20, 24)]


def test_decoding_again_writes_nothing_and_gives_the_same(tmp_path, films):
    store = ImageStore(tmp_path / "store")
    first = decode(films, tmp_path, store)
    files = {path: path.stat().st_mtime_ns for path in (store.folder / "shards").iterdir()}
    assert decode(films, tmp_path, store).equals(first)
    assert {path: path.stat().st_mtime_ns for path in (store.folder / "shards").iterdir()} == files


def test_a_known_file_is_not_decoded_again(tmp_path, films, monkeypatch):
    store = ImageStore(tmp_path / "store")
    first = decode(films, tmp_path, store)
    known = first.filter(pl.col("_rejected").is_null()).drop("_rejected")
    decoded = []

    def counted(path, content, **how):
        decoded.append(path.name)
        raise AssertionError

    monkeypatch.setattr("pipelines.features.images.read_image", counted)
    good = films.filter(~pl.col("path").is_in(["damaged.png"]))
    again = decode(good, tmp_path, store, known=known)
    assert again.equals(first.filter(first["dicom_id"].is_in(good["dicom_id"].implode())))
    assert decoded == []


def test_a_known_file_is_decoded_if_the_store_lost_its_pixels(tmp_path, films):
    first = decode(films, tmp_path, ImageStore(tmp_path / "store"))
    known = first.filter(pl.col("_rejected").is_null()).drop("_rejected")
    empty = ImageStore(tmp_path / "other")
    assert decode(films, tmp_path, empty, known=known).equals(first)
    assert len(empty) == 3


def test_two_processes_give_what_one_gives(tmp_path, films):
    many = pl.concat([films] * 3)
    one, two = ImageStore(tmp_path / "one", images_per_shard=2), ImageStore(tmp_path / "two", images_per_shard=2)
    assert decode(many, tmp_path, one).equals(decode(many, tmp_path, two, num_processes=2))
    assert one.locate(one.digests()).equals(two.locate(two.digests()))


def test_progress_is_told(tmp_path, films, monkeypatch):
    monkeypatch.setattr("pipelines.features.images.LOG_EVERY", 4)
    lines = []
    decode(films, tmp_path, ImageStore(tmp_path / "store"), log=lines.append)
    assert lines == ["decoded 4 of 6 images"]


def test_no_film_gives_no_row(tmp_path, films):
    rows = decode(films.clear(), tmp_path, ImageStore(tmp_path / "store"))
    assert rows.is_empty()
    assert set(CxrImages.column_names()) <= set(rows.columns)
