"""Task folders: a corpus of the examples of one index event in one feature space, with a table of labels beside it.

What a task folder is, `medcsp_model.evaluation.task_data` says; which rows may be read, `prediction_inputs` and the
registry of `tasks` say. Of a table only ids, times and declared columns are looked at, so that nothing that is known at
the end of a stay can reach a folder. There are no histories and no links: both would say what came later.

In the native space stand the cohorts whose clinical systems share MIMIC-IV's item ids; in the shared one all cohorts,
because a model is compared across systems in one space alone. A stay is encoded for each index time anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_contracts.labels import COHORT_NOTES, PREDICTION_SPLITS
from medcsp_model.corpus import CorpusWriter
from pipelines.features import corpus_modalities as modalities
from pipelines.features.corpus_modalities import CorpusParts, Tables
from pipelines.features.series import SeriesSettings, SeriesVocabulary, encode_series
from pipelines.features.tasks import NEVER, TASKS, IndexEvent, Input, known_readings, series_to_read

SOURCE = "ehr"
SPLITS = tuple(PREDICTION_SPLITS)
INDEX_EVENTS = {task.index_event.name: task.index_event for task in TASKS.values()}
PLACES = frozenset(
    {
        *("subject_id", "hadm_id", "stay_id", "source", "text_id", "kind"),
        *("known_time", "known_hours"),
    }
)
"""Columns by which rows of an input are found."""
MODALITIES = {
    "series": "series",
    "demographics": "demographics",
    "summary": "note",
    "drugs": "drug",
    "diagnoses": "diagnosis",
}
"""What an input is called in a corpus."""
VOCABULARIES = {"diagnosis": "diagnosis_vocabulary", "drug": "drug_vocabulary", "note": "tokenizer_vocabulary"}
AGE_BANDS = {45.0: "under_45", 65.0: "45_to_64", 80.0: "65_to_79"}
OLDEST = "80_and_over"
CONTENTS_SCHEMA = {
    "space": pl.String,
    "source": pl.String,
    "modality": pl.String,
    "kind": pl.String,
    "size": pl.Int64,
    "num_records": pl.Int64,
    "num_present": pl.Int64,
    "content_sha256": pl.String,
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


class VocabularyMismatchError(ValueError):
    """A task folder and a checkpoint do not mean the same by a position in a vocabulary."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """One feature space: the readings that are encoded, the features, and the cohorts that have such readings."""

    name: str
    readings: str
    features: str
    cohorts: tuple[str, ...]


SPACES = {
    space.name: space
    for space in (
        Space(
            name="native",
            readings="ehr_readings",
            features="series_features",
            cohorts=("ehr_holdout", "metavision"),
        ),
        Space(
            name="shared",
            readings="ehr_shared_readings",
            features="shared_series_features",
            cohorts=tuple(COHORT_NOTES),
        ),
    )
}


def write_task_folder(
    folder: Path,
    *,
    name: str,
    index_event: str,
    space: Space,
    tables: Tables,
    readings: Sequence[pl.LazyFrame],
    scratch: Path,
    synthetic: bool,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> pl.DataFrame:
    """Write the examples of an index event in one feature space, and their labels.

    Args:
        folder: new or empty.
        name: name of the corpus.
        index_event: as in prediction_labels.
        space: its cohorts are written.
        tables: by name: prediction_labels, prediction_inputs, ehr_demographics, the features of the space, and for
            discharge ehr_codes, text_tokens and their vocabularies.
        readings: rows of the readings of the space, in parts of whole subjects; one part is in memory at a time.
        scratch: an empty folder for cells on their way.
        synthetic: whether any record is made up.
        settings: kept in corpus.json; `max_stays` and `window_hours` shape the arrays.
        inputs: version of each table, kept in corpus.json; those of the other space are left out.

    Returns:
        One row per modality, and for `records` and `labels`, each with a digest of its contents.

    Raises:
        ValueError: a vocabulary is empty.
    """
    event = INDEX_EVENTS[index_event]
    tables = {table: readable(rows, event) if table in _read_by(event) else rows for table, rows in tables.items()}
    labels = _labels(tables, event, space)
    flags = {MODALITIES[item.name]: item.flag for item in event.inputs if item.flag}
    writer = CorpusWriter(
        folder,
        name=name,
        synthetic=synthetic,
        splits=list(SPLITS),
        history_size=modalities.vocabulary_size(tables, VOCABULARIES["diagnosis"]),
        settings={**settings, "index_event": index_event, "space": space.name, "flags": flags},
        inputs={table: version for table, version in inputs.items() if table not in _tables_of_others(space)},
    )
    parts = CorpusParts(writer=writer, tables=tables, settings=settings)
    _add_examples(parts, labels)
    for item in event.inputs:
        if item.name == "series":
            _add_series(parts, event, space, readings, scratch)
        else:
            _add_input(parts, event, item)
    writer.finish()
    _write_labels(parts, folder, labels)
    return pl.DataFrame([{"space": space.name, **row} for row in parts.contents], schema=CONTENTS_SCHEMA, orient="row")


def readable(rows: pl.LazyFrame, event: IndexEvent) -> pl.LazyFrame:
    """Return the columns of a table that an index event declares, and those by which rows are found; no other."""
    declared = {column for item in event.inputs for column in item.columns}
    assert not declared & NEVER, "an input refuses such columns"
    return rows.select([name for name in rows.collect_schema().names() if name in PLACES | declared])


def check_vocabularies(corpus: Mapping[str, Any], trained_on: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that was trained with other vocabularies than a task folder is coded with.

    Args:
        corpus: corpus.json of the task folder.
        trained_on: corpus.json of the corpus that the checkpoint was trained on.

    Raises:
        VocabularyMismatchError: a modality of both is coded with another version of its vocabulary, in another feature
            space, or is of another width.
    """
    features = SPACES[corpus["settings"]["space"]].features
    ours, theirs = (meta["sources"][SOURCE]["modalities"] for meta in (corpus, trained_on))
    for modality in ours.keys() & theirs.keys():
        table = features if modality == "series" else VOCABULARIES.get(modality, "ehr_demographics")
        here, there = corpus["inputs"].get(table), trained_on["inputs"].get(table)
        is_same_vocabulary = modality not in {"series", *VOCABULARIES} or here == there
        if is_same_vocabulary and ours[modality]["size"] == theirs[modality]["size"]:
            continue
        raise VocabularyMismatchError(
            f"{corpus['name']}, space {corpus['settings']['space']}: {modality} is {ours[modality]['size']} wide, by"
            f" {table} version {here}; the checkpoint was trained on {trained_on['name']}: {theirs[modality]['size']}"
            f" wide, {table} version {there or 'none: another feature space'}. Evaluate a checkpoint of this space, or"
            f" publish {corpus['name']} and the checkpoint from the same vocabularies:"
            f" dagster asset materialize --select '{corpus['name']}, *pretrain_checkpoint'"
        )


def _read_by(event: IndexEvent) -> set[str]:
    return {table for item in event.inputs for table in item.tables}


def _tables_of_others(space: Space) -> set[str]:
    return {table for other in SPACES.values() if other != space for table in (other.readings, other.features)}


def _is(column: str, value: str) -> pl.Expr:
    return pl.col(column).cast(pl.String) == value


def _labels(tables: Tables, event: IndexEvent, space: Space) -> pl.DataFrame:
    """Return the labels of the cohorts, with the groups of their patients, ordered by task, horizon, cohort, record."""
    text = [pl.col(name).cast(pl.String) for name in ("task", "horizon", "cohort", "split")]
    ids = ("subject_id", "hadm_id", "stay_id", "index_time")
    labels = (
        tables["prediction_labels"]
        .filter(_is("index_event", event.name) & pl.col("cohort").cast(pl.String).is_in(space.cohorts))
        .select(*text, *ids, "label", "fold", record_id=pl.col("stay_id").cast(pl.String))
    )
    return (
        labels.join(_groups(tables["ehr_demographics"]), on="hadm_id", how="left")
        .with_columns(pl.col("^group_.*$").fill_null("unknown"))
        .sort("task", "horizon", "cohort", "record_id")
        .collect()
    )


def _groups(demographics: pl.LazyFrame) -> pl.LazyFrame:
    age = pl.col("age_years")
    bands = [pl.when(age < limit).then(pl.lit(name)) for limit, name in AGE_BANDS.items()]
    return demographics.select(
        "hadm_id",
        group_age=pl.coalesce(*bands, pl.when(age.is_not_null()).then(pl.lit(OLDEST))),
        group_sex=pl.col("gender").cast(pl.String),
        group_race=pl.col("race_group").cast(pl.String),
        group_insurance=pl.col("insurance_group").cast(pl.String),
    )


def _add_examples(parts: CorpusParts, labels: pl.DataFrame) -> None:
    """Write who is predicted: one record per stay, by record_id; the time is the index time."""
    columns = ("record_id", "subject_id", "hadm_id", "stay_id", "index_time", "split")
    examples = labels.select(columns).unique().sort("record_id")
    assert examples["record_id"].is_unique().all(), "a stay has one index time and one part"
    positions = pl.int_range(pl.len(), dtype=pl.Int64)
    parts.records[SOURCE] = examples.select(positions.alias("record"), *columns, study_id="hadm_id")
    order = {split: index for index, split in enumerate(SPLITS)}
    arrays = {
        "record_id": examples["record_id"].to_numpy().astype("S64"),
        "subject_id": examples["subject_id"].to_numpy(),
        "study_id": examples["hadm_id"].to_numpy(),
        "time_days": ((examples["index_time"] - EPOCH).dt.total_microseconds().cast(pl.Float64) / 8.64e10).to_numpy(),
        "split": np.array([order[split] for split in examples["split"]], dtype=np.uint8),
    }
    nothing = np.zeros(examples.height + 1, np.int64)
    parts.writer.add_source(SOURCE, **arrays, history_indptr=nothing, history_indices=np.zeros(0, np.int32))
    parts.note(SOURCE, "records", "index", 0, np.ones(examples.height), *arrays.values())


def _readers(parts: CorpusParts, event: IndexEvent, item: Input) -> pl.LazyFrame:
    """Return the examples that may read an input of their own stay or admission, and hold it."""
    found = parts.tables["prediction_inputs"].filter(
        _is("index_event", event.name)
        & _is("input", item.name)
        & (pl.col("input_stay_id") == pl.col("stay_id"))
        & (pl.col("num_rows") > 0)
    )
    return parts.records[SOURCE].lazy().join(found.select("stay_id"), on="stay_id", how="semi")


def _add_input(parts: CorpusParts, event: IndexEvent, item: Input) -> None:
    """Write what belongs to an admission, where it may be read."""
    readers = _readers(parts, event, item).select("record", "record_id", "hadm_id", "index_time")
    modality = MODALITIES[item.name]
    if item.name == "demographics":
        rows = parts.tables["ehr_demographics"].join(readers, on="hadm_id")
        modalities.write_demographics(parts, SOURCE, modality, rows)
    elif item.name == "summary":
        texts_of = readers.select("record", text_id=pl.col("hadm_id").cast(pl.String))
        modalities.write_texts(parts, SOURCE, modality, texts_of.collect())
    elif item.name == "drugs":
        codes = parts.tables["ehr_codes"].join(readers, on="hadm_id")
        modalities.write_drugs(parts, SOURCE, modality, codes.filter(pl.col("known_time") < pl.col("index_time")))
    else:
        assert item.name == "diagnoses", f"nobody knows how {item.name} is written"
        modalities.write_diagnoses(parts, SOURCE, modality, parts.tables["ehr_codes"].join(readers, on="hadm_id"))


def _add_series(
    parts: CorpusParts, event: IndexEvent, space: Space, readings: Sequence[pl.LazyFrame], scratch: Path
) -> None:
    """Write what was known of the stays by the index time; the example's own stay comes last."""
    examples = parts.records[SOURCE].select("record", example_stay_id="stay_id")
    series = (
        series_to_read(parts.tables["prediction_inputs"], index_event=event.name)
        .join(examples.lazy(), on="example_stay_id")
        .sort("record", "slot")
        .collect()
    )
    vocabulary = SeriesVocabulary(
        features=parts.tables[space.features].collect(),
        settings=SeriesSettings(window_hours=int(parts.settings["window_hours"])),
    )
    size = modalities.vocabulary_size(parts.tables, space.features)
    for number, part in enumerate(readings):
        known = known_readings(readable(part, event), series.drop("record").lazy())
        encode_series(known, vocabulary).collect().write_parquet(scratch / f"{number:05d}.parquet")
    stays = series.select("record", stay_id="series_id")
    cells = pl.scan_parquet(sorted(scratch.glob("*.parquet")), glob=False)
    modalities.write_series(parts, SOURCE, "series", stays=stays, cells=cells, size=size)


def _write_labels(parts: CorpusParts, folder: Path, labels: pl.DataFrame) -> None:
    """Write labels.npz."""
    groups = [name for name in labels.columns if name.startswith("group_")]
    columns: dict[str, NDArray[Any]] = {
        name: labels[name].to_numpy().astype("S")
        for name in ("record_id", "task", "cohort", "horizon", "split", *groups)
    }
    columns["label"] = labels["label"].to_numpy().astype(np.bool_)
    columns["fold"] = labels["fold"].to_numpy().astype(np.int32)
    np.savez(folder / "labels.npz", **columns)  # type: ignore[arg-type]
    labelled = np.isin(parts.records[SOURCE]["stay_id"].to_numpy(), labels["stay_id"].to_numpy())
    parts.note(SOURCE, "labels", "index", 0, labelled, *columns.values())
