"""The open slices of the real MIMIC-III and MIMIC-IV demos through cohorts, labels and inputs: exact counts."""

import polars as pl
import pytest

from pipelines.features.codes import code_mappings
from pipelines.features.label_items import read_label_items
from pipelines.features.tasks import task_table
from pipelines.sources import SOURCES

FOLDERS = {"mimic_iv": "mimic-iv-demo-25pt", "mimic_iii": "mimic-iii-demo-10pt"}
RECORDS = ("ehr_admissions", "ehr_records", "ehr_stays", "admission_diagnoses", "ehr_codes", "ehr_readings",
           "ehr_notes", "ehr_demographics")  # fmt: skip
LABELS = ("prediction_stays", "label_events", "labels_arf", "labels_shock", "labels_mortality", "labels_aki",
          "labels_readmission",
          "prediction_split", "prediction_labels", "prediction_inputs", "cohort_flow")  # fmt: skip
FILES = {
    **{table: f"records/{table}.sql" for table in RECORDS},
    "cohort_split": "links/cohort_split.sql",
    **{table: f"labels/{table}.sql" for table in LABELS},
}
AT_48H = ("candidates", "outside_cohort", "beyond_max_stays", "under_18", "dead_before_index", "left_before_index")
ONSET = ("onset_before_index", "onset_earlier_in_admission")
KIDNEY = ("kidney_failure_known", "no_creatinine_before_index", "no_creatinine_after_index")
LEFT = {
    # cohort: stays left at 48 h by step; what is left of arf, shock, aki by their own steps
    "metavision": ((7, 7, 7, 7, 6, 2), (0, 0), (2, 2), (2, 2, 2, 2, 2)),
    "carevue_filtered": ((5, 5, 5, 5, 4, 3), (2, 2), (2, 2), (3, 3, 3, 3, 1)),
    "carevue": ((5, 0, 0, 0, 0, 0), (0, 0), (0, 0), (0, 0, 0, 0, 0)),
    "ehr_holdout": ((31, 31, 31, 31, 31, 17), (8, 8), (8, 8), (11, 10, 9, 9, 7)),
}
EVENTS = {
    # cohort: events without bound and in 48 h of arf, shock, mortality, aki
    "metavision": ((0, 0), (0, 0), (0, 0), (0, 0)),
    "carevue_filtered": ((0, 0), (0, 0), (2, 1), (1, 0)),
    "carevue": ((0, 0), (0, 0), (0, 0), (0, 0)),
    "ehr_holdout": ((1, 0), (1, 0), (2, 1), (2, 0)),
}
READMISSION = {
    # cohort: last stays of an admission, adults who left alive, back in the ICU in 30 days, dead without that; then
    # examples of any readmission, back anywhere, dead without that
    "metavision": (6, 5, 0, 0, 0, 0, 0),
    "carevue_filtered": (5, 2, 0, 0, 0, 0, 0),
    "carevue": (0, 0, 0, 0, 0, 0, 0),
    "ehr_holdout": (29, 26, 1, 2, 26, 6, 2),
}


@pytest.fixture(scope="module")
def raw_tables(open_data) -> dict[str, pl.DataFrame]:
    return {
        table.table: table.read(open_data / folder).drop("_rejected").collect()
        for source, folder in FOLDERS.items()
        for table in SOURCES[source].tables
    }


@pytest.fixture
def built(raw_tables, database) -> dict[str, pl.DataFrame]:
    database.set(ehr_holdout_share=1.0)
    further = {"code_mappings": code_mappings(), "label_items": read_label_items(), "prediction_tasks": task_table()}
    database.fill({**raw_tables, **further})
    return {table: database.build(table, file) for table, file in FILES.items()}


def test_the_slices_through_all_of_it(built, database) -> None:
    check_flow(built["cohort_flow"])
    check_inputs(built["prediction_inputs"])
    for check in sorted((database.sql / "checks").glob("*.sql")):
        if check.stem.split("__")[0] in LABELS:
            assert database.run(f"checks/{check.name}").is_empty(), check.name
    said = database.run("checks/warnings/cohort_flow__no_event.sql")
    assert said.filter(pl.col("cohort").cast(pl.String) == "carevue")["num_examples"].unique().to_list() == [0]
    assert ("metavision", "arf", "event in unbounded", 0) in said.rows()
    assert ("ehr_holdout", "arf", "event in unbounded", 8) not in said.rows()


def check_flow(rows: pl.DataFrame) -> None:
    flow = rows.with_columns(pl.col("cohort", "task").cast(pl.String))
    left = {tuple(row[:3]): row[3] for row in flow.select("cohort", "task", "step", "num_stays").iter_rows()}
    expected: dict[tuple[str, str, str], int] = {}
    for cohort, (at_48h, *own) in LEFT.items():
        for task in ("arf", "shock", "mortality", "aki"):
            expected |= {(cohort, task, step): n for step, n in zip(AT_48H, at_48h, strict=True)}
        for task, steps, numbers in zip(("arf", "shock", "aki"), (ONSET, ONSET, (*ONSET, *KIDNEY)), own, strict=True):
            expected |= {(cohort, task, step): n for step, n in zip(steps, numbers, strict=True)}
        for task, (unbounded, soon) in zip(("arf", "shock", "mortality", "aki"), EVENTS[cohort], strict=True):
            expected |= {(cohort, task, "event in unbounded"): unbounded, (cohort, task, "event in 48h"): soon}
        last, alive, back, dead, held, any_back, any_dead = READMISSION[cohort]
        for task in ("readmission", "readmission_any"):
            expected |= {(cohort, task, step): n for step, n in zip(AT_48H[:3], at_48h[:3], strict=True)}
            expected |= {(cohort, task, step): last for step in ("not_last_stay", "under_18")}
            expected[cohort, task, "died_in_hospital"] = alive
        expected[cohort, "readmission_any", "admissions_not_held"] = held
        expected[cohort, "readmission", "event in 30d"] = back
        expected[cohort, "readmission", "death without event in 30d"] = dead
        expected[cohort, "readmission_any", "event in 30d"] = any_back
        expected[cohort, "readmission_any", "death without event in 30d"] = any_dead
    found = {key: n for key, n in left.items() if key in expected or not key[2].startswith("death without")}
    assert found == expected


def check_inputs(rows: pl.DataFrame) -> None:
    inputs = rows.group_by(pl.col("index_event", "input").cast(pl.String))
    counts = inputs.agg(pl.len(), pl.col("num_rows").sum(), pl.col("num_late_rows").sum()).sort("index_event", "input")
    assert counts.rows() == [
        ("discharge", "demographics", 34, 34, 0),
        ("discharge", "diagnoses", 33, 607, 0),
        ("discharge", "drugs", 33, 1056, 5),
        ("discharge", "series", 34, 50_265, 97),
        ("discharge", "summary", 33, 0, 0),
        ("icu_48h", "demographics", 23, 23, 0),
        ("icu_48h", "series", 23, 42_093, 2364),
    ]
