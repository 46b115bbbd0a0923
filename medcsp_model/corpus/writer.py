"""Writes a training corpus; the format is described in `medcsp_model.corpus`."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from medcsp_model.corpus.reader import KIND_ARRAYS, SCHEMA_VERSION, Corpus, CorpusError


class CorpusWriter:
    """Writes a corpus folder array by array; `finish()` checks it by opening it and writes corpus.json last.

    Args:
        folder: new or empty folder.
        name: name of the corpus, such as `pretrain_corpus`.
        synthetic: whether any record in it is made up.
        splits: names of the splits; a record's `split` is an index into them.
        history_size: width of the diagnosis history (the vocabulary's size).
        settings: whatever shaped the corpus, such as `theta_days`; kept for people, not hashed.
        inputs: version of each table it was made from; kept for people, not hashed.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        name: str,
        synthetic: bool,
        splits: Sequence[str],
        history_size: int,
        settings: Mapping[str, Any] | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if any(self.folder.iterdir()):
            raise CorpusError(f"{self.folder}: not empty; a corpus is written into a new folder")
        self._digests: dict[str, str] = {}
        self._meta: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "name": name,
            "synthetic": synthetic,
            "splits": list(splits),
            "history_size": int(history_size),
            "sources": {},
            "links": [],
            "counts": {},
            "settings": dict(settings or {}),
            "inputs": dict(inputs or {}),
        }

    def add_source(
        self,
        source: str,
        *,
        record_id: ArrayLike,
        subject_id: ArrayLike,
        study_id: ArrayLike,
        time_days: ArrayLike,
        split: ArrayLike,
        history_indptr: ArrayLike,
        history_indices: ArrayLike,
    ) -> None:
        """Write the records of a source, already in ascending order of `record_id` (ASCII, at most 64 bytes)."""
        ids = np.asarray(record_id)
        if ids.size and ids.dtype.kind not in "SU":
            raise CorpusError(f"{source}: record_id must be text, not {ids.dtype}")
        encoded = np.char.encode(ids, "ascii") if ids.dtype.kind == "U" else ids
        if encoded.dtype.itemsize > 64:
            raise CorpusError(f"{source}: a record_id is {encoded.dtype.itemsize} bytes long; at most 64 fit")
        self._meta["sources"][source] = {"num_records": int(ids.size), "modalities": {}}
        self._save(f"{source}/record_id", encoded, "S64")
        self._save(f"{source}/subject_id", subject_id, "int64")
        self._save(f"{source}/study_id", study_id, "int64")
        self._save(f"{source}/time_days", time_days, "float64")
        self._save(f"{source}/split", split, "uint8")
        self._save(f"{source}/history/indptr", history_indptr, "int64")
        self._save(f"{source}/history/indices", history_indices, "int32")

    def add_codes(self, source: str, modality: str, *, indptr: ArrayLike, indices: ArrayLike, size: int) -> None:
        """Write a multi-hot modality of `size` codes as compressed sparse rows."""
        self._add(source, modality, "codes", {"indptr": indptr, "indices": indices}, size=size)

    def add_dense(self, source: str, modality: str, *, values: ArrayLike, present: ArrayLike) -> None:
        """Write a dense modality: values (n, size), zero where `present` is false."""
        values = np.asarray(values, dtype="float32")
        self._add(source, modality, "dense", {"values": values, "present": present}, size=values.shape[1])

    def add_text(
        self,
        source: str,
        modality: str,
        *,
        row: ArrayLike,
        offsets: ArrayLike,
        tokens: ArrayLike,
        size: int,
        pad_id: int,
    ) -> None:
        """Write texts as token ids below `size`, special tokens included, truncated; `row` shares equal texts."""
        arrays = {"row": row, "offsets": offsets, "tokens": tokens}
        self._add(source, modality, "text", arrays, size=size, pad_id=int(pad_id))

    def allocate(self, source: str, modality: str, kind: str, lengths: Mapping[str, int]) -> dict[str, np.ndarray]:
        """Arrays to fill before they are added, on disk where they will lie: for what does not fit into memory.

        Args:
            source: name of the source.
            modality: name of the modality.
            kind: its kind.
            lengths: number of entries by name of the array.

        Returns:
            Writable arrays by name, mapped into memory, zero; hand them to the `add_` method of the kind.
        """
        arrays: dict[str, np.ndarray] = {}
        for name, length in lengths.items():
            path = self._path(f"{source}/{modality}/{name}")
            dtype = np.dtype(KIND_ARRAYS[kind][name])
            # nothing cannot be mapped
            arrays[name] = (
                np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(length,))
                if length
                else np.zeros(0, dtype)
            )
        return arrays

    def add_series(
        self,
        source: str,
        modality: str,
        *,
        stay_indptr: ArrayLike,
        cell_indptr: ArrayLike,
        bin: ArrayLike,  # noqa: A002
        feature: ArrayLike,
        value: ArrayLike,
        size: int,
        num_bins: int,
        max_stays: int,
    ) -> None:
        """Write hourly readings: cells grouped by stay, stays grouped by record; `size` is the number of features."""
        arrays = {"stay_indptr": stay_indptr, "cell_indptr": cell_indptr, "bin": bin, "feature": feature}
        sizes = {"size": size, "num_bins": int(num_bins), "max_stays": int(max_stays)}
        self._add(source, modality, "series", arrays | {"value": value}, **sizes)

    def add_images(
        self,
        source: str,
        modality: str,
        *,
        shard: ArrayLike,
        row: ArrayLike,
        shards: Sequence[str | Path],
        size: int,
        digest: str | None = None,
    ) -> None:
        """Hard-link (or copy) image shards and write each record's position in them.

        Args:
            source: name of the source.
            modality: name of the modality.
            shard: index into `shards` per record, -1 = missing.
            row: row of that shard per record, -1 = missing.
            shards: `.npy` files, uint8 (m, size, size).
            size: height and width in pixels.
            digest: content hash of the pixels by record, such as the version of the image table; read and hashed
                here when absent. Positions never enter the fingerprint.
        """
        folder = self.folder / source / modality / "shards"
        folder.mkdir(parents=True)
        for number, path in enumerate(shards):
            _link(Path(path), folder / f"{number:05d}.npy")
        self._add(source, modality, "image", {"shard": shard, "row": row}, size=size, num_shards=len(shards))
        for name in KIND_ARRAYS["image"]:
            del self._digests[f"{source}/{modality}/{name}"]
        self._digests[f"{source}/{modality}/pixels"] = digest or self._hash_pixels(source, modality)

    def add_links(self, s: str, t: str, *, s_records: ArrayLike, t_records: ArrayLike, gap_days: ArrayLike) -> None:
        """Write the same-patient pairs of two sources inside the window, in any order."""
        left, right = np.asarray(s_records, dtype="int64"), np.asarray(t_records, dtype="int64")
        order = np.lexsort((right, left))
        self._meta["links"].append([s, t])
        self._save(f"links/{s}__{t}/s", left[order], "int32")
        self._save(f"links/{s}__{t}/t", right[order], "int32")
        self._save(f"links/{s}__{t}/gap_days", np.asarray(gap_days)[order], "float32")
        self._meta["counts"][f"links.{s}__{t}"] = len(order)

    def finish(self) -> Corpus:
        """Write corpus.json, open the folder (which checks all of it) and return it.

        Sources and modalities keep the order in which they were added: one-directional losses run from the earlier
        source to the later. The fingerprint is a sha256 over every array's content (positions of images excepted),
        sizes, splits and that order; it does not depend on `settings`, `inputs`, or where the pixels lie.
        """
        hashed = {key: self._meta[key] for key in ("schema_version", "splits", "history_size", "sources", "links")}
        sources = {
            name: {
                **entry,
                "modalities": {
                    key: {field: value for field, value in sizes.items() if field != "num_shards"}
                    for key, sizes in entry["modalities"].items()
                },
            }
            for name, entry in self._meta["sources"].items()
        }
        order = [[name, *entry["modalities"]] for name, entry in sources.items()]
        text = json.dumps([hashed | {"sources": sources}, order, self._digests], sort_keys=True)
        self._meta["fingerprint"] = hashlib.sha256(text.encode()).hexdigest()
        for name, entry in self._meta["sources"].items():
            self._meta["counts"][f"records.{name}"] = entry["num_records"]
        (self.folder / "corpus.json").write_text(json.dumps(self._meta, indent=2) + "\n")
        return Corpus.open(self.folder)

    def _add(
        self, source: str, modality: str, kind: str, arrays: Mapping[str, ArrayLike], *, size: int, **extra: int
    ) -> None:
        if source not in self._meta["sources"]:
            raise CorpusError(f"{source}: call add_source before adding the modality {modality}")
        self._meta["sources"][source]["modalities"][modality] = {"kind": kind, "size": int(size), **extra}
        for name, dtype in KIND_ARRAYS[kind].items():
            self._save(f"{source}/{modality}/{name}", arrays[name], dtype)

    def _save(self, name: str, values: ArrayLike, dtype: str) -> None:
        given = np.asarray(values)
        array = np.ascontiguousarray(given, dtype=dtype)
        path = self._path(name)
        if array.dtype != given.dtype and given.dtype.kind in "iu" and not np.array_equal(given, array):
            raise CorpusError(f"{path}: a value does not fit into {dtype}")
        if isinstance(values, np.memmap) and values.filename == path:
            values.flush()
        else:
            np.save(path, array, allow_pickle=False)
        digest = hashlib.sha256(f"{dtype}{array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
        self._digests[name] = digest.hexdigest()

    def _path(self, name: str) -> Path:
        path = self.folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _hash_pixels(self, source: str, modality: str) -> str:
        folder = self.folder / source / modality
        shard, row = np.load(folder / "shard.npy"), np.load(folder / "row.npy")
        shards = [np.load(path, mmap_mode="r", allow_pickle=False) for path in sorted((folder / "shards").iterdir())]
        digest = hashlib.sha256()
        for number, place in zip(shard, row, strict=True):
            digest.update(b"missing" if number < 0 else np.ascontiguousarray(shards[number][place]).tobytes())
        return digest.hexdigest()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
