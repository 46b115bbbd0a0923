"""The training corpus: from feature tables to the folder of arrays that `medcsp_model.corpus` describes.

Who stands in a corpus, in which order, and what ties records together. How a modality is made is in
`corpus_modalities`; the format, its checks and its writer are in `medcsp_model.corpus`; cohorts and links are made by
SQL.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from medcsp_model.corpus import CorpusWriter
from pipelines.features.corpus_modalities import MODALITIES, Array, CorpusParts, Tables, vocabulary_size
from pipelines.features.image_store import ImageStore
from pipelines.features.pretrain_sources import PretrainSource, check_sources, linked_pairs

CONTENTS_SCHEMA = {
    "source": pl.String,
    "modality": pl.String,
    "kind": pl.String,
    "size": pl.Int64,
    "num_records": pl.Int64,
    "num_present": pl.Int64,
    "content_sha256": pl.String,
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def write_corpus(
    folder: Path,
    *,
    name: str,
    tables: Tables,
    sources: Sequence[PretrainSource],
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
        tables: by name: cohort_split, diagnosis_histories, diagnosis_vocabulary, same_patient_pairs, tables of records,
            and those that the modalities of the sources are made from.
        sources: what is written, in this order.
        splits: splits of cohort_split whose records are written; the corpus's splits, in this order.
        store: the pixels that cxr_images names.
        synthetic: whether any record is made up.
        settings: kept in corpus.json; `max_stays`, `window_hours` and `image_size` shape the arrays.
        inputs: version of each table, kept in corpus.json.

    Returns:
        Rows of contract PretrainCorpus: one per source and modality, and per source `records`, `history` and `links`,
        each with a digest of its contents that does not depend on where pixels lie.

    Raises:
        ValueError: a vocabulary is empty, a record stands in cohort_split but in no record table, or a modality is not
            known.
    """
    check_sources(sources, modalities=MODALITIES)
    writer = CorpusWriter(
        folder,
        name=name,
        synthetic=synthetic,
        splits=list(splits),
        history_size=vocabulary_size(tables, "diagnosis_vocabulary"),
        settings=settings,
        inputs=inputs,
    )
    parts = CorpusParts(writer=writer, tables=tables, store=store, settings=settings)
    for source in sources:
        _add_records(parts, source, splits)
    for source in sources:
        for modality in source.modalities:
            MODALITIES[modality](parts, source.name, modality)
    _add_links(parts, sources)
    writer.finish()
    return pl.DataFrame(parts.contents, schema=CONTENTS_SCHEMA, orient="row")


def _add_records(parts: CorpusParts, source: PretrainSource, splits: Sequence[str]) -> None:
    """Write ids, times, splits and histories of one source, ordered by record_id."""
    records = _chosen(parts.tables, source, splits)
    parts.records[source.name] = records.with_row_index("record").with_columns(pl.col("record").cast(pl.Int64))
    order = {split: index for index, split in enumerate(splits)}
    time_days = (records["record_time"] - EPOCH).dt.total_microseconds().cast(pl.Float64) / 8.64e10
    arrays = {
        "record_id": records["record_id"].to_numpy().astype("S64"),
        "subject_id": records["subject_id"].to_numpy(),
        "study_id": records["study_id"].to_numpy(),
        "time_days": time_days.fill_null(np.nan).to_numpy().astype(np.float64),
        "split": np.array([order[split] for split in records["split"]], dtype=np.uint8),
    }
    histories = (
        parts.tables["diagnosis_histories"]
        .filter(pl.col("source") == source.name)
        .select("record_id", pl.col("code_indices").alias("code_index"))
        .explode("code_index")
        .filter(pl.col("code_index").is_not_null())
    )
    indptr, indices = parts.compressed(source.name, histories)
    parts.writer.add_source(source.name, **arrays, history_indptr=indptr, history_indices=indices)
    parts.note(source.name, "records", "index", 0, np.ones(records.height), *arrays.values())
    size = vocabulary_size(parts.tables, "diagnosis_vocabulary")
    parts.note(source.name, "history", "codes", size, np.diff(indptr), indptr, indices)


def _chosen(tables: Tables, source: PretrainSource, splits: Sequence[str]) -> pl.DataFrame:
    """Return the records of a source that stand in some splits, by record_id."""
    of_source = pl.col("source") == source.name
    held = tables[source.records]
    if "source" in held.collect_schema():
        held = held.filter(of_source)
    records = (
        tables["cohort_split"]
        .filter(of_source & pl.col("split").is_in(list(splits)))
        .select("record_id", "subject_id", "study_id", "split")
        .join(held.select("record_id", "record_time", is_held=True), on="record_id", how="left")
        .sort("record_id")
        .collect()
    )
    if lost := records["is_held"].null_count():
        raise ValueError(
            f"{source.records} lacks {lost} of {records.height} records that cohort_split names; publish both again"
        )
    return records.drop("is_held")


def _add_links(parts: CorpusParts, sources: Sequence[PretrainSource]) -> None:
    """Write the same-patient pairs between the chosen records of every pair of sources that share patients."""
    linked: dict[str, list[Array]] = {source.name: [] for source in sources}
    written: dict[str, list[Array]] = {source.name: [] for source in sources}
    for left, right in linked_pairs(sources):
        pairs = _pairs(parts, left, right)
        s, t, gap = (pairs[column].to_numpy() for column in ("s", "t", "gap_days"))
        parts.writer.add_links(left, right, s_records=s, t_records=t, gap_days=gap)
        for source, own in ((left, s), (right, t)):
            linked[source].append(own)
            written[source] += [s, t, gap]
    for source in linked:
        present = np.unique(np.concatenate([*linked[source], np.zeros(0, np.int64)])) + 1
        parts.note(source, "links", "index", 0, present, *written[source])


def _pairs(parts: CorpusParts, left: str, right: str) -> pl.DataFrame:
    """Return the linked records of two sources, whichever of them the table names first."""
    pairs = parts.tables["same_patient_pairs"].select(
        "gap_days", s="record_id", t="other_record_id", s_source="source", t_source="other_source"
    )
    turned = pairs.rename({"s": "t", "t": "s", "s_source": "t_source", "t_source": "s_source"})
    records = {source: parts.records[source].lazy().select("record_id", "record") for source in (left, right)}
    return (
        pl.concat([pairs, turned.select(pairs.collect_schema().names())])
        .filter((pl.col("s_source") == left) & (pl.col("t_source") == right))
        .join(records[left].rename({"record": "s_record"}), left_on="s", right_on="record_id")
        .join(records[right].rename({"record": "t_record"}), left_on="t", right_on="record_id")
        .select(s="s_record", t="t_record", gap_days=pl.col("gap_days").cast(pl.Float32))
        .sort("s", "t")
        .collect()
    )
