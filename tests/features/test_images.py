import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from data_contracts.features import CxrImages
from lake.files import locked_if_free
from pipelines.features import images
from pipelines.features.film_journal import SCHEMA, FilmJournal, stat_films
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
            "source": "cxr",
            "record_id": [f"{k:08x}-00000000-00000000-00000000-00000000" for k in range(len(names))],
            "subject_id": range(1, 7),
            "study_id": range(11, 17),
            "path": names,
        }
    )


def decode(films, tmp_path, store, **how):
    return decode_images(films, root=tmp_path, store=store, size=8, **how)


def refuse(*args, **how):
    raise AssertionError("read or decoded again")


def test_every_film_has_a_row_and_every_picture_its_pixels(tmp_path, films):
    store = ImageStore(tmp_path / "store")
    rows = decode(films, tmp_path, store)
    assert rows["record_id"].to_list() == films["record_id"].to_list()
    assert rows["_rejected"].to_list() == [
        None,
        None,
        "path: neither a DICOM, a JPEG nor a PNG file",
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
    monkeypatch.setattr("pipelines.features.images.read_image", refuse)
    good = films.filter(~pl.col("path").is_in(["damaged.png"]))
    again = decode(good, tmp_path, store, known=known)
    assert again.equals(first.filter(first["record_id"].is_in(good["record_id"].implode())))


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
    (line,) = lines
    assert line.startswith("decoded 4 of 5 images (1 unchanged, 1 rejected), ")
    assert line.endswith(" minutes left")


@pytest.fixture
def settled(tmp_path, films):
    """The films, their files older than the clock's tick."""
    for path in tmp_path.glob("*.png"):
        os.utime(path, ns=(10**18, 10**18))
    return films


@pytest.fixture
def journal(tmp_path):
    return FilmJournal(tmp_path / "journal")


def test_an_unchanged_film_is_not_even_read(tmp_path, settled, journal, monkeypatch):
    store = ImageStore(tmp_path / "store")
    first = decode(settled, tmp_path, store, journal=journal)
    monkeypatch.setattr("pipelines.features.images.read_content", refuse)
    good = settled.filter(first["_rejected"].is_null())
    again = decode(good, tmp_path, store, journal=FilmJournal(journal.folder))
    assert again.equals(first.filter(first["_rejected"].is_null()))


def test_a_changed_film_alone_is_decoded(tmp_path, settled, journal, monkeypatch):
    store = ImageStore(tmp_path / "store")
    first = decode(settled, tmp_path, store, journal=journal)
    Image.fromarray(np.random.default_rng(99).integers(0, 255, (20, 24), dtype=np.uint8)).save(tmp_path / "b.png")
    read = []
    monkeypatch.setattr(
        "pipelines.features.images.read_content", lambda path: read.append(path.name) or path.read_bytes()
    )
    second = decode(settled, tmp_path, store, journal=journal)
    assert read == ["b.png", "damaged.png"]
    same = first["pixel_sha256"].eq_missing(second["pixel_sha256"])
    assert same.to_list() == [True, False, True, True, True, True]


def test_a_touched_film_is_read_but_not_decoded_and_counts_as_before(tmp_path, settled, journal, monkeypatch):
    store = ImageStore(tmp_path / "store")
    paths = settled["path"].to_list()
    never_read = journal.listing(tmp_path, stat_films(tmp_path, paths))
    first = decode(settled, tmp_path, store, journal=journal)
    assert journal.listing(tmp_path, stat_films(tmp_path, paths)) == never_read
    assert "a.png " + str((tmp_path / "a.png").stat().st_size) + f" {10**18}" in never_read
    assert "absent.png None None" in never_read
    os.utime(tmp_path / "a.png", ns=(10**18, 10**18 + 5))
    good = settled.filter(pl.col("path").is_in(["a.png", "b.png"]))
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.features.images.read_image", refuse)
        assert decode(good, tmp_path, store, journal=FilmJournal(journal.folder)).equals(first.head(2))


def test_a_touched_film_with_the_same_bytes_leaves_the_version_alone(tmp_path, settled, journal, monkeypatch):
    paths = settled["path"].to_list()
    decode(settled, tmp_path, ImageStore(tmp_path / "store"), journal=journal)
    before = journal.listing(tmp_path, stat_films(tmp_path, paths))
    os.utime(tmp_path / "a.png", ns=(10**18, 10**18 + 5))
    assert journal.listing(tmp_path, stat_films(tmp_path, paths)) == before
    monkeypatch.setattr("pipelines.features.film_journal.sha256_file", refuse)
    assert journal.listing(tmp_path, stat_films(tmp_path, paths)) == before
    os.utime(tmp_path / "a.png", ns=(10**18, 10**18 + 7))
    monkeypatch.setattr("pipelines.features.film_journal.MOST_TOUCHED", 0)
    assert journal.listing(tmp_path, stat_films(tmp_path, paths)) != before


def test_other_bytes_of_the_same_size_change_the_version(tmp_path, settled, journal):
    paths = settled["path"].to_list()
    decode(settled, tmp_path, ImageStore(tmp_path / "store"), journal=journal)
    before = journal.listing(tmp_path, stat_films(tmp_path, paths))
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[-1] ^= 1
    (tmp_path / "a.png").write_bytes(bytes(content))
    after = journal.listing(tmp_path, stat_films(tmp_path, paths))
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, *[True] * 5]


def test_a_file_as_new_as_the_clock_is_not_remembered(tmp_path, films, journal):
    decode(films, tmp_path, ImageStore(tmp_path / "store"), journal=journal)
    assert journal.rows().is_empty()


def test_a_killed_run_resumes_where_its_journal_ends(tmp_path, settled, journal, monkeypatch):
    whole = decode(settled, tmp_path, ImageStore(tmp_path / "whole"))
    monkeypatch.setattr("pipelines.features.images.FILES_PER_NOTE", 1)
    store = ImageStore(tmp_path / "store", images_per_shard=1)
    real, read = images.read_content, []

    def dies(path):
        read.append(path.name)
        if path.name == "c.png" and read.count("c.png") == 1:
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr("pipelines.features.images.read_content", dies)
    with pytest.raises(KeyboardInterrupt):
        decode(settled, tmp_path, store, journal=journal)
    read.clear()
    read.append("c.png")
    assert decode(settled, tmp_path, store, journal=journal).equals(whole)
    assert read[1:] == ["damaged.png", "c.png", "again.png"]
    assert len(list(journal.folder.glob("part-*"))) == 1


def test_what_a_killed_run_left_beside_the_index_goes(tmp_path, films):
    store = ImageStore(tmp_path / "store")
    first = decode(films, tmp_path, store)
    (store.folder / "shards" / "0123.npy").write_bytes(b"left by a killed run")
    assert decode(films, tmp_path, store).equals(first)
    assert not (store.folder / "shards" / "0123.npy").exists()
    assert len(store.read(first["pixel_sha256"].drop_nulls())) == 4


def test_films_outside_the_root_are_not_read(tmp_path, films):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "in").mkdir()
    (tmp_path / "root" / "in" / "link.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "root" / "in" / "folder.png").mkdir()
    three = films.head(3).with_columns(path=pl.Series(["../a.png", "in/link.png", "in/folder.png"]))
    rows = decode_images(three, root=tmp_path / "root", store=ImageStore(tmp_path / "store"), size=8)
    assert rows["_rejected"].to_list() == [
        "path: outside the root",
        "path: a link that leaves the root",
        "path: not a file",
    ]


def test_a_decoder_that_dies_takes_one_film_along(tmp_path, films):
    tasks = [images._Task(name) for name in ("good", "deadly", "fine")]
    results = list(images._map(dies_of_one, tasks, 2))
    assert [decoded.row["_rejected"] for decoded in results] == ["good", "path: the decoder died of it", "fine"]


def dies_of_one(task):
    if task.path == "deadly":
        os._exit(139)
    return images._rejected(task.path)


def test_any_columns_may_name_a_film(tmp_path, films):
    named = films.select(image_id="record_id", path="path")
    rows = decode(named, tmp_path, ImageStore(tmp_path / "store"))
    assert rows.columns[:2] == ["image_id", "file_sha256"]


def test_no_film_gives_no_row(tmp_path, films):
    rows = decode(films.clear(), tmp_path, ImageStore(tmp_path / "store"))
    assert rows.is_empty()
    assert set(CxrImages.column_names()) <= set(rows.columns)


def test_whoever_reads_or_writes_a_journal_keeps_other_runs_out(journal, monkeypatch):
    """Another run would take the same number for its part, or make one of parts that are about to be read."""
    free = []

    def look(self):
        with locked_if_free(self.folder / ".lock") as is_free:
            free.append(is_free)
        return parts_of(self)

    parts_of = FilmJournal._parts
    monkeypatch.setattr(FilmJournal, "_parts", look)
    row = {name: [1 if dtype.is_integer() else None] for name, dtype in SCHEMA.items()}
    journal.append(pl.DataFrame(row, schema=SCHEMA))
    journal.append(pl.DataFrame(row, schema=SCHEMA))
    journal.compact()
    assert journal.rows().height == 1
    assert free and not any(free)


WAITS = "import os, pathlib, time; pathlib.Path({folder!r}, str(os.getpid())).touch(); time.sleep(600)"
POOL = "import sys; from pipelines.features.images import _map; list(_map(exec, [sys.argv[1]] * 100, 2))"


def test_processes_of_a_killed_run_end_with_it(tmp_path):
    repository = Path(images.__file__).parents[2]
    run = subprocess.Popen([sys.executable, "-c", POOL, WAITS.format(folder=str(tmp_path))], cwd=repository)
    ends = time.monotonic() + 120
    while len(started := [int(path.name) for path in tmp_path.iterdir()]) < 2:
        assert run.poll() is None and time.monotonic() < ends
        time.sleep(0.01)
    run.kill()
    run.wait()
    ends = time.monotonic() + 10
    while left := [pid for pid in started if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < ends, left
        time.sleep(0.01)
