"""What may be read to predict, the split, and the checks over both: planted rows at the boundary, planted faults."""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_contracts import CONTRACTS, labels
from lake.ids import id_share
from pipelines.features import tasks
from pipelines.features.label_items import LABEL_ITEMS_FILE, read_label_items

BEGIN = datetime(2150, 1, 10)
ALL = ("label_events", "labels_arf", "labels_shock", "labels_mortality", "labels_aki", "labels_readmission",
       "prediction_split", "prediction_labels", "prediction_inputs", "cohort_flow")  # fmt: skip


def at(hours: float) -> str:
    return str(BEGIN + timedelta(seconds=round(hours * 3600)))


def reading(stay: int, known: float, variable: str = "chart_1") -> dict[str, Any]:
    return {"subject_id": 1, "hadm_id": 10, "stay_id": stay, "variable": variable, "offset_hours": 1.0, "value": "1",
            "known_hours": known, "known_is_assumed": False}  # fmt: skip


def icu(stay: int, index: int, begins: float) -> dict[str, Any]:
    return {"system": "metavision", "database": "mimic_iii", "subject_id": 1, "hadm_id": 10, "stay_id": stay,
            "stay_index": index, "in_time": at(begins), "out_time": at(begins + 60)}  # fmt: skip


@pytest.fixture
def hospital(database):
    """Admission 10 of subject 1 with stays 100 (hour 0), 101 (hour 100) and 102 (hour 200), discharged at hour 300."""
    stays = [icu(100 + n, n, 100.0 * n) for n in range(3)]
    times = {"admit_time": at(-5), "discharge_time": at(300), "age_years": 60.0}
    admission = {"database": "mimic_iii", "subject_id": 1, "hadm_id": 10, "admit_time": at(-5)}
    coded = {"subject_id": 1, "hadm_id": 10, "icd_version": 0, "coded_after_discharge": False, "kind": "drug"}
    database.fill(
        {
            "prediction_tasks": tasks.task_table(),
            "label_items": read_label_items(),
            "ehr_stays": stays,
            "ehr_records": [{**admission, "discharge_time": at(300), "first_icu_time": at(0)}],
            "ehr_demographics": [{"subject_id": 1, "hadm_id": 10, "age_years": 60.0}],
            "cohort_split": [
                {"source": "ehr", "record_id": "10", "subject_id": 1, "study_id": 10, "split": "mimic_iii"}
            ],
            "prediction_stays": [
                {**stay, **times, "is_kept": True, "index_time": at(100.0 * n + 48), "is_death_in_hospital": False,
                 "candidate_of": ["metavision"], "cohorts": ["metavision"]}
                for n, stay in enumerate(stays)
            ],
            "ehr_readings": [
                reading(100, 47.999),
                reading(100, 48.0),  # exactly then is not yet known, 47 h into the stay or not
                reading(100, 147.9),
                reading(101, 2.0),
                reading(101, 48.5),
                reading(102, 3.0),
                reading(102, 100.0),
            ],
            "ehr_codes": [
                {**coded, "code": "known", "known_time": at(299)},
                {**coded, "code": "at the discharge", "known_time": at(300)},
                {**coded, "code": "4019", "kind": "diagnosis", "known_time": at(300), "coded_after_discharge": True},
            ],
            "ehr_notes": [
                {"subject_id": 1, "hadm_id": 10, "note_id": "a", "note_time": at(300)[:10] + " 00:00:00",
                 "known_time": at(350), "text": "x"}
            ],
        }
    )  # fmt: skip
    return database


@pytest.fixture
def inputs(hospital) -> pl.DataFrame:
    for table in ALL:
        rows = hospital.build(table, f"labels/{table}.sql")
        if table == "prediction_inputs":
            found = rows
    return found


def passes(database) -> dict[str, int]:
    """Checks of the labels that find something -> how many rows."""
    files = [path for table in (*ALL, "prediction_stays") for path in (database.sql / "checks").glob(f"{table}__*.sql")]
    counts = {path.stem: database.run(f"checks/{path.name}").height for path in files}
    return {name: count for name, count in counts.items() if count}


def test_what_was_known_before_the_index_time_of_this_and_earlier_stays(inputs, hospital) -> None:
    columns = ["stay_id", "input_stay_id", "before_hours", "num_rows", "num_late_rows"]
    series = inputs.filter(pl.col("input").cast(pl.String) == "series").sort("stay_id", "input_stay_id")
    at_48h = series.filter(pl.col("index_event").cast(pl.String) == "icu_48h")
    assert at_48h.select(columns).rows() == [
        (100, 100, 48.0, 1, 2),
        (101, 100, 148.0, 3, 0),
        (101, 101, 48.0, 1, 1),
        (102, 100, 248.0, 3, 0),
        (102, 101, 148.0, 2, 0),
        (102, 102, 48.0, 1, 1),
    ]
    last = at_48h.filter(stay_id=101, input_stay_id=100)["last_known_time"].item()
    assert abs(last - datetime.fromisoformat(at(147.9))) < timedelta(milliseconds=1)
    discharged = series.filter(pl.col("index_event").cast(pl.String) == "discharge")
    assert discharged.select(columns).rows() == [(102, 100, 300.0, 3, 0), (102, 101, 200.0, 2, 0),
                                                 (102, 102, 100.0, 1, 1)]  # fmt: skip
    others = inputs.filter(pl.col("input").cast(pl.String).is_in(["summary", "drugs", "diagnoses"])).sort("input")
    text = pl.col("index_event", "input", "flag").cast(pl.String)
    assert others.with_columns(text).select("index_event", "stay_id", "input", "flag", *columns[-2:]).rows() == [
        ("discharge", 102, "summary", "stored_after_discharge", 1, 0),
        ("discharge", 102, "drugs", None, 1, 1),
        ("discharge", 102, "diagnoses", "coded_after_discharge", 1, 0),
    ]
    demographics = inputs.filter(pl.col("input").cast(pl.String) == "demographics")
    assert demographics.height == 6 + 3 and demographics["num_rows"].sum() == 9
    asked = hospital.run("queries/labels_by_split.sql").select("task", "horizon", "num_examples", "num_events")
    unbounded = [(task, "unbounded", 3, 0) for task in ("arf", "mortality", "shock")]
    assert asked.filter(pl.col("horizon") != "48h").rows() == sorted([*unbounded, ("readmission", "30d", 1, 0)])
    assert passes(hospital) == {}


def test_the_flow_counts_stays_and_the_patients_they_are_of(inputs, hospital) -> None:
    flow = hospital.select("from cohort_flow where cohort = 'metavision' and task = 'arf' and step = 'candidates'")
    assert flow.select("num_stays", "num_subjects").rows() == [(3, 1)]


def test_readings_are_given_to_the_examples_that_may_read_them(inputs, hospital) -> None:
    readings = hospital.select("from ehr_readings").lazy()
    series = tasks.series_to_read(inputs.lazy(), index_event="icu_48h")
    assert series.collect().select("series_id", "example_stay_id", "stay_id", "slot").rows() == [
        (0, 100, 100, 0),
        (1, 101, 100, 0),
        (2, 101, 101, 1),
        (3, 102, 100, 0),
        (4, 102, 101, 1),
        (5, 102, 102, 2),
    ]
    known = tasks.known_readings(readings, series).collect()
    assert known.columns == readings.collect_schema().names()
    assert Counter(known["stay_id"]) == {0: 1, 1: 3, 2: 1, 3: 3, 4: 2, 5: 1}
    assert known.filter(stay_id=5)["known_hours"].to_list() == [3.0]


def test_a_summary_dated_after_the_day_of_the_discharge_is_kept_back(hospital) -> None:
    hospital.execute(f"update ehr_notes set note_time = timestamp '{at(300)[:10]}' + interval 1 day")
    for table in ALL:
        rows = hospital.build(table, f"labels/{table}.sql")
        if table == "prediction_inputs":
            summary = rows.filter(pl.col("input").cast(pl.String) == "summary")
    assert summary.select("num_rows", "num_late_rows").rows() == [(0, 1)]
    assert passes(hospital) == {}


OF_INDEX = ("aki", "arf", "mortality", "shock")
FAULTS = {
    "an hour too much": (
        "update prediction_inputs set before_hours = before_hours + 100 where input = 'series' and stay_id = 100",
        {"prediction_inputs__known_before_index": 1},
    ),
    "another index time": (
        "update prediction_inputs set index_time = index_time + interval 1 hour where stay_id = 101",
        {"prediction_inputs__known_before_index": 4},
    ),
    "a drug at the discharge": (
        "update ehr_codes set known_time = known_time + interval 1 day; "
        "update prediction_inputs set index_time = index_time + interval 2 day where input = 'drugs'",
        {"prediction_inputs__known_before_index": 1},
    ),
    "a flag that nobody declared": (
        "update prediction_inputs set flag = 'coded_after_discharge' where input = 'drugs'",
        {"prediction_inputs__as_declared": 2},
    ),
    "an input that nobody declared": (
        "insert into prediction_inputs by name select * replace ('summary' as input, 'stored_after_discharge' as flag) "
        "from prediction_inputs where stay_id = 100 and input = 'demographics'",
        {"prediction_inputs__as_declared": 1},
    ),
    "a later stay": (
        "insert into prediction_inputs by name select * replace (102 as input_stay_id, 5 as before_hours) "
        "from prediction_inputs where stay_id = 100 and input = 'series'",
        {"prediction_inputs__no_later_stay": 1, "prediction_inputs__known_before_index": 1},
    ),
    "a patient in two parts": (
        "update prediction_labels set split = 'test' where stay_id = 101;"
        "update prediction_labels set split = 'train' where stay_id != 101",
        {"prediction_labels__one_split_per_subject": 1},
    ),
    "a patient in two folds": (
        "update prediction_labels set fold = fold + 1 where stay_id = 101",
        {"prediction_labels__one_split_per_subject": 1},
    ),
    "a subject without a part": ("delete from prediction_split", {"prediction_split__every_subject_once": 1,
                                                                 "prediction_labels__one_split_per_subject": 1}),
    "a subject who pre-trains": (
        "update cohort_split set split = 'pretrain'",
        {"prediction_stays__nobody_of_pretraining": 1},
    ),
    "an example outside its cohort": (
        "update prediction_labels set cohort = 'carevue' where task = 'arf' and horizon = '48h' and stay_id = 100",
        {"prediction_labels__inside_cohort": 1, "cohort_flow__adds_up": 1},
    ),
    "an event before the index time": (
        "".join(
            f"update labels_{label} set event_time = index_time - interval 1 second, excluded_by = null "
            "where stay_id = 100;"
            for label in OF_INDEX
        )
        + "update labels_readmission set event_time = index_time where stay_id = 102",
        {f"labels_{label}__event_not_before_index": 1 for label in (*OF_INDEX, "readmission")},
    ),
    "a stay without a label": (
        "delete from labels_shock where stay_id = 100",
        {"labels_shock__event_not_before_index": 1},
    ),
    "a flow that loses somebody": (
        "update cohort_flow set num_stays = num_stays - 1 where task = 'arf' and step = 'under_18' "
        "and cohort = 'metavision'",
        {"cohort_flow__adds_up": 2},
    ),
    "a cohort against its rule": (
        "update prediction_stays set cohorts = ['carevue'] where stay_id = 100",
        {"prediction_stays__cohort_rules": 1, "prediction_labels__inside_cohort": 6},
    ),
}  # fmt: skip


def test_checks_find_what_is_planted_wrong(inputs, hospital) -> None:
    hospital.fill({"ehr_admissions": [{"database": "mimic_iii", "subject_id": 1, "hadm_id": 10}]})
    assert passes(hospital) == {}
    found = {}
    for fault, (statements, _) in FAULTS.items():
        hospital.connection.execute("begin")
        hospital.execute(statements)
        found[fault] = passes(hospital)
        hospital.connection.execute("rollback")
    assert found == {fault: expected for fault, (_, expected) in FAULTS.items()}


def test_hourly_features_fitted_on_the_evaluated_are_found(database) -> None:
    stays = [{"subject_id": n, "hadm_id": n, "stay_id": n} for n in (1, 2, 3)]
    splits = [
        {"source": "ehr", "record_id": str(n), "subject_id": n, "study_id": n, "split": split}
        for n, split in ((1, "pretrain"), (2, "pretrain"), (3, "ehr_holdout"))
    ]
    counts = [
        {"shard": shard, "variable": variable, "num_stays": number, "num_readings": 9, "num_texts": 0}
        for shard, variable, number in ((0, "chart_1", 1), (1, "chart_1", 2), (0, "chart_2", 2))
    ]
    for table in ("series_variable_counts", "shared_series_variable_counts"):
        database.fill({"ehr_stays": stays, "cohort_split": splits, table: counts})
        for fit_on, found in (("pretrain", [("chart_1", 3, 2)]), ("all", [])):
            database.set(fit_on=fit_on)
            assert database.run(f"checks/{table}__pretraining_only.sql").rows() == found


def test_the_split_is_drawn_by_subject_and_apart_from_folds_and_hold_out(database) -> None:
    ids = range(1, 4001)
    stays = [{"subject_id": id_, "hadm_id": id_, "stay_id": id_, "cohorts": ["metavision"]} for id_ in ids]
    database.fill({"prediction_stays": [*stays, {**stays[0], "subject_id": 9999, "stay_id": 9999, "cohorts": []}]})
    split = database.build("prediction_split", "labels/prediction_split.sql")
    assert split["subject_id"].to_list() == list(ids)
    draws = {id_: id_share("prediction split 0", id_) for id_ in ids}
    named = {id_: "test" if draw < 0.1 else "validation" if draw < 0.2 else "train" for id_, draw in draws.items()}
    assert dict(split.select("subject_id", pl.col("split").cast(pl.String)).iter_rows()) == named
    shares = Counter(named.values())
    assert all(abs(shares[name] / 4000 - share) < 0.02 for name, share in (("test", 0.1), ("validation", 0.1)))
    folds = Counter(split.select(pl.col("split").cast(pl.String), "fold").iter_rows())
    assert all(abs(folds["train", fold] / shares["train"] - 0.2) < 0.03 for fold in range(5))
    held_out = [named[id_] for id_ in ids if id_share(0, id_) < 0.15]
    assert abs(held_out.count("train") / len(held_out) - 0.8) < 0.05
    database.set(split_seed=1)
    assert not database.build("prediction_split", "labels/prediction_split.sql").equals(split)


def test_no_input_can_have_a_column_that_is_known_at_the_end() -> None:
    with pytest.raises(ValueError, match="stays has the columns \\['los_hours', 'out_time'\\]"):
        tasks.Input(name="stays", tables=("ehr_stays",), columns=("in_time", "out_time", "los_hours"))
    with pytest.raises(ValueError, match="sum is below 1"):
        tasks.PredictionSettings(validation_share=0.5, test_share=0.5)
    with pytest.raises(ValueError, match="num_folds is 1"):
        tasks.PredictionSettings(num_folds=1)


def test_the_registry_reads_what_the_tables_have_and_the_contracts_know_it() -> None:
    for item in tasks.DISCHARGE.inputs:
        columns = {name for table in item.tables for name in CONTRACTS[table].columns()}
        assert set(item.columns) <= columns, item.name
        assert not tasks.NEVER & set(item.columns)
    registry = CONTRACTS["prediction_tasks"].validate(tasks.task_table(), cast=True)
    assert set(registry["task"]) == set(labels.TASKS) == set(tasks.TASKS)
    assert {cohort for task in tasks.TASKS.values() for cohort in task.cohorts} == set(labels.COHORTS)
    ruled = {name for task in tasks.TASKS.values() for name in task.exclusions}
    assert ruled == set(labels.EXCLUSIONS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("arf,peep_set,carevue,chartevents,505,number", "arf,peep_set,carevue,chartevents,505,set"), "rule has"),
        ((",chartevents,505,number", ",inputevents_cv,505,number"), "rule does not fit the table"),
        ((",chartevents,505,number", ",chartevents,50x,number"), "itemid is no number"),
        ((",467,word,Ventilator,", ",467,word,,"), "word belongs to"),
        ((",chartevents,506,number", ",chartevents,505,number"), "repeats"),
        ((",carevue,chartevents,68,noted", ",carevue,chartevents,64,noted"), "two rules"),
    ],
)
def test_a_wrong_row_of_the_items_is_named(change, message: str, tmp_path: Path) -> None:
    text = LABEL_ITEMS_FILE.read_text()
    assert text.count(change[0]) == 1, change
    wrong = tmp_path / "items.csv"
    wrong.write_text(text.replace(*change))
    with pytest.raises(ValueError, match=f"items.csv: .*{message}"):
        read_label_items(wrong)
