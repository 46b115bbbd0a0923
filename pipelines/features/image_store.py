"""The image store: every distinct picture once, as uint8 pixels in immutable shards found by the digest of the pixels.

A shard is named by its contents and written before the index beside it that names its pictures, so a run killed between
the two leaves a file that the next run writes again with the same bytes. Each shard has an index of its own: one for
all would be written again with every shard, in time that grows with the square of the pictures. Rendering a file to
pixels is in `images`.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.files import fsync_path, locked

INDEX_SCHEMA = {"pixel_sha256": pl.String, "shard": pl.String, "row": pl.Int32}
SHARD_NAME_DIGITS = 24


class ImagesMissing(ValueError):  # noqa: N818
    """Pixels were asked for that the store does not hold."""


def pixel_sha256(pixels: NDArray[np.uint8]) -> str:
    """Return the digest of a picture: sha256 over its shape and pixels."""
    return hashlib.sha256(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


class ImageStore:
    """A folder of grey pictures of one size.

    Args:
        folder: where `shards/` lies, and in it each shard and its index; made when the first picture is added.
        images_per_shard: most pictures of a shard.
    """

    def __init__(self, folder: Path, *, images_per_shard: int = 1024) -> None:
        self.folder = Path(folder)
        self.images_per_shard = images_per_shard

    @classmethod
    def of_size(cls, folder: Path, size: int) -> "ImageStore":
        """Return the store of pictures (size, size) below a folder; those of other sizes have their own."""
        return cls(folder / f"{size}x{size}")

    def __len__(self) -> int:
        """Return the number of distinct pictures."""
        return self._index().height

    def add(self, images: Iterable[NDArray[np.uint8]]) -> list[str]:
        """Add pictures, uint8 (size, size), and return their digests in order.

        Pictures that the store holds are not written again. Positions depend on the order of what is new alone.

        Raises:
            ValueError: a picture is not uint8 or not of the store's size.
        """
        digests: list[str] = []
        with locked(self.folder / ".lock"):
            index = self._index()
            known = set(index["pixel_sha256"])
            waiting: dict[str, NDArray[np.uint8]] = {}
            for pixels in images:
                self._check(pixels, waiting, index)
                digest = pixel_sha256(pixels)
                digests.append(digest)
                if digest in known:
                    continue
                known.add(digest)
                waiting[digest] = pixels
                if len(waiting) == self.images_per_shard:
                    written = self._write_shard(waiting)
                    index, waiting = index if index.height else written, {}
            if waiting:
                self._write_shard(waiting)
        return digests

    def digests(self) -> pl.Series:
        """Return the digests of every picture that the store holds."""
        return self._index()["pixel_sha256"]

    def locate(self, digests: Sequence[str] | pl.Series) -> pl.DataFrame:
        """Return where pictures lie, in the order asked: pixel_sha256, shard (a name), row.

        Raises:
            ImagesMissing: the store does not hold some of them.
        """
        asked = pl.DataFrame({"pixel_sha256": digests}, schema={"pixel_sha256": pl.String})
        found = asked.join(self._index(), on="pixel_sha256", how="left", maintain_order="left")
        if missing := found["shard"].null_count():
            raise ImagesMissing(
                f"{self.folder}: {missing} of {found.height} images are not in the store; "
                "decode them again: dagster asset materialize --select cxr_images"
            )
        return found

    def shard_path(self, shard: str) -> Path:
        """Return the file of a shard: npy, uint8 (images, size, size)."""
        return self.folder / "shards" / f"{shard}.npy"

    def read(self, digests: Sequence[str] | pl.Series) -> NDArray[np.uint8]:
        """Return the pixels of pictures in the order asked, uint8 (images, size, size); at least one."""
        found = self.locate(digests)
        shards = {name: np.load(self.shard_path(name), mmap_mode="r") for name in found["shard"].unique()}
        return np.stack([shards[shard][row] for shard, row in found.select("shard", "row").iter_rows()])

    def reader(self, digests: Sequence[str] | pl.Series) -> "ImageReader":
        """Return a reader of these pictures by their position among `digests`; it keeps the shards mapped.

        Raises:
            ImagesMissing: the store does not hold some of them.
        """
        return ImageReader(self, self.locate(digests))

    def remove_orphans(self) -> list[str]:
        """Delete files below `shards/` that belong to no shard with an index, and return their names."""
        with locked(self.folder / ".lock"):
            indices = self._index_paths()
            named = {path.name for path in indices} | {self.shard_path(path.stem).name for path in indices}
            orphans = sorted(path for path in (self.folder / "shards").glob("*") if path.name not in named)
            for path in orphans:
                path.unlink()
        return [path.name for path in orphans]

    def _index(self) -> pl.DataFrame:
        paths = self._index_paths()
        return pl.read_parquet(paths, glob=False) if paths else pl.DataFrame(schema=INDEX_SCHEMA)

    def _index_paths(self) -> list[Path]:
        found = sorted((self.folder / "shards").glob("[!.]*.parquet"))
        return [path for path in found if self.shard_path(path.stem).is_file()]

    def _check(self, pixels: NDArray[np.uint8], waiting: dict[str, NDArray[np.uint8]], index: pl.DataFrame) -> None:
        if pixels.dtype != np.uint8 or pixels.ndim != 2:
            raise ValueError(f"{self.folder}: an image is {pixels.dtype} {pixels.shape}; the store holds uint8 (h, w)")
        if waiting:
            expected = next(iter(waiting.values())).shape
        elif index.height:
            expected = np.load(self.shard_path(index["shard"][0]), mmap_mode="r").shape[1:]
        else:
            return
        if pixels.shape != expected:
            raise ValueError(f"{self.folder}: an image is {pixels.shape}; the store holds images of {expected}")

    def _write_shard(self, images: dict[str, NDArray[np.uint8]]) -> pl.DataFrame:
        name = hashlib.sha256("".join(images).encode()).hexdigest()[:SHARD_NAME_DIGITS]
        path = self.shard_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{name}.tmp")
        with temporary.open("wb") as file:
            self._write_array(file, images)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        fsync_path(path.parent)
        rows = {"pixel_sha256": list(images), "shard": [name] * len(images), "row": range(len(images))}
        index = pl.DataFrame(rows, schema=INDEX_SCHEMA)
        self._write_index(name, index)
        return index

    @staticmethod
    def _write_array(file: BinaryIO, images: dict[str, NDArray[np.uint8]]) -> None:
        """Write one npy array, picture by picture: stacking them first would hold every pixel twice."""
        shape = (len(images), *next(iter(images.values())).shape)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for pixels in images.values():
            file.write(np.ascontiguousarray(pixels).tobytes())

    def _write_index(self, shard: str, index: pl.DataFrame) -> None:
        path = self.shard_path(shard).with_suffix(".parquet")
        temporary = path.with_name(f".{path.name}.tmp")
        index.write_parquet(temporary, compression="zstd")
        fsync_path(temporary)
        temporary.rename(path)
        fsync_path(path.parent)


class ImageReader:
    """Reads batches of pictures by position: the shards stay mapped, and the page cache is what makes it fast.

    Args:
        store: holds the shards.
        places: shard and row of every picture, as `ImageStore.locate` gives them.
    """

    def __init__(self, store: ImageStore, places: pl.DataFrame) -> None:
        names = places["shard"].unique(maintain_order=True).to_list()
        numbers = {name: number for number, name in enumerate(names)}
        # as plain arrays: the class of a map costs more to index than a picture to copy
        self._shards = [np.asarray(np.load(store.shard_path(name), mmap_mode="r")) for name in names]
        self._shard = places["shard"].replace_strict(numbers, return_dtype=pl.Int64).to_numpy()
        self._row = places["row"].to_numpy()

    def read(
        self, positions: Sequence[int] | NDArray[np.int64], *, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """Return the pixels of a batch in the order asked, uint8 (images, size, size); at least one.

        Args:
            positions: of the pictures.
            out: where to put them; a buffer used again saves the system from clearing new memory for every batch.
        """
        shards, rows = self._shard[positions], self._row[positions]
        batch = np.empty((len(rows), *self._shards[0].shape[1:]), dtype=np.uint8) if out is None else out
        for place, (shard, row) in enumerate(zip(shards.tolist(), rows.tolist(), strict=True)):
            batch[place] = self._shards[shard][row]
        return batch
