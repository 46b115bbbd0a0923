"""The prediction tasks: when each predicts, what it may read then, who is excluded, and how long an event counts.

The registry is published as `prediction_tasks`, so that SQL reads what is declared here. An input names the tables it
is read from and every column of theirs that reaches a model; what is known at the end of a stay or later can stand in
none (`NEVER`). Not here: how a label is found (`sql/labels/`), or how inputs become tensors.
"""

from dataclasses import dataclass

import polars as pl

from data_contracts.labels import COHORT_NOTES

INDEX_HOURS = 48
NEVER = frozenset(
    {
        "discharge_location",
        "discharge_time",
        "dischtime",
        "deathtime",
        "death_time",
        "died_in_hospital",
        "dod",
        "hospital_expire_flag",
        "last_careunit",
        "last_wardid",
        "los",
        "los_hours",
        "num_stays",
        "out_time",
        "outtime",
    }
)
"""Columns that say how a stay or admission ended, under any of their names: no input may have one."""


@dataclass(frozen=True, kw_only=True)
class PredictionSettings:
    """The one split of all tasks and cohorts; every share is drawn by a seeded hash of the subject.

    Attributes:
        split_seed: of both draws.
        validation_share, test_share: of the subjects; the rest trains.
        num_folds: of the cross-validation beside it, drawn apart.
    """

    split_seed: int = 0
    validation_share: float = 0.1
    test_share: float = 0.1
    num_folds: int = 5

    def __post_init__(self) -> None:
        shares = (self.validation_share, self.test_share)
        if min(shares) < 0 or sum(shares) >= 1:
            raise ValueError(f"validation_share and test_share are {shares}: give two shares whose sum is below 1")
        if self.num_folds < 2:
            raise ValueError(f"num_folds is {self.num_folds}: a cross-validation needs 2 or more")


@dataclass(frozen=True, kw_only=True)
class Input:
    """One thing that a model may read.

    Attributes:
        name: as in `prediction_inputs`.
        tables: where its rows are.
        columns: columns of these tables that reach a model, ids and times for finding them left out.
        flag: why rows may be known only after the index time; empty where none may.
    """

    name: str
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    flag: str = ""

    def __post_init__(self) -> None:
        if forbidden := sorted(NEVER & set(self.columns)):
            raise ValueError(f"input {self.name} has the columns {forbidden}, which are known only at the end")


@dataclass(frozen=True, kw_only=True)
class IndexEvent:
    """When a prediction is made, and what may be read then: of this stay and those before it in the admission."""

    name: str
    inputs: tuple[Input, ...]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One prediction task.

    Attributes:
        name: as in `metrics`.
        index_event: when it predicts.
        unit: one example is an ICU stay, or an admission, for which its last stay stands.
        horizons: hours after the index time in which an event counts, inclusive, None without bound; by name.
        exclusions: rules in the order in which they are applied.
        cohorts: where it is evaluated.
    """

    name: str
    index_event: IndexEvent
    unit: str = "stay"
    horizons: dict[str, float | None]
    exclusions: tuple[str, ...]
    cohorts: tuple[str, ...] = tuple(COHORT_NOTES)


SERIES = Input(
    name="series",
    tables=("ehr_readings", "ehr_shared_readings"),
    columns=("variable", "offset_hours", "value", "value_number"),
)
DEMOGRAPHICS = Input(
    name="demographics",
    tables=("ehr_demographics", "ehr_static"),
    columns=(
        *("age_years", "gender", "race_group", "insurance_group", "admission_group", "care_unit_group"),
        *("feature_index", "value"),
    ),
)
SUMMARY = Input(
    name="summary",
    tables=("ehr_notes", "text_tokens"),
    columns=("text", "token_indices"),
    flag="stored_after_discharge",
)
DRUGS = Input(name="drugs", tables=("ehr_codes",), columns=("code",))
DIAGNOSES = Input(
    name="diagnoses", tables=("ehr_codes",), columns=("code", "icd_version"), flag="coded_after_discharge"
)

ICU_48H = IndexEvent(name="icu_48h", inputs=(SERIES, DEMOGRAPHICS))
DISCHARGE = IndexEvent(name="discharge", inputs=(SERIES, DEMOGRAPHICS, SUMMARY, DRUGS, DIAGNOSES))

IN_COHORT = ("outside_cohort", "beyond_max_stays")
AT_48H = (*IN_COHORT, "under_18", "dead_before_index", "left_before_index")
ONSET = (*AT_48H, "onset_before_index", "onset_earlier_in_admission")
AT_DISCHARGE = (*IN_COHORT, "not_last_stay", "under_18", "died_in_hospital")
IN_STAY: dict[str, float | None] = {"unbounded": None, "48h": 48.0}
MONTH: dict[str, float | None] = {"30d": 720.0}

TASKS = {
    task.name: task
    for task in (
        Task(name="arf", index_event=ICU_48H, horizons=IN_STAY, exclusions=ONSET),
        Task(name="shock", index_event=ICU_48H, horizons=IN_STAY, exclusions=ONSET),
        Task(name="mortality", index_event=ICU_48H, horizons=IN_STAY, exclusions=AT_48H),
        Task(
            name="aki",
            index_event=ICU_48H,
            horizons=IN_STAY,
            exclusions=(
                *(*AT_48H, "onset_before_index", "onset_earlier_in_admission", "kidney_failure_known"),
                *("no_creatinine_before_index", "no_creatinine_after_index"),
            ),
        ),
        Task(name="readmission", index_event=DISCHARGE, unit="admission", horizons=MONTH, exclusions=AT_DISCHARGE),
        Task(
            name="readmission_any",
            index_event=DISCHARGE,
            unit="admission",
            horizons=MONTH,
            exclusions=(*AT_DISCHARGE, "admissions_not_held"),
        ),
    )
}
"""Every task by its name; the two readmissions are to the ICU, which compares across databases, and of any kind."""


def task_table() -> pl.DataFrame:
    """Return the registry as rows of contract PredictionTasks: one per task and horizon."""
    rows = [
        {
            "task": task.name,
            "horizon": horizon,
            "horizon_hours": hours,
            "index_event": task.index_event.name,
            "unit": task.unit,
            "cohorts": list(task.cohorts),
            "exclusions": list(task.exclusions),
            "inputs": [item.name for item in task.index_event.inputs],
            "flags": [item.flag for item in task.index_event.inputs],
        }
        for task in TASKS.values()
        for horizon, hours in task.horizons.items()
    ]
    return pl.DataFrame(rows, infer_schema_length=None).cast({"horizon_hours": pl.Float64})


def series_to_read(inputs: pl.LazyFrame, *, index_event: str) -> pl.LazyFrame:
    """Return one row per ICU stay whose series an example may read: a series is another one at another index time.

    Args:
        inputs: prediction_inputs.
        index_event: which predictions.

    Returns:
        Columns series_id (0, 1, ..., int64, by example and in-time), example_stay_id, stay_id (that was charted),
        slot (0, 1, ..., the position of the stay among those of the example, its own last), before_hours.
    """
    wanted = (pl.col("input").cast(pl.String) == SERIES.name) & (pl.col("index_event").cast(pl.String) == index_event)
    own = pl.int_range(pl.len(), dtype=pl.Int32).over("example_stay_id")
    return (
        inputs.filter(wanted)
        .select(example_stay_id="stay_id", stay_id="input_stay_id", before_hours="before_hours")
        .sort("example_stay_id", "before_hours", "stay_id", descending=[False, True, False])
        .with_row_index("series_id")
        .select(pl.col("series_id").cast(pl.Int64), "example_stay_id", "stay_id", slot=own, before_hours="before_hours")
    )


def known_readings(readings: pl.LazyFrame, series: pl.LazyFrame) -> pl.LazyFrame:
    """Return the readings of each series that were known before its index time, ready to be encoded.

    Args:
        readings: ehr_readings or ehr_shared_readings.
        series: rows of `series_to_read`.

    Returns:
        Columns of `readings`, series after series, each in the order of `readings`; stay_id is the series_id, so that
        `series.encode_series` keeps series apart.
    """
    joined = readings.join(series, on="stay_id", how="inner", maintain_order="left")
    known = joined.filter(pl.col("known_hours") < pl.col("before_hours")).with_columns(stay_id="series_id")
    return known.select(readings.collect_schema().names()).sort("subject_id", "stay_id", maintain_order=True)
