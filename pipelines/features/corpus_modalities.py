"""How each modality of a record becomes arrays of a corpus: from which table, by which vocabulary.

What a corpus is and who stands in it is in `corpus`; which source has which modality, the profile says.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medcsp_model.corpus import CorpusWriter
from pipelines.features.demographics import demographics_names, encode_demographics
from pipelines.features.image_store import ImageStore
from pipelines.features.tokens import PAD

Tables = Mapping[str, pl.LazyFrame]
Array = NDArray[Any]

CELLS_PER_BATCH = 1_000_000


@dataclass(kw_only=True)
class CorpusParts:
    """A corpus while it is written.

    Attributes:
        store: pixels of the films, where a source has any.
        records: of every source, in the order of the corpus: record (the position), record_id, subject_id, study_id.
        contents: what was written, one row per source and modality.
    """

    writer: CorpusWriter
    tables: Tables
    settings: Mapping[str, Any]
    store: ImageStore | None = None
    records: dict[str, pl.DataFrame] = field(default_factory=dict)
    contents: list[dict[str, Any]] = field(default_factory=list)

    def note(self, source: str, modality: str, kind: str, size: int, present: Array, *arrays: Array) -> None:
        """Remember what was written."""
        self.contents.append(
            {
                "source": source,
                "modality": modality,
                "kind": kind,
                "size": size,
                "num_records": self.records[source].height,
                "num_present": int(np.count_nonzero(present)),
                "content_sha256": digest(kind, size, *arrays),
            }
        )

    def compressed(self, source: str, rows: pl.LazyFrame) -> tuple[Array, Array]:
        """Return boundaries and ascending distinct positions of (record_id, code_index) rows of chosen records."""
        records = self.records[source]
        cells = (
            rows.join(records.lazy().select("record_id", "record"), on="record_id")
            .select("record", "code_index")
            .unique()
            .sort("record", "code_index")
            .collect()
        )
        return boundaries(cells["record"], records.height), cells["code_index"].cast(pl.Int32).to_numpy()


def add_diagnoses(parts: CorpusParts, source: str, modality: str) -> None:
    """Write the diagnosis codes of an admission."""
    write_diagnoses(parts, source, modality, _of_admissions(parts))


def write_diagnoses(parts: CorpusParts, source: str, modality: str, codes: pl.LazyFrame) -> None:
    """Write diagnosis codes: rows of ehr_codes with the record_id they belong to; other kinds are left out."""
    vocabulary = parts.tables["diagnosis_vocabulary"].select(
        "icd_version", pl.col("icd_code").alias("code"), "code_index"
    )
    rows = _of_kind(codes, "diagnosis").join(vocabulary, on=["icd_version", "code"])
    _write_codes(parts, source, modality, rows, vocabulary_size(parts.tables, "diagnosis_vocabulary"))


def add_drugs(parts: CorpusParts, source: str, modality: str) -> None:
    """Write the drugs of an admission."""
    write_drugs(parts, source, modality, _of_admissions(parts))


def write_drugs(parts: CorpusParts, source: str, modality: str, codes: pl.LazyFrame) -> None:
    """Write drugs: rows of ehr_codes with the record_id they belong to; other kinds are left out."""
    vocabulary = parts.tables["drug_vocabulary"].select(
        pl.col("drug").alias("code"), pl.col("drug_index").alias("code_index")
    )
    rows = _of_kind(codes, "drug").join(vocabulary, on="code")
    _write_codes(parts, source, modality, rows, vocabulary_size(parts.tables, "drug_vocabulary"))


def add_demographics(parts: CorpusParts, source: str, modality: str) -> None:
    """Write who the patient of an admission is."""
    records = parts.records[source].select("record", hadm_id=pl.col("study_id"))
    write_demographics(parts, source, modality, parts.tables["ehr_demographics"].join(records.lazy(), on="hadm_id"))


def write_demographics(parts: CorpusParts, source: str, modality: str, demographics: pl.LazyFrame) -> None:
    """Write demographics: rows of ehr_demographics with the record they belong to, at most one each."""
    held = demographics.sort("record").collect()
    num_records = parts.records[source].height
    values = np.zeros((num_records, len(demographics_names())), dtype=np.float32)
    present = np.zeros(num_records, dtype=bool)
    values[held["record"].to_numpy()] = encode_demographics(held)[1]
    present[held["record"].to_numpy()] = True
    parts.writer.add_dense(source, modality, values=values, present=present)
    parts.note(source, modality, "dense", values.shape[1], present, values, present)


def add_series(parts: CorpusParts, source: str, modality: str) -> None:
    """Write the hourly features of an admission's first stays."""
    records = parts.records[source].lazy().select("record", hadm_id=pl.col("study_id"))
    stays = (
        parts.tables["ehr_stays"]
        .filter(pl.col("stay_index") < int(parts.settings["max_stays"]))
        .select("hadm_id", "stay_id", "stay_index")
        .join(records, on="hadm_id")
        .sort("record", "stay_index", "stay_id")
        .select("record", "stay_id")
        .collect()
    )
    size = vocabulary_size(parts.tables, "series_features")
    write_series(parts, source, modality, stays=stays, cells=parts.tables["ehr_series"], size=size)


def write_series(
    parts: CorpusParts, source: str, modality: str, *, stays: pl.DataFrame, cells: pl.LazyFrame, size: int
) -> None:
    """Write hourly features.

    Args:
        parts: the corpus.
        source: name of the source.
        modality: name of the modality.
        stays: record and stay_id, in the order in which they are written: record by record.
        cells: rows of contract EhrSeries.
        size: number of features.
    """
    max_stays, num_bins = int(parts.settings["max_stays"]), int(parts.settings["window_hours"])
    places = stays.with_row_index("stay").select("stay_id", pl.col("stay").cast(pl.Int64))
    cells = cells.filter(pl.col("bin") < num_bins).join(places.lazy(), on="stay_id", maintain_order="left")
    cell_indptr = _cell_boundaries(cells, stays.height)
    lengths = dict.fromkeys(("bin", "feature", "value"), int(cell_indptr[-1]))
    arrays = {
        "stay_indptr": boundaries(stays["record"], parts.records[source].height),
        "cell_indptr": cell_indptr,
        **parts.writer.allocate(source, modality, "series", lengths),
    }
    _fill_cells(arrays, cells)
    parts.writer.add_series(source, modality, **arrays, size=size, num_bins=num_bins, max_stays=max_stays)
    present = np.diff(arrays["cell_indptr"][arrays["stay_indptr"]])
    parts.note(source, modality, "series", size, present, *arrays.values())


def add_notes(parts: CorpusParts, source: str, modality: str) -> None:
    """Write the text of a record."""
    write_texts(parts, source, modality, parts.records[source].select("record", text_id="record_id"))


def add_reports(parts: CorpusParts, source: str, modality: str) -> None:
    """Write the text of a record's study, once for all its records."""
    text_id = pl.col("study_id").cast(pl.String)
    write_texts(parts, source, modality, parts.records[source].select("record", text_id=text_id))


def write_texts(parts: CorpusParts, source: str, modality: str, texts_of: pl.DataFrame) -> None:
    """Write texts: record and text_id, one row per record that may have one; what text_tokens lacks is missing."""
    texts = (
        parts.tables["text_tokens"]
        .filter((pl.col("source") == source) & (pl.col("token_indices").list.len() > 0))
        .select("text_id", "token_indices")
        .join(texts_of.lazy(), on="text_id", how="semi")
        .sort("text_id")
        .with_row_index("row")
        .collect()
    )
    found = texts_of.join(texts.select("text_id", pl.col("row").cast(pl.Int64)), on="text_id")
    row = np.full(parts.records[source].height, -1, dtype=np.int64)
    row[found["record"].to_numpy()] = found["row"].to_numpy()
    lengths = texts["token_indices"].list.len().cast(pl.Int64).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = texts["token_indices"].explode().drop_nulls().cast(pl.Int32).to_numpy()
    size, pad_id = vocabulary_size(parts.tables, "tokenizer_vocabulary"), _pad_index(parts.tables)
    parts.writer.add_text(source, modality, row=row, offsets=offsets, tokens=tokens, size=size, pad_id=pad_id)
    parts.note(source, modality, "text", size, row >= 0, row, offsets, tokens)


def add_images(parts: CorpusParts, source: str, modality: str) -> None:
    """Write where the pixels of a film lie."""
    assert parts.store is not None, "a corpus of films needs the store of their pixels"
    records = parts.records[source].select("record", "record_id")
    held = (
        parts.tables["cxr_images"]
        .filter(pl.col("source") == source)
        .select("record_id", "pixel_sha256")
        .join(records.lazy(), on="record_id")
        .sort("record")
        .collect()
    )
    places = parts.store.locate(held["pixel_sha256"])
    names = places["shard"].unique().sort().to_list()
    numbers = {name: number for number, name in enumerate(names)}
    shard, row = (np.full(records.height, -1, dtype=np.int32) for _ in range(2))
    at = held["record"].to_numpy()
    shard[at] = [numbers[name] for name in places["shard"]]
    row[at] = places["row"].to_numpy()
    digests = dict(zip(held["record"], held["pixel_sha256"], strict=True))
    pixels = np.array([digests.get(record, "") for record in range(records.height)], dtype="S64")
    size = int(parts.settings["image_size"])
    parts.note(source, modality, "image", size, shard >= 0, pixels)
    parts.writer.add_images(
        source,
        modality,
        shard=shard,
        row=row,
        shards=[parts.store.shard_path(name) for name in names],
        size=size,
        digest=digest("image", size, pixels),
    )


MODALITIES: dict[str, Callable[[CorpusParts, str, str], None]] = {
    "diagnosis": add_diagnoses,
    "drug": add_drugs,
    "demographics": add_demographics,
    "series": add_series,
    "note": add_notes,
    "image": add_images,
    "report": add_reports,
}
"""What writes a modality of a source, by its name."""


def vocabulary_size(tables: Tables, name: str) -> int:
    """Return the number of rows of a vocabulary.

    Raises:
        ValueError: it has none.
    """
    size = int(tables[name].select(pl.len()).collect().item())
    if size == 0:
        raise ValueError(
            f"{name} is empty: no pre-training record passes its thresholds; lower them or check its inputs"
        )
    return size


def boundaries(owners: pl.Series, num_owners: int) -> Array:
    """Return where the entries of each owner begin and end, int64 (num_owners + 1,); `owners` is ascending."""
    counts = np.bincount(owners.to_numpy(), minlength=num_owners) if len(owners) else np.zeros(num_owners, np.int64)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def digest(kind: str, size: int, *arrays: Array) -> str:
    """Return the sha256 of arrays, their dtypes and their shapes."""
    made = hashlib.sha256(f"{kind} {size}".encode())
    for array in arrays:
        made.update(f"{array.dtype} {array.shape}".encode())
        made.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return made.hexdigest()


def _of_admissions(parts: CorpusParts) -> pl.LazyFrame:
    return parts.tables["ehr_codes"].with_columns(record_id=pl.col("hadm_id").cast(pl.String))


def _of_kind(codes: pl.LazyFrame, kind: str) -> pl.LazyFrame:
    return codes.filter(pl.col("kind").cast(pl.String) == kind)


def _write_codes(parts: CorpusParts, source: str, modality: str, rows: pl.LazyFrame, size: int) -> None:
    indptr, indices = parts.compressed(source, rows.select("record_id", "code_index"))
    parts.writer.add_codes(source, modality, indptr=indptr, indices=indices, size=size)
    parts.note(source, modality, "codes", size, np.diff(indptr), indptr, indices)


def _pad_index(tables: Tables) -> int:
    found = tables["tokenizer_vocabulary"].filter(pl.col("token") == PAD).select("token_index").collect()
    if found.height != 1:
        raise ValueError(f"tokenizer_vocabulary has {found.height} tokens {PAD}; it must have one")
    return int(found.item())


def _cell_boundaries(cells: pl.LazyFrame, num_stays: int) -> Array:
    """Return where the cells of each stay begin and end, int64 (num_stays + 1,)."""
    counted = cells.group_by("stay").agg(pl.len()).collect(engine="streaming")
    lengths = np.zeros(num_stays, dtype=np.int64)
    lengths[counted["stay"].to_numpy()] = counted["len"].to_numpy()
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _fill_cells(arrays: Mapping[str, Array], cells: pl.LazyFrame) -> None:
    """Put cells, batch by batch, where their stay begins; within a stay they keep the table's order: hour, feature."""
    free = arrays["cell_indptr"][:-1].copy()
    named = cells.select("stay", "bin", feature="feature_index", value="value")
    for batch in named.collect_batches(chunk_size=CELLS_PER_BATCH, maintain_order=True):
        stays, counts = np.unique(batch["stay"].to_numpy(), return_counts=True)
        rank = batch.select(pl.int_range(pl.len()).over("stay"))["literal"].to_numpy()
        places = free[batch["stay"].to_numpy()] + rank
        for name in ("bin", "feature", "value"):
            arrays[name][places] = batch[name].to_numpy()
        free[stays] += counts
