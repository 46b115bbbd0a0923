"""What becomes known at the index time or after it changes no input, whatever table it is written to.

A synthetic hospital is written twice: as it is, and with everything that its last stays show written again so that it
happens, ends or is stored at the index time, and with another end: deaths, units, summaries, orders, readmissions. The
labels move; what a method is given of an example must not move by a bit. That such rows would be seen is shown by the
same rows a second earlier.
"""

import zlib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from data_contracts import CONTRACTS
from medcsp_model.corpus import Corpus
from medcsp_model.evaluation.task_data import INPUTS, RecordInputs
from pipelines.features.concepts import read_concepts
from pipelines.features.label_items import read_label_items
from pipelines.features.prediction_corpus import SPACES, write_task_folder
from pipelines.features.series import SeriesSettings
from pipelines.features.series_fit import fit_series
from pipelines.features.tasks import known_readings, series_to_read, task_table
from pipelines.sources import SOURCES
from pipelines.synthetic import SyntheticSettings, write_sources
from pipelines.synthetic.settings import FOLDERS

WORLD = SyntheticSettings(
    num_ehr_subjects=8,
    num_linked_subjects=0,
    num_cxr_only_subjects=0,
    num_holdout_subjects=20,
    num_metavision_subjects=20,
    num_carevue_subjects=20,
    num_twins=2,
    sources=("mimic_iv", "mimic_iv_note", "mimic_iii", "mimic_iii_carevue"),
)
FILES = {
    **{
        table: f"records/{table}.sql"
        for table in (
            *("ehr_admissions", "ehr_records", "ehr_stays", "admission_diagnoses", "ehr_codes", "ehr_readings"),
            *("ehr_shared_readings", "ehr_notes", "ehr_demographics"),
        )
    },
    "cohort_split": "links/cohort_split.sql",
    **{
        table: f"labels/{table}.sql"
        for table in (
            *("prediction_stays", "labels_arf", "labels_shock", "labels_mortality", "labels_aki", "labels_readmission"),
            *("prediction_split", "prediction_labels", "prediction_inputs"),
        )
    },
}
POINTS = ("chartevents", "labevents", "outputevents", "datetimeevents", "inputevents_cv", "microbiologyevents")
SPANS = ("inputevents", "inputevents_mv", "procedureevents", "procedureevents_mv")
KINDS = ("chart", "lab", "micro", "output", "datetime", "input", "amount", "procedure")
"""First word of the variables of each table of events."""
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)

Tables = dict[str, pl.DataFrame]


@pytest.fixture(scope="module")
def raw_tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    raw = tmp_path_factory.mktemp("later") / "raw"
    write_sources(raw, settings=WORLD)
    return {
        table.table: table.read(raw / FOLDERS[source]).drop("_rejected").collect()
        for source in WORLD.sources
        for table in SOURCES[source].tables
        if "__d_" not in table.table
    }


def built(database, raw_tables: Mapping[str, pl.DataFrame]) -> Tables:
    """Every table that a task folder is made of, and the stays."""
    database.set(ehr_holdout_share=WORLD.holdout_share, holdout_seed=WORLD.holdout_seed)
    known = {"label_items": read_label_items(), "concept_items": read_concepts(), "prediction_tasks": task_table()}
    database.fill({**raw_tables, **known})
    return {table: database.build(table, file) for table, file in FILES.items()}


def last_stays(tables: Tables, index_event: str) -> pl.DataFrame:
    """The last stay of every patient who is evaluated: stay_id, hadm_id, subject_id, begin and index time."""
    stays = tables["prediction_stays"].filter(pl.col("cohorts").list.len() > 0, "is_kept")
    last = stays.sort("in_time").group_by("subject_id", maintain_order=True).last()
    index = "index_time" if index_event == "icu_48h" else "discharge_time"
    return last.select("stay_id", "hadm_id", "subject_id", begin="in_time", index=index)


def with_later_events(raw_tables: Tables, stays: pl.DataFrame, moved: timedelta) -> Tables:
    """The tables, and every event of some stays again: happening, ending or stored at the index time, and after it."""
    tables = dict(raw_tables)
    for name, rows in raw_tables.items():
        kind = name.split("__")[1]
        if kind not in POINTS + SPANS or rows.is_empty():
            continue
        of_stay = {"icustay_id", "stay_id"} & set(rows.columns)
        key = of_stay.pop() if of_stay else "subject_id"
        begin = "starttime" if kind in SPANS else "charttime"
        own = rows.join(
            stays.select(pl.col("stay_id" if key != "subject_id" else key).alias(key), "begin", "index"), on=key
        )
        own = own.filter(pl.col(begin) < pl.col("index"))
        known, copies = pl.col("index") + moved, []
        other = [
            (pl.col(value) * 1.4 + 1).alias(value) for value in ("valuenum", "amount", "rate") if value in rows.columns
        ]
        own = own.with_columns(other)
        if kind in SPANS:
            runs = pl.col("rate").is_null() if "rate" in rows.columns else pl.lit(True)
            copies += [
                own.filter(runs).with_columns(endtime=known, storetime=begin),
                own.with_columns(storetime=known),
                own.with_columns(starttime=known, endtime=known + HOUR, storetime=known),
            ]
        else:
            at_index = {"charttime": known} | ({"storetime": known} if "storetime" in rows.columns else {})
            copies.append(own.with_columns(**at_index))
            if "storetime" in rows.columns and kind != "microbiologyevents":
                copies.append(own.with_columns(storetime=known))
        added = pl.concat(copies).select(rows.columns).cast(dict(rows.schema))
        tables[name] = pl.concat([rows, added])
    return tables


def with_another_end(raw_tables: Tables, stays: pl.DataFrame, index_event: str) -> Tables:
    """The tables with other things after the index time of some stays: an end, orders, summaries and admissions."""
    tables = dict(raw_tables)
    for source in ("mimic_iv", "mimic_iii", "mimic_iii_carevue"):
        key = "stay_id" if source == "mimic_iv" else "icustay_id"
        admissions, units, patients = (f"{source}__{name}" for name in ("admissions", "icustays", "patients"))
        own = pl.col("hadm_id").is_in(stays["hadm_id"].implode())
        who = pl.col("subject_id").is_in(stays["subject_id"].implode())
        tables[patients] = tables[patients].with_columns(_where(who, "dod", pl.lit("2300-01-01").str.to_datetime()))
        if index_event == "icu_48h":
            later = {"dischtime": pl.col("dischtime") + 9 * DAY, "deathtime": pl.col("dischtime") + 9 * DAY}
            later |= {"hospital_expire_flag": pl.lit(1), "discharge_location": pl.lit("DIED")}
            tables[admissions] = tables[admissions].with_columns(_where(own, *pair) for pair in later.items())
            left = {"outtime": pl.col("outtime") + 8 * DAY, "los": pl.lit(99.0), "last_careunit": pl.lit("CCU")}
            tables[units] = tables[units].with_columns(
                _where(pl.col(key).is_in(stays["stay_id"].implode()), *pair) for pair in left.items()
            )
            codes = "icd_code" if source == "mimic_iv" else "icd9_code"
            diagnoses = f"{source}__diagnoses_icd"
            tables[diagnoses] = tables[diagnoses].with_columns(_where(own, codes, pl.lit("4275")))
        else:
            _add_orders(tables, source, stays)
            _add_summaries(tables, source, stays)
            for name in (admissions, units, f"{source}__diagnoses_icd"):
                again = tables[name].join(stays.select("hadm_id", "index"), on="hadm_id")
                times = [time for time in ("admittime", "dischtime", "intime", "outtime") if time in again.columns]
                began = pl.col(times[0]).min().over("hadm_id") if times else None
                again = again.with_columns(
                    pl.col("hadm_id") + 500_000,
                    *(pl.col(key) + 500_000 for key in ("stay_id", "icustay_id") if key in again.columns),
                    *(pl.col(time) - began + pl.col("index") + 5 * DAY for time in times),
                )
                tables[name] = pl.concat([tables[name], again.select(tables[name].columns)])
    return tables


def _where(chosen: pl.Expr, column: str, value: pl.Expr) -> pl.Expr:
    return pl.when(chosen).then(value).otherwise(column).alias(column)


def _add_orders(tables: Tables, source: str, stays: pl.DataFrame) -> None:
    """Order every drug for everybody: at the discharge, later that day, and at no time that is known."""
    name = f"{source}__prescriptions"
    start = "starttime" if source == "mimic_iv" else "startdate"
    drugs = tables[name].filter(drug_type="MAIN").select("drug", "drug_type").unique(maintain_order=True)
    mine = stays.join(tables[f"{source}__admissions"].select("hadm_id"), on="hadm_id", how="semi")
    orders = mine.join(drugs, how="cross").select(
        "subject_id", "hadm_id", "drug", "drug_type", pl.col("index").alias(start)
    )
    times = [orders, orders.with_columns(pl.col(start) + HOUR), orders.with_columns(pl.lit(None).alias(start))]
    tables[name] = pl.concat([tables[name], _rows(name, pl.concat(times, how="vertical_relaxed"))])


def _add_summaries(tables: Tables, source: str, stays: pl.DataFrame) -> None:
    """Write everybody another summary the day after the discharge."""
    mine = stays.join(tables[f"{source}__admissions"].select("hadm_id"), on="hadm_id", how="semi")
    day = pl.col("index").dt.truncate("1d") + DAY
    if source == "mimic_iv":
        name = "mimic_iv_note__discharge"
        kind = {"note_id": pl.format("{}-DS-9", "hadm_id"), "note_type": pl.lit("DS"), "note_seq": pl.lit(9)}
        when = {"charttime": day, "storetime": day + HOUR}
    else:
        name = f"{source}__noteevents"
        kind = {"category": pl.lit("Discharge summary"), "description": pl.lit("Report")}
        when = {"chartdate": day}
    notes = mine.select("subject_id", "hadm_id", **kind, **when, text=pl.lit("came back"))
    tables[name] = pl.concat([tables[name], _rows(name, notes)])


def _rows(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of a contract; the columns that are not given are null."""
    schema = {name: column.dtype for name, column in CONTRACTS[table].columns().items()}
    absent = [pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in rows.columns]
    return rows.with_columns(absent).select(*schema).cast(schema)


def vocabularies(tables: Tables) -> Tables:
    """Everything that is read, as features and codes: fitted once, so that another input is another number."""
    stays = tables["ehr_stays"].lazy()
    codes = tables["ehr_codes"].select("kind", "code", "icd_version").unique().sort("code", "icd_version")
    drugs, diagnoses = (codes.filter(pl.col("kind").cast(pl.String) == kind) for kind in ("drug", "diagnosis"))
    return {
        **{
            space.features: fit_series(
                tables[space.readings].lazy(), stays, SeriesSettings(theta_1=0.0, theta_2=0.0)
            ).features
            for space in SPACES.values()
        },
        "drug_vocabulary": drugs.select(pl.int_range(pl.len()).alias("drug_index"), drug="code"),
        "diagnosis_vocabulary": diagnoses.select(
            pl.int_range(pl.len()).alias("code_index"), "icd_version", icd_code="code"
        ),
        "tokenizer_vocabulary": pl.DataFrame({"token": ["[PAD]", *"abcdefg"], "token_index": range(8)}),
    }


def inputs_of(
    tables: Tables, fitted: Tables, folder: Path, *, index_event: str, space: str
) -> dict[str, list[torch.Tensor]]:
    """What every method is given of each example, by its id."""
    texts = tables["ehr_notes"].select(
        text_id=pl.col("hadm_id").cast(pl.String),
        source=pl.lit("ehr"),
        token_indices=pl.col("text").map_elements(
            lambda text: [1 + zlib.crc32(word.encode()) % 7 for word in text.split()[:200]],
            return_dtype=pl.List(pl.Int64),
        ),
    )
    given = {name: frame.lazy() for name, frame in {**tables, **fitted, "text_tokens": texts}.items()}
    scratch = folder.with_name(f"{folder.name}_cells")
    scratch.mkdir()
    write_task_folder(
        folder,
        name="corpus",
        index_event=index_event,
        space=SPACES[space],
        tables=given,
        readings=[given[SPACES[space].readings]],
        scratch=scratch,
        synthetic=True,
        settings={"max_stays": 3, "window_hours": 48},
        inputs={},
    )
    corpus = Corpus.open(folder)
    inputs, ids = RecordInputs(corpus), corpus.sources["ehr"].record_id
    found = {}
    for record, name in enumerate(ids.astype(str).tolist()):
        batch = inputs.batch(np.array([record]), ("stays", *INPUTS))
        note = batch.note_BL[batch.note_BL > 0]  # how far a text is padded depends on the longest one
        found[name] = [
            batch.series_BTF,
            batch.stays_STF,
            batch.demographics_BE,
            batch.diagnosis_BC,
            batch.drug_BG,
            note,
        ]
    return found


def read_of_each_kind(tables: Tables, examples: set[str], index_event: str) -> dict[str, int]:
    """How many readings of each kind some examples may read."""
    series = series_to_read(tables["prediction_inputs"].lazy(), index_event=index_event)
    own = series.filter(pl.col("example_stay_id").cast(pl.String).is_in(list(examples)))
    known = known_readings(tables["ehr_readings"].lazy(), own)
    kinds = known.select(pl.col("variable").str.split("_").list.first()).collect()["variable"]
    return dict(kinds.value_counts().iter_rows())


def changed(before: dict[str, list[torch.Tensor]], after: dict[str, list[torch.Tensor]]) -> list[str]:
    """Examples of both whose inputs differ."""
    return [name for name in before.keys() & after.keys() if not all(map(torch.equal, before[name], after[name]))]


@pytest.mark.parametrize("index_event", ["icu_48h", "discharge"])
def test_no_input_knows_what_comes_at_the_index_time_or_after_it(
    raw_tables: Tables, database, tmp_path: Path, index_event: str
) -> None:
    tables = built(database, raw_tables)
    fitted, stays = vocabularies(tables), last_stays(tables, index_event)
    worlds = {
        "later": built(
            database, with_another_end(with_later_events(raw_tables, stays, timedelta()), stays, index_event)
        ),
        "a second earlier": built(database, with_later_events(raw_tables, stays, -SECOND)),
    }
    for space in SPACES:
        place = {"index_event": index_event, "space": space}
        before = inputs_of(tables, fitted, tmp_path / space, **place)
        later, earlier = (
            inputs_of(world, fitted, tmp_path / f"{space} {name}", **place) for name, world in worlds.items()
        )
        told = before.keys() & later.keys() & set(stays["stay_id"].cast(pl.String))
        assert len(told) > 20, space
        assert changed(before, later) == [], space
        assert len(changed(before, earlier)) > 20, space
    read, read_later, read_earlier = (
        read_of_each_kind(world, told, index_event) for world in (tables, *worlds.values())
    )
    assert read == read_later
    unseen = {kind for kind in KINDS if read_earlier.get(kind, 0) <= read.get(kind, 0)}
    assert unseen == ({"micro"} if index_event == "discharge" else set()), "a specimen has no time of storing"
    answers = [
        world["prediction_labels"].select("task", "horizon", "cohort", "stay_id", "label")
        for world in (tables, worlds["later"])
    ]
    both = answers[0].join(answers[1], on=["task", "horizon", "cohort", "stay_id"])
    assert both.filter(pl.col("label") != pl.col("label_right")).height > 20, "the labels do know"
