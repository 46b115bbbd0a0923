"""The training corpus: from feature tables to the folder of arrays that `medcsp_model.corpus` describes.

Which modality is made from which table is said here, once. The format, its checks and its writer are in
`medcsp_model.corpus`; splits and links are made by SQL.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
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

CONTENTS_SCHEMA = {
    "source": pl.String,
    "modality": pl.String,
    "kind": pl.String,
    "size": pl.Int64,
    "num_records": pl.Int64,
    "num_present": pl.Int64,
    "content_sha256": pl.String,
}
SOURCES = ("ehr", "cxr")
SOURCE_PAIRS = (("ehr", "cxr"),)
CELLS_PER_BATCH = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def write_corpus(
    folder: Path,
    *,
    name: str,
    tables: Tables,
    splits: Sequence[str],
    store: ImageStore,
    synthetic: bool,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> pl.DataFrame:
    """Write the records of some splits as a corpus folder.

    A record that a feature table does not hold has that modality masked; a source without records is written empty.

    Args:
        folder: new or empty.
        name: name of the corpus.
        tables: by name: cohort_split, ehr_records, ehr_stays, ehr_codes, ehr_demographics, ehr_series, cxr_records,
            cxr_images, text_tokens, diagnosis_vocabulary, drug_vocabulary, series_features, tokenizer_vocabulary,
            diagnosis_histories, same_patient_pairs.
        splits: splits of cohort_split whose records are written; the corpus's splits, in this order.
        store: the pixels that cxr_images names.
        synthetic: whether any record is made up.
        settings: kept in corpus.json; `max_stays`, `window_hours` and `image_size` shape the arrays.
        inputs: version of each table, kept in corpus.json.

    Returns:
        Rows of contract PretrainCorpus: one per source and modality, and per source `records`, `history` and `links`,
        each with a digest of its contents that does not depend on where pixels lie.

    Raises:
        ValueError: a vocabulary is empty, or a record stands in cohort_split but in no record table.
    """
    sizes = {key: _vocabulary_size(tables, key) for key in ("diagnosis_vocabulary", "drug_vocabulary")}
    sizes |= {key: _vocabulary_size(tables, key) for key in ("series_features", "tokenizer_vocabulary")}
    writer = CorpusWriter(
        folder,
        name=name,
        synthetic=synthetic,
        splits=list(splits),
        history_size=sizes["diagnosis_vocabulary"],
        settings=settings,
        inputs=inputs,
    )
    made = _Corpus(writer=writer, tables=tables, store=store, settings=settings, sizes=sizes)
    for source in SOURCES:
        made.add_records(source, splits)
    made.add_ehr()
    made.add_cxr()
    made.add_links()
    writer.finish()
    return pl.DataFrame(made.contents, schema=CONTENTS_SCHEMA, orient="row")


@dataclass(kw_only=True)
class _Corpus:
    """A corpus while it is written: `records` holds the order of each source, `contents` one row per modality."""

    writer: CorpusWriter
    tables: Tables
    store: ImageStore
    settings: Mapping[str, Any]
    sizes: Mapping[str, int]
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
                "content_sha256": _digest(kind, size, *arrays),
            }
        )

    def add_records(self, source: str, splits: Sequence[str]) -> None:
        """Write ids, times, splits and histories of one source, ordered by record_id."""
        chosen = self.tables["cohort_split"].filter(
            (pl.col("source").cast(pl.String) == source) & pl.col("split").cast(pl.String).is_in(list(splits))
        )
        times = self.tables[f"{source}_records"].select("record_id", "record_time")
        records = (
            chosen.select("record_id", "subject_id", "study_id", pl.col("split").cast(pl.String))
            .join(times, on="record_id", how="left")
            .sort("record_id")
            .collect()
        )
        if lost := records["record_time"].null_count():
            raise ValueError(
                f"{source}_records lacks {lost} of {records.height} records that cohort_split names; publish both again"
            )
        self.records[source] = records.with_row_index("record").with_columns(pl.col("record").cast(pl.Int64))
        order = {split: index for index, split in enumerate(splits)}
        time_days = ((records["record_time"] - EPOCH).dt.total_microseconds() / 8.64e10).to_numpy()
        arrays = {
            "record_id": records["record_id"].to_numpy().astype("S64"),
            "subject_id": records["subject_id"].to_numpy(),
            "study_id": records["study_id"].to_numpy(),
            "time_days": time_days.astype(np.float64),
            "split": np.array([order[split] for split in records["split"]], dtype=np.uint8),
        }
        indptr, indices = self._history(source)
        self.writer.add_source(source, **arrays, history_indptr=indptr, history_indices=indices)
        self.note(source, "records", "index", 0, np.ones(records.height), *arrays.values())
        size = self.sizes["diagnosis_vocabulary"]
        self.note(source, "history", "codes", size, np.diff(indptr), indptr, indices)

    def add_ehr(self) -> None:
        """Write diagnoses, drugs, demographics, hourly series and notes."""
        codes = self.tables["ehr_codes"].with_columns(pl.col("hadm_id").cast(pl.String).alias("record_id"))
        diagnoses = codes.filter(pl.col("kind").cast(pl.String) == "diagnosis").join(
            self.tables["diagnosis_vocabulary"].select("icd_version", pl.col("icd_code").alias("code"), "code_index"),
            on=["icd_version", "code"],
        )
        self._add_codes("diagnosis", diagnoses, self.sizes["diagnosis_vocabulary"])
        drugs = codes.filter(pl.col("kind").cast(pl.String) == "drug").join(
            self.tables["drug_vocabulary"].select(
                pl.col("drug").alias("code"), pl.col("drug_index").alias("code_index")
            ),
            on="code",
        )
        self._add_codes("drug", drugs, self.sizes["drug_vocabulary"])
        self._add_demographics()
        self._add_series()
        self._add_texts("ehr", "note", pl.col("record_id"))

    def add_cxr(self) -> None:
        """Write images and reports."""
        self._add_images()
        self._add_texts("cxr", "report", pl.col("study_id").cast(pl.String))

    def add_links(self) -> None:
        """Write the same-patient pairs between the chosen records of every pair of sources."""
        linked: dict[str, list[Array]] = {source: [] for source in SOURCES}
        written: dict[str, list[Array]] = {source: [] for source in SOURCES}
        for left, right in SOURCE_PAIRS:
            pairs = self._pairs(left, right)
            s, t, gap = (pairs[column].to_numpy() for column in ("s", "t", "gap_days"))
            self.writer.add_links(left, right, s_records=s, t_records=t, gap_days=gap)
            for source, own in ((left, s), (right, t)):
                linked[source].append(own)
                written[source] += [s, t, gap]
        for source in SOURCES:
            present = np.unique(np.concatenate(linked[source])) + 1
            self.note(source, "links", "index", 0, present, *written[source])

    def _pairs(self, left: str, right: str) -> pl.DataFrame:
        records = {source: self.records[source].lazy().select("record_id", "record") for source in (left, right)}
        return (
            self.tables["same_patient_pairs"]
            .filter((pl.col("source").cast(pl.String) == left) & (pl.col("other_source").cast(pl.String) == right))
            .join(records[left].rename({"record": "s"}), on="record_id")
            .join(records[right].rename({"record_id": "other_record_id", "record": "t"}), on="other_record_id")
            .select("s", "t", pl.col("gap_days").cast(pl.Float32))
            .sort("s", "t")
            .collect()
        )

    def _history(self, source: str) -> tuple[Array, Array]:
        rows = (
            self.tables["diagnosis_histories"]
            .filter(pl.col("source").cast(pl.String) == source)
            .select("record_id", pl.col("code_indices").alias("code_index"))
            .explode("code_index")
            .filter(pl.col("code_index").is_not_null())
        )
        return self._compressed(source, rows)

    def _add_codes(self, modality: str, rows: pl.LazyFrame, size: int) -> None:
        indptr, indices = self._compressed("ehr", rows.select("record_id", "code_index"))
        self.writer.add_codes("ehr", modality, indptr=indptr, indices=indices, size=size)
        self.note("ehr", modality, "codes", size, np.diff(indptr), indptr, indices)

    def _compressed(self, source: str, rows: pl.LazyFrame) -> tuple[Array, Array]:
        """Return boundaries and ascending distinct positions of (record_id, code_index) rows of chosen records."""
        records = self.records[source]
        cells = (
            rows.join(records.lazy().select("record_id", "record"), on="record_id")
            .select("record", "code_index")
            .unique()
            .sort("record", "code_index")
            .collect()
        )
        return _boundaries(cells["record"], records.height), cells["code_index"].cast(pl.Int32).to_numpy()

    def _add_demographics(self) -> None:
        records = self.records["ehr"].select("record", hadm_id=pl.col("study_id"))
        held = self.tables["ehr_demographics"].join(records.lazy(), on="hadm_id").sort("record").collect()
        values = np.zeros((records.height, len(demographics_names())), dtype=np.float32)
        present = np.zeros(records.height, dtype=bool)
        values[held["record"].to_numpy()] = encode_demographics(held)[1]
        present[held["record"].to_numpy()] = True
        self.writer.add_dense("ehr", "demographics", values=values, present=present)
        self.note("ehr", "demographics", "dense", values.shape[1], present, values, present)

    def _add_series(self) -> None:
        max_stays, num_bins = int(self.settings["max_stays"]), int(self.settings["window_hours"])
        records = self.records["ehr"].lazy().select("record", hadm_id=pl.col("study_id"))
        stays = (
            self.tables["ehr_stays"]
            .filter(pl.col("stay_index") < max_stays)
            .select("hadm_id", "stay_id", "stay_index")
            .join(records, on="hadm_id")
            .sort("record", "stay_index", "stay_id")
            .with_row_index("stay")
            .select("record", "stay_id", pl.col("stay").cast(pl.Int64))
            .collect()
        )
        cells = (
            self.tables["ehr_series"]
            .filter(pl.col("bin") < num_bins)
            .join(stays.lazy().select("stay_id", "stay"), on="stay_id", maintain_order="left")
        )
        cell_indptr = _cell_boundaries(cells, stays.height)
        lengths = dict.fromkeys(("bin", "feature", "value"), int(cell_indptr[-1]))
        arrays = {
            "stay_indptr": _boundaries(stays["record"], self.records["ehr"].height),
            "cell_indptr": cell_indptr,
            **self.writer.allocate("ehr", "series", "series", lengths),
        }
        _fill_cells(arrays, cells)
        size = self.sizes["series_features"]
        self.writer.add_series("ehr", "series", **arrays, size=size, num_bins=num_bins, max_stays=max_stays)
        present = np.diff(arrays["cell_indptr"][arrays["stay_indptr"]])
        self.note("ehr", "series", "series", size, present, *arrays.values())

    def _add_texts(self, source: str, modality: str, text_id: pl.Expr) -> None:
        records = self.records[source].select("record", text_id.alias("text_id"))
        texts = (
            self.tables["text_tokens"]
            .filter((pl.col("source").cast(pl.String) == source) & (pl.col("token_indices").list.len() > 0))
            .select("text_id", "token_indices")
            .join(records.lazy(), on="text_id", how="semi")
            .sort("text_id")
            .with_row_index("row")
            .collect()
        )
        found = records.join(texts.select("text_id", pl.col("row").cast(pl.Int64)), on="text_id", how="left")
        row = found.sort("record")["row"].fill_null(-1).to_numpy()
        lengths = texts["token_indices"].list.len().cast(pl.Int64).to_numpy()
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        tokens = texts["token_indices"].explode().drop_nulls().cast(pl.Int32).to_numpy()
        size = self.sizes["tokenizer_vocabulary"]
        self.writer.add_text(
            source, modality, row=row, offsets=offsets, tokens=tokens, size=size, pad_id=self._pad_index()
        )
        self.note(source, modality, "text", size, row >= 0, row, offsets, tokens)

    def _pad_index(self) -> int:
        found = self.tables["tokenizer_vocabulary"].filter(pl.col("token") == PAD).select("token_index").collect()
        if found.height != 1:
            raise ValueError(f"tokenizer_vocabulary has {found.height} tokens {PAD}; it must have one")
        return int(found.item())

    def _add_images(self) -> None:
        records = self.records["cxr"].select("record", dicom_id=pl.col("record_id"))
        held = (
            self.tables["cxr_images"]
            .select("dicom_id", "pixel_sha256")
            .join(records.lazy(), on="dicom_id")
            .sort("record")
            .collect()
        )
        places = self.store.locate(held["pixel_sha256"])
        names = places["shard"].unique().sort().to_list()
        numbers = {name: number for number, name in enumerate(names)}
        shard, row = (np.full(records.height, -1, dtype=np.int32) for _ in range(2))
        at = held["record"].to_numpy()
        shard[at] = [numbers[name] for name in places["shard"]]
        row[at] = places["row"].to_numpy()
        digests = dict(zip(held["record"], held["pixel_sha256"], strict=True))
        pixels = np.array([digests.get(record, "") for record in range(records.height)], dtype="S64")
        size = int(self.settings["image_size"])
        self.note("cxr", "image", "image", size, shard >= 0, pixels)
        self.writer.add_images(
            "cxr",
            "image",
            shard=shard,
            row=row,
            shards=[self.store.shard_path(name) for name in names],
            size=size,
            digest=_digest("image", size, pixels),
        )


def _vocabulary_size(tables: Tables, name: str) -> int:
    size = int(tables[name].select(pl.len()).collect().item())
    if size == 0:
        raise ValueError(
            f"{name} is empty: no pre-training record passes its thresholds; lower them or check its inputs"
        )
    return size


def _boundaries(owners: pl.Series, num_owners: int) -> Array:
    """Return where the entries of each owner begin and end, int64 (num_owners + 1,); `owners` is ascending."""
    counts = np.bincount(owners.to_numpy(), minlength=num_owners) if len(owners) else np.zeros(num_owners, np.int64)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


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


def _digest(kind: str, size: int, *arrays: Array) -> str:
    digest = hashlib.sha256(f"{kind} {size}".encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
