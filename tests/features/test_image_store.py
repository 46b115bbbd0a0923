import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features.image_store import ImagesMissing, ImageStore, pixel_sha256


def picture(k, size=3):
    return np.full((size, size), k, dtype=np.uint8)


def shard_files(store):
    return sorted(path.name for path in (store.folder / "shards").glob("*.npy"))


def inodes(store):
    return {path: path.stat().st_ino for path in store.folder.rglob("*") if path.is_file()}


def test_pictures_are_read_back_in_the_order_asked(tmp_path):
    store = ImageStore(tmp_path, images_per_shard=2)
    digests = store.add(picture(k) for k in range(5))
    assert store.read(digests[::-1])[:, 0, 0].tolist() == [4, 3, 2, 1, 0]
    assert digests[1] == pixel_sha256(picture(1))
    assert len(shard_files(store)) == 3


def test_a_picture_is_written_once(tmp_path):
    store = ImageStore(tmp_path, images_per_shard=2)
    first = store.add([picture(1), picture(2), picture(1)])
    before = {name: (store.folder / "shards" / name).stat().st_mtime_ns for name in shard_files(store)}
    assert store.add([picture(2), picture(1)]) == [first[1], first[0]]
    assert len(store) == 2
    assert {name: (store.folder / "shards" / name).stat().st_mtime_ns for name in shard_files(store)} == before


def test_a_new_picture_leaves_old_shards_alone(tmp_path):
    store = ImageStore(tmp_path, images_per_shard=4)
    digests = store.add([picture(1), picture(2)])
    places = store.locate(digests)
    store.add([picture(3)])
    assert store.locate(digests).equals(places)


def test_what_a_shard_costs_does_not_grow_with_the_store(tmp_path):
    store = ImageStore(tmp_path, images_per_shard=2)
    store.add(picture(k) for k in range(6))
    before = inodes(store)
    store.add([picture(6), picture(7)])
    after = inodes(store)
    assert before.items() < after.items()  # nothing that was there is written again
    assert len(after) - len(before) == 2  # the shard and its index


def test_a_run_killed_between_shard_and_index_is_repeated_to_the_same_bytes(tmp_path, monkeypatch):
    whole, killed = (ImageStore(tmp_path / name, images_per_shard=2) for name in ("whole", "killed"))
    pictures = [picture(k) for k in range(6)]
    whole.add(pictures)
    writes = []

    def dies(shard, index):
        writes.append(shard)
        if len(writes) == 2:
            raise KeyboardInterrupt
        ImageStore._write_index(killed, shard, index)

    monkeypatch.setattr(killed, "_write_index", dies)
    with pytest.raises(KeyboardInterrupt):
        killed.add(pictures)
    assert len(shard_files(killed)) == 2
    assert len(ImageStore(killed.folder)) == 2

    again = ImageStore(killed.folder, images_per_shard=2)
    again.add(pictures)
    assert shard_files(again) == shard_files(whole)
    assert again.locate(again.digests()).equals(whole.locate(whole.digests()))
    for name in shard_files(whole):
        assert (again.folder / "shards" / name).read_bytes() == (whole.folder / "shards" / name).read_bytes()


def test_orphans_are_removed_and_nothing_else(tmp_path):
    store = ImageStore(tmp_path)
    digests = store.add([picture(1)])
    (store.folder / "shards" / "0123.npy").write_bytes(b"left by a killed run")
    (store.folder / "shards" / ".4567.tmp").write_bytes(b"")
    assert store.remove_orphans() == [".4567.tmp", "0123.npy"]
    assert store.read(digests).shape == (1, 3, 3)


def test_missing_pictures_are_counted(tmp_path):
    store = ImageStore(tmp_path)
    digests = store.add([picture(1)])
    with pytest.raises(ImagesMissing, match="1 of 2 images are not in the store"):
        store.locate([*digests, "0" * 64])
    assert ImageStore(tmp_path / "nowhere").locate([]).is_empty()


def test_a_shard_that_was_deleted_is_written_again(tmp_path):
    store = ImageStore(tmp_path, images_per_shard=1)
    digests = store.add([picture(1), picture(2)])
    shard = store.locate(digests)["shard"][0]
    store.shard_path(shard).unlink()
    assert store.digests().to_list() == digests[1:]
    with pytest.raises(ImagesMissing, match="1 of 2 images are not in the store"):
        store.locate(digests)
    assert store.add([picture(1)]) == digests[:1]
    assert store.read(digests).shape == (2, 3, 3)


def test_pictures_of_another_kind_are_refused(tmp_path):
    store = ImageStore(tmp_path)
    with pytest.raises(ValueError, match="float64"):
        store.add([picture(1).astype(np.float64)])
    store.add([picture(1)])
    with pytest.raises(ValueError, match=r"\(4, 4\); the store holds images of \(3, 3\)"):
        store.add([picture(1, size=4)])


@settings(max_examples=25, deadline=None)
@given(batches=st.lists(st.lists(st.integers(0, 12), max_size=8), max_size=4), per_shard=st.integers(1, 5))
def test_every_picture_added_is_found_with_its_pixels(tmp_path_factory, batches, per_shard):
    store = ImageStore(tmp_path_factory.mktemp("store"), images_per_shard=per_shard)
    for batch in batches:
        digests = store.add(picture(k) for k in batch)
        if batch:
            assert store.read(digests)[:, 0, 0].tolist() == batch
    values = {k for batch in batches for k in batch}
    assert len(store) == len(values)
    if values:
        places = store.locate(store.digests())
        assert not places.select("shard", "row").is_duplicated().any()
        assert places.group_by("shard").len()["len"].max() <= per_shard
        assert places.select(pl.col("row").min()).item() == 0


def test_a_reader_gives_batches_by_position(tmp_path):
    store = ImageStore(tmp_path, images_per_shard=2)
    digests = store.add(picture(k) for k in range(7))
    reader = store.reader(digests)
    assert reader.read(np.array([6, 0, 6, 3]))[:, 0, 0].tolist() == [6, 0, 6, 3]
    buffer = np.empty((2, 3, 3), dtype=np.uint8)
    assert reader.read([5, 2], out=buffer) is buffer
    assert buffer[:, 0, 0].tolist() == [5, 2]
    with pytest.raises(ImagesMissing):
        store.reader([*digests, "0" * 64])
