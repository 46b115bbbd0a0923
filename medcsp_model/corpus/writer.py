"""Writes a training corpus; the format is described in `medcsp_model.corpus`."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medcsp_model.corpus.reader import (
    KIND_ARRAYS,
    SCHEMA_VERSION,
    Corpus,
    CorpusError,
    Image,
    check_series,
    check_splits,
    open_modality,
)

NAME = re.compile(r"[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*")
"""Names become folders, files and parts of the names of weights, joined by `__`."""
CELLS_AT_ONCE = 1 << 22


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
        check_splits(splits, self.folder)
        self._digests: dict[str, str] = {}
        self._allocated: dict[str, np.memmap] = {}
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
        """Write the records of a source, already in ascending order of `record_id` (ASCII, at most 64 bytes).

        Raises:
            CorpusError: the source was added before, or an array would lose something in the dtype of the format.
        """
        _check_name(source, taken=[*self._meta["sources"], "links"])
        ids = np.asarray(record_id)
        if ids.size and ids.dtype.kind not in "SU":
            raise CorpusError(f"{source}: record_id must be text, not {ids.dtype}; give it as .astype(str)")
        if foreign := sum(not name.isascii() for name in ids.ravel().tolist()):
            raise CorpusError(f"{source}: {foreign} of {ids.size} record_id are not ASCII; number the records instead")
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
        given = np.asarray(values)
        if given.ndim != 2 or not given.shape[1]:
            raise CorpusError(f"{source}: {modality} has shape {given.shape}; give a row of numbers for each record")
        self._add(source, modality, "dense", {"values": given, "present": present}, size=given.shape[1])

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
            key, dtype = f"{source}/{modality}/{name}", np.dtype(KIND_ARRAYS[kind][name])
            if not length:  # nothing cannot be mapped
                arrays[name] = np.zeros(0, dtype)
                continue
            mapped = np.lib.format.open_memmap(self._path(key), mode="w+", dtype=dtype, shape=(length,))
            arrays[name] = self._allocated[key] = mapped
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
        given = {name: np.asarray(values) for name, values in (arrays | {"value": value}).items()}
        num_records = self._meta["sources"][source]["num_records"]
        check_series(self.folder / source / modality, num_records, size, given, num_bins=num_bins, max_stays=max_stays)
        twice = _num_repeated(given["cell_indptr"], given["bin"], given["feature"])
        if twice:
            raise CorpusError(
                f"{source}: {modality} has {twice} cells of a stay, bin and feature that has one before; give one each"
            )

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
        self._check_modality(source, modality)
        folder.mkdir(parents=True)
        for number, path in enumerate(shards):
            _link(Path(path), folder / f"{number:05d}.npy")
        self._add(source, modality, "image", {"shard": shard, "row": row}, size=size, num_shards=len(shards))
        for name in KIND_ARRAYS["image"]:
            del self._digests[f"{source}/{modality}/{name}"]
        self._digests[f"{source}/{modality}/pixels"] = digest or self._hash_pixels(source, modality)

    def add_links(self, s: str, t: str, *, s_records: ArrayLike, t_records: ArrayLike, gap_days: ArrayLike) -> None:
        """Write the same-patient pairs of two sources inside the window, in any order, once for both directions.

        Raises:
            CorpusError: a source is unknown or linked with itself, the two are linked already, or lengths differ.
        """
        if s == t or not {s, t} <= self._meta["sources"].keys():
            raise CorpusError(f"links of {s} and {t}: give two of the sources added before: {[*self._meta['sources']]}")
        if {s, t} in map(set, self._meta["links"]):
            raise CorpusError(f"links of {s} and {t}: given before; all pairs of two sources are written at once")
        left, right, gap_days = np.asarray(s_records), np.asarray(t_records), np.asarray(gap_days)
        if not left.shape == right.shape == gap_days.shape:
            raise CorpusError(f"links of {s} and {t}: {left.size} and {right.size} records, {gap_days.size} gaps")
        order = np.lexsort((right, left))
        self._meta["links"].append([s, t])
        self._save(f"links/{s}__{t}/s", left[order], "int32")
        self._save(f"links/{s}__{t}/t", right[order], "int32")
        self._save(f"links/{s}__{t}/gap_days", gap_days[order], "float32")
        self._meta["counts"][f"links.{s}__{t}"] = len(order)

    def finish(self) -> Corpus:
        """Write corpus.json, open the folder (which checks all of it) and return it.

        Sources and modalities keep the order in which they were added: one-directional losses run from the earlier
        source to the later. The fingerprint is a sha256 over every array's content (positions of images excepted),
        sizes, splits and that order; it does not depend on `settings`, `inputs`, or where the pixels lie. It says what
        was written: arrays that are changed afterwards go unnoticed, so write another folder instead.
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
        self._check_modality(source, modality)
        self._meta["sources"][source]["modalities"][modality] = {"kind": kind, "size": int(size), **extra}
        for name, dtype in KIND_ARRAYS[kind].items():
            self._save(f"{source}/{modality}/{name}", arrays[name], dtype)

    def _check_modality(self, source: str, modality: str) -> None:
        if source not in self._meta["sources"]:
            raise CorpusError(f"{source}: call add_source before adding the modality {modality}")
        _check_name(modality, taken=[*self._meta["sources"][source]["modalities"], "history"])

    def _save(self, name: str, values: ArrayLike, dtype: str) -> None:
        path = self._path(name)
        array = _cast(np.asarray(values), dtype, path)
        mapped = self._allocated.pop(name, None)
        if mapped is not None and mapped is values:
            mapped.flush()
        else:  # staged, since what is saved may lie in the very file that it takes the place of
            staged = path.with_suffix(".part.npy")
            np.save(staged, array, allow_pickle=False)
            staged.replace(path)
        digest = hashlib.sha256(f"{dtype}{array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
        self._digests[name] = digest.hexdigest()

    def _path(self, name: str) -> Path:
        path = self.folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _hash_pixels(self, source: str, modality: str) -> str:
        entry = self._meta["sources"][source]
        image = open_modality(
            self.folder / source / modality, entry["num_records"], entry["modalities"][modality] | {"kind": "image"}
        )
        assert isinstance(image, Image)
        digest = hashlib.sha256()
        for number, place in zip(image.shard, image.row, strict=True):
            digest.update(b"missing" if number < 0 else np.ascontiguousarray(image.shards[number][place]).tobytes())
        return digest.hexdigest()


def _check_name(name: str, *, taken: Sequence[str]) -> None:
    if not NAME.fullmatch(name):
        raise CorpusError(f"{name!r}: a name of a source or modality has letters, digits, and single _ or - between")
    if name in taken:
        raise CorpusError(f"{name!r}: a name of a source or modality is given once, and none is links or history")


def _cast(given: NDArray[Any], dtype: str, path: Path) -> NDArray[Any]:
    """The array in the dtype of the format; whole numbers and truth values must come out the same."""
    wanted = np.dtype(dtype)
    if given.size and wanted.kind != "S" and given.dtype.kind not in "biuf":
        raise CorpusError(f"{path}: {given.dtype}, expected numbers that fit into {dtype}")
    with np.errstate(invalid="ignore", over="ignore"):  # what does not fit is counted here, or by the reader
        array = np.ascontiguousarray(given, dtype=wanted)
    if wanted.kind in "biu" and array.dtype != given.dtype:
        lost = int(np.count_nonzero(array.reshape(given.shape) != given))
        if lost:
            raise CorpusError(f"{path}: {lost} of {given.size} values do not fit into {dtype}")
    return array


def _num_repeated(cell_indptr: NDArray[Any], bins: NDArray[Any], feature: NDArray[Any]) -> int:
    """How many cells have the bin and the feature of another cell of their stay."""
    repeated, first = 0, 0
    while first < len(cell_indptr) - 1:  # whole stays
        last = int(np.searchsorted(cell_indptr, cell_indptr[first] + CELLS_AT_ONCE, side="right")) - 1
        last = max(last, first + 1)
        cells = slice(int(cell_indptr[first]), int(cell_indptr[last]))
        stay = np.repeat(np.arange(last - first, dtype=np.int64), np.diff(cell_indptr[first : last + 1]))
        width = int(feature[cells].max(initial=0)) + 1
        key = (stay * 256 + bins[cells].astype(np.int64)) * width + feature[cells]
        if not (key[1:] > key[:-1]).all():
            key.sort()
            repeated += int(np.count_nonzero(key[1:] == key[:-1]))
        first = last
    return repeated


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
