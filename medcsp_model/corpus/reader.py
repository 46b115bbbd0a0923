"""Opens a training corpus and checks every array; the format is described in `medcsp_model.corpus`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

SCHEMA_VERSION = 1
RECORD_ARRAYS = {
    "record_id": "S64",
    "subject_id": "int64",
    "study_id": "int64",
    "time_days": "float64",
    "split": "uint8",
}
KIND_ARRAYS = {
    "codes": {"indptr": "int64", "indices": "int32"},
    "dense": {"values": "float32", "present": "bool"},
    "text": {"row": "int64", "offsets": "int64", "tokens": "int32"},
    "image": {"shard": "int32", "row": "int32"},
    "series": {
        "stay_indptr": "int64",
        "cell_indptr": "int64",
        "bin": "uint8",
        "feature": "int32",
        "value": "float32",
    },
}
LINK_ARRAYS = {"s": "int32", "t": "int32", "gap_days": "float32"}
_IN_MEMORY_BYTES = 1 << 20


class CorpusError(ValueError):
    """The folder is no corpus, or an array in it breaks the format."""


def ragged(indptr: NDArray[np.int64], rows: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the entries of some rows of a compressed sparse row array.

    Args:
        indptr: row boundaries, int64 (n+1,).
        rows: row numbers (m,), in any order, repeats allowed.

    Returns:
        (lengths, positions): entries of each row, int64 (m,), and where they stand, int64 (sum of lengths,).
    """
    rows = np.asarray(rows, dtype=np.int64)
    starts = indptr[rows]
    lengths = indptr[rows + 1] - starts
    offsets = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    return lengths, np.arange(lengths.sum(), dtype=np.int64) + offsets


@dataclass(frozen=True)
class Codes:
    """Multi-hot codes of each record (also the diagnosis history)."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    size: int

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which records have any code, bool (n,)."""
        return np.diff(self.indptr) > 0


@dataclass(frozen=True)
class Dense:
    """A fixed vector of each record."""

    values: NDArray[np.float32]
    present: NDArray[np.bool_]
    size: int


@dataclass(frozen=True)
class Text:
    """One tokenised text of each record; records may share a text."""

    row: NDArray[np.int64]
    offsets: NDArray[np.int64]
    tokens: NDArray[np.int32]
    size: int
    pad_id: int
    is_framed: bool = True

    @property
    def nothing(self) -> NDArray[np.int32]:
        """Tokens of a text without words: the two that frame every text, or none."""
        return self.tokens[[0, self.offsets[1] - 1]] if self.is_framed else self.tokens[:0]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which records have a text, bool (n,)."""
        return self.row >= 0


@dataclass(frozen=True)
class Image:
    """One grey image of each record, in memory-mapped shards."""

    shard: NDArray[np.int32]
    row: NDArray[np.int32]
    shards: list[NDArray[np.uint8]] = field(repr=False)
    size: int

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which records have an image, bool (n,)."""
        return self.shard >= 0

    def pixels(self, records: ArrayLike) -> NDArray[np.uint8]:
        """Images of the given records, all present, uint8 (m, size, size), read in the order they lie on disk."""
        records = np.asarray(records, dtype=np.int64)
        pixels = np.empty((len(records), self.size, self.size), dtype=np.uint8)
        for place in np.lexsort((self.row[records], self.shard[records])):
            record = records[place]
            pixels[place] = self.shards[self.shard[record]][self.row[record]]
        return pixels


@dataclass(frozen=True)
class Series:
    """Hourly readings of each record's stays, as cells (stay, bin, feature, value)."""

    stay_indptr: NDArray[np.int64]
    cell_indptr: NDArray[np.int64]
    bin: NDArray[np.uint8]
    feature: NDArray[np.int32]
    value: NDArray[np.float32]
    size: int
    num_bins: int
    max_stays: int

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which records have any cell, bool (n,)."""
        cells = self.cell_indptr[self.stay_indptr]
        return np.diff(cells) > 0


Modality = Codes | Dense | Text | Image | Series
KINDS: dict[str, type[Modality]] = {"codes": Codes, "dense": Dense, "text": Text, "image": Image, "series": Series}


@dataclass(frozen=True)
class Source:
    """The records of one source, and their modalities by name."""

    name: str
    record_id: NDArray[np.bytes_]
    subject_id: NDArray[np.int64]
    study_id: NDArray[np.int64]
    time_days: NDArray[np.float64]
    split: NDArray[np.uint8]
    history: Codes
    modalities: dict[str, Modality]

    @property
    def num_records(self) -> int:
        """Number of records."""
        return len(self.subject_id)


@dataclass(frozen=True)
class Links:
    """Same-patient pairs of two sources inside the window, sorted by (s, t)."""

    s: NDArray[np.int32]
    t: NDArray[np.int32]
    gap_days: NDArray[np.float32]


@dataclass(frozen=True)
class Corpus:
    """A training corpus, opened and checked; `Corpus.open(folder)` is the way in."""

    folder: Path
    meta: dict[str, Any]
    sources: dict[str, Source]
    links: dict[tuple[str, str], Links]

    @property
    def splits(self) -> list[str]:
        """Names of the splits, in the order of their codes."""
        return list(self.meta["splits"])

    @property
    def history_size(self) -> int:
        """Width of a diagnosis history."""
        return int(self.meta["history_size"])

    @property
    def fingerprint(self) -> str:
        """Content hash, 64 hex digits: equal content means equal fingerprint, wherever the pixels lie."""
        return str(self.meta["fingerprint"])

    def records(self, source: str, *, splits: Sequence[str] | None = None) -> NDArray[np.int64]:
        """Record indices of a source, ascending, all or those of some splits; ValueError for an unknown split."""
        if splits is None:
            return np.arange(self.sources[source].num_records, dtype=np.int64)
        unknown = sorted(set(splits) - set(self.splits))
        if unknown:
            raise ValueError(f"{self.folder}: no split {unknown}; the corpus has {self.splits}")
        codes = [self.splits.index(split) for split in splits]
        return np.flatnonzero(np.isin(self.sources[source].split, codes)).astype(np.int64)

    @classmethod
    def open(cls, folder: str | Path) -> "Corpus":
        """Open a corpus and check dtype, length and range of every array (pixels: shape only).

        Raises:
            CorpusError: the folder is not a corpus of this schema version, or an array breaks the format.
        """
        folder = Path(folder)
        path = folder / "corpus.json"
        if not path.is_file():
            raise CorpusError(
                f"{folder}: no corpus.json: no corpus, or one never finished; write it with CorpusWriter, or "
                "make the asset again whose folder it is"
            )
        try:
            meta = json.loads(path.read_text())
            if not isinstance(meta, dict):
                raise ValueError("no object")
        except ValueError as error:
            raise CorpusError(f"{path}: not readable as JSON ({error}); publish the corpus again") from error
        if meta.get("schema_version") != SCHEMA_VERSION:
            raise CorpusError(
                f"{path}: schema_version {meta.get('schema_version')}, this code reads {SCHEMA_VERSION}; publish again"
            )
        try:
            check_splits(meta["splits"], folder)
            sources = {name: _open_source(folder / name, name, meta) for name in meta["sources"]}
            links = {
                (s, t): _open_links(folder / "links" / f"{s}__{t}", sources[s], sources[t]) for s, t in meta["links"]
            }
        except KeyError as error:
            raise CorpusError(f"{path}: lacks {error}; publish the corpus again") from error
        return cls(folder, meta, sources, links)


def _load(path: Path, dtype: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
    if not path.is_file():
        raise CorpusError(f"{path}: missing; publish the corpus again")
    mode = "r" if path.stat().st_size > _IN_MEMORY_BYTES else None
    try:
        array = np.load(path, mmap_mode=mode, allow_pickle=False)  # type: ignore[arg-type]
    except (ValueError, EOFError) as error:
        raise CorpusError(f"{path}: not a readable .npy file ({error}); publish the corpus again") from error
    if array.dtype != np.dtype(dtype):
        raise CorpusError(f"{path}: dtype {array.dtype}, expected {dtype}")
    if array.ndim != len(shape) or any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True)):
        raise CorpusError(f"{path}: shape {array.shape}, expected {shape}")
    return array


def check_splits(splits: Any, folder: Path) -> None:
    """Refuse (CorpusError) what are not names of splits, each once."""
    if isinstance(splits, str) or len(set(splits)) < len(splits):
        raise CorpusError(f"{folder}: splits {splits!r}; give a list of names, each once")


def _require(valid: NDArray[np.bool_], path: Path, rule: str) -> None:
    broken = int(np.size(valid) - np.count_nonzero(valid))
    if broken:
        raise CorpusError(f"{path}: {broken} of {np.size(valid)} values break the rule: {rule}")


def _in_range(array: NDArray[Any], low: int, high: int, path: Path) -> None:
    if array.size and (array.min() < low or array.max() >= high):
        _require((array >= low) & (array < high), path, f"{low} <= value < {high}")


def _is_indptr(array: NDArray[Any], length: int, path: Path) -> None:
    if not len(array) or array[0] != 0 or array[-1] != length:
        raise CorpusError(f"{path}: boundaries must run from 0 to {length}")
    _require(np.diff(array) >= 0, path, "boundaries never fall")


def _open_source(folder: Path, name: str, meta: Mapping[str, Any]) -> Source:
    entry = meta["sources"][name]
    count = int(entry["num_records"])
    arrays = {array: _load(folder / f"{array}.npy", dtype, (count,)) for array, dtype in RECORD_ARRAYS.items()}
    ids = arrays["record_id"]
    _require(ids[1:] > ids[:-1], folder / "record_id.npy", "ascending and unique")
    _require(~np.isinf(arrays["time_days"]), folder / "time_days.npy", "finite, or no number where there is no date")
    _in_range(arrays["split"], 0, len(meta["splits"]), folder / "split.npy")
    history = open_modality(folder / "history", count, {"kind": "codes", "size": meta["history_size"]})
    assert isinstance(history, Codes)
    if not entry["modalities"]:
        raise CorpusError(f"{folder}: no modality; add one, or leave the source out")
    modalities = {key: open_modality(folder / key, count, value) for key, value in entry["modalities"].items()}
    return Source(name=name, history=history, modalities=modalities, **arrays)


def open_modality(folder: Path, count: int, entry: Mapping[str, Any]) -> Modality:
    """Open and check one modality of `count` records, from what corpus.json says of it; CorpusError as in `open`."""
    kind = entry["kind"]
    if kind not in KINDS:
        raise CorpusError(f"{folder}: unknown kind {kind!r}; known: {sorted(KINDS)}")
    size = int(entry["size"])
    lengths = {"values": (count, size)} | dict.fromkeys(("present", "row", "shard"), (count,))
    arrays = {
        name: _load(folder / f"{name}.npy", dtype, lengths.get(name, (None,)))
        for name, dtype in KIND_ARRAYS[kind].items()
    }
    extra: dict[str, Any] = {}
    if kind == "codes":
        _check_codes(folder, count, size, arrays)
    elif kind == "dense":
        _require(np.isfinite(arrays["values"]), folder / "values.npy", "finite")
    elif kind == "text":
        _check_text(folder, size, arrays)
        extra = {"pad_id": int(entry["pad_id"])}
        if not 0 <= extra["pad_id"] < size:
            raise CorpusError(f"{folder}: pad_id {extra['pad_id']} is none of its {size} tokens")
    elif kind == "image":
        extra = {"shards": _open_shards(folder, size, int(entry["num_shards"]), arrays)}
    else:
        extra = {"num_bins": int(entry["num_bins"]), "max_stays": int(entry["max_stays"])}
        check_series(folder, count, size, arrays, **extra)
    fields: dict[str, Any] = {**arrays, **extra}
    return KINDS[kind](size=size, **fields)


def _check_codes(folder: Path, count: int, size: int, arrays: Mapping[str, NDArray[Any]]) -> None:
    if len(arrays["indptr"]) != count + 1:
        raise CorpusError(f"{folder / 'indptr.npy'}: {len(arrays['indptr'])} boundaries, expected {count + 1}")
    _is_indptr(arrays["indptr"], len(arrays["indices"]), folder / "indptr.npy")
    _in_range(arrays["indices"], 0, size, folder / "indices.npy")


def _check_text(folder: Path, size: int, arrays: Mapping[str, NDArray[Any]]) -> None:
    _is_indptr(arrays["offsets"], len(arrays["tokens"]), folder / "offsets.npy")
    _require(np.diff(arrays["offsets"]) > 0, folder / "offsets.npy", "a text has at least one token")
    _in_range(arrays["row"], -1, len(arrays["offsets"]) - 1, folder / "row.npy")
    _in_range(arrays["tokens"], 0, size, folder / "tokens.npy")


def _open_shards(
    folder: Path, size: int, num_shards: int, arrays: Mapping[str, NDArray[Any]]
) -> list[NDArray[np.uint8]]:
    paths = [folder / "shards" / f"{number:05d}.npy" for number in range(num_shards)]
    shards = [_load(path, "uint8", (None, size, size)) for path in paths]
    shard, row = arrays["shard"], arrays["row"]
    _in_range(shard, -1, num_shards, folder / "shard.npy")
    _require((shard < 0) == (row < 0), folder / "row.npy", "-1 exactly where shard is -1")
    limits = np.array([len(pixels) for pixels in shards] + [0])[shard]
    _require(row < np.maximum(limits, 0), folder / "row.npy", "below the number of images in its shard")
    return shards


def check_series(
    folder: Path, count: int, size: int, arrays: Mapping[str, NDArray[Any]], *, num_bins: int, max_stays: int
) -> None:
    """Refuse (CorpusError) a series of `count` records whose arrays break the format."""
    stays = arrays["stay_indptr"]
    if len(stays) != count + 1:
        raise CorpusError(f"{folder / 'stay_indptr.npy'}: {len(stays)} boundaries, expected {count + 1}")
    _is_indptr(stays, len(arrays["cell_indptr"]) - 1, folder / "stay_indptr.npy")
    _require(np.diff(stays) <= max_stays, folder / "stay_indptr.npy", f"at most {max_stays} stays a record")
    cells = len(arrays["value"])
    _is_indptr(arrays["cell_indptr"], cells, folder / "cell_indptr.npy")
    for name, high in (("bin", num_bins), ("feature", size)):
        if len(arrays[name]) != cells:
            raise CorpusError(f"{folder / name}.npy: {len(arrays[name])} values, expected {cells}")
        _in_range(arrays[name], 0, high, folder / f"{name}.npy")
    _require(np.isfinite(arrays["value"]), folder / "value.npy", "finite")


def _open_links(folder: Path, s: Source, t: Source) -> Links:
    arrays = {name: _load(folder / f"{name}.npy", dtype, (None,)) for name, dtype in LINK_ARRAYS.items()}
    if len({len(array) for array in arrays.values()}) > 1:
        raise CorpusError(f"{folder}: s, t and gap_days differ in length")
    _in_range(arrays["s"], 0, s.num_records, folder / "s.npy")
    _in_range(arrays["t"], 0, t.num_records, folder / "t.npy")
    key = arrays["s"].astype(np.int64) * max(t.num_records, 1) + arrays["t"]
    _require(key[1:] > key[:-1], folder / "s.npy", "pairs are unique and sorted by (s, t)")
    same = s.subject_id[arrays["s"]] == t.subject_id[arrays["t"]]
    _require(same, folder / "s.npy", "both records of a pair belong to one subject")
    far = np.isfinite(arrays["gap_days"]) & (arrays["gap_days"] >= 0)
    _require(far, folder / "gap_days.npy", "a number of days, 0 or more")
    return Links(**arrays)
