"""Prediction: the tasks, who is evaluated on them, the labels, the split, and what may be read to predict them."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract

COHORT_NOTES = {
    "metavision": "the paper's: MIMIC-III's MetaVision stays, which leak: MIMIC-IV holds them under other ids",
    "carevue": "MIMIC-III's CareVue subset 1.4: nobody in it is in MIMIC-IV",
    "carevue_filtered": "CareVue stays of MIMIC-III subjects without any other stay: residual overlap possible",
    "ehr_holdout": "MIMIC-IV subjects kept out of pre-training",
}
"""Every cohort and what has to be said beside its numbers; their rules are `sql/labels/prediction_stays.sql`."""
COHORTS = sorted(COHORT_NOTES)
EXCLUSIONS = [
    "outside_cohort",
    "beyond_max_stays",
    "not_last_stay",
    "under_18",
    "dead_before_index",
    "left_before_index",
    "died_in_hospital",
    "admissions_not_held",
    "onset_before_index",
    "onset_earlier_in_admission",
    "kidney_failure_known",
    "no_creatinine_before_index",
    "no_creatinine_after_index",
]
"""Why a stay is no example of a task."""
HORIZONS = ["unbounded", "48h", "30d"]
INDEX_EVENTS = ["icu_48h", "discharge"]
INPUTS = ["series", "demographics", "summary", "drugs", "diagnoses"]
FLAGS = ["coded_after_discharge", "stored_after_discharge"]
PREDICTION_SPLITS = ["train", "validation", "test"]
TASKS = ["aki", "arf", "mortality", "readmission", "readmission_any", "shock"]


def task() -> dy.Enum:
    """Return the prediction task."""
    return dy.Enum(TASKS, description="Prediction task.")


def cohort() -> dy.Enum:
    """Return the evaluation cohort."""
    return dy.Enum(COHORTS, description="Evaluation cohort.")


def horizon() -> dy.Enum:
    """Return how long after the index time an event counts."""
    return dy.Enum(HORIZONS, description="How long after the index time an event counts.")


def labelled() -> dy.Enum:
    """Return the label that items say something about."""
    return dy.Enum(["aki", "arf", "shock"], description="Label.")


def index_event() -> dy.Enum:
    """Return when the prediction is made."""
    return dy.Enum(INDEX_EVENTS, description="When it is predicted: 48 h into the stay, or the hospital discharge.")


def excluded_by() -> dy.Enum:
    """Return the first rule that excludes a stay."""
    return dy.Enum(EXCLUSIONS, nullable=True, description="First rule that excludes it; null: it is an example.")


class LabelItems(Contract):
    """One item or code that says something about a label in one clinical system, with the evidence."""

    table = "label_items"
    layer = "labels"
    key = ("label", "concept", "system", "table_name", "code", "word")

    label = labelled()
    concept = fields.text("What the row stands for.", nullable=False)
    system = dy.Enum(["carevue", "metavision", "mimic_iv"], description="Clinical system that writes it so.")
    table_name = dy.Enum(
        ["chartevents", "diagnoses_icd", "inputevents", "inputevents_cv", "labevents", "procedureevents"],
        description="Table that holds it; MetaVision's have the ending _mv in MIMIC-III.",
    )
    code = fields.text("itemid, or ICD code without dot.", nullable=False)
    rule = dy.Enum(
        ["given", "given_swapped", "icd10", "icd9", "noted", "number", "started", "word"],
        description="When a row of it counts; see pipelines.features.label_items.",
    )
    word = fields.text("Text that must stand there, for the rule word; else empty.", nullable=False)
    evidence = fields.text("Why: label in the dictionary, stays in the public demos, published definitions.")


class PredictionTasks(Contract):
    """One task with one horizon, as declared in pipelines.features.tasks."""

    table = "prediction_tasks"
    layer = "labels"
    key = ("task", "horizon")

    task = task()
    horizon = horizon()
    horizon_hours = dy.Float64(nullable=True, min=0, description="Hours after the index time, inclusive; null: any.")
    index_event = index_event()
    unit = dy.Enum(["admission", "stay"], description="What one example is.")
    cohorts = dy.List(dy.String(), description="Cohorts that it is evaluated in.")
    exclusions = dy.List(dy.String(), description="Rules that exclude a stay, in their order.")
    inputs = dy.List(dy.String(), description="What may be read to predict it.")
    flags = dy.List(dy.String(), description="For each input why rows of it may be known late, or empty: none may.")


class PredictionStays(Contract):
    """One ICU stay of an EHR record, with the evaluation cohorts it stands in and who is left of them at 48 h."""

    table = "prediction_stays"
    layer = "labels"
    key = ("stay_id",)

    database = fields.database()
    system = dy.Enum(fields.SYSTEMS, description="Clinical system that charted the stay.")
    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id()
    stay_index = dy.Int32(min=0, description="Position of the stay in its admission, by in-time; all stays count.")
    is_kept = dy.Bool(description="True where ehr_stays holds it (setting max_stays).")
    admit_time = fields.time("Admission")
    in_time = fields.time("Stay begins")
    out_time = fields.time("Stay ends", nullable=True)
    index_time = fields.time("48 h after the stay began")
    discharge_time = fields.time("Discharge; the admission time where it is missing or earlier")
    is_death_in_hospital = dy.Bool(description="True where the patient died in this admission.")
    death_time = fields.time("Death in this admission; the discharge where its time is missing", nullable=True)
    age_years = dy.Float64(nullable=True, description="Age at admission in years.")
    candidate_of = dy.List(dy.String(), description="Cohorts whose database and clinical system the stay is of.")
    cohorts = dy.List(dy.String(), description="Cohorts that the stay stands in.")
    excluded_by = excluded_by()


class LabelEvents(Contract):
    """One label and one stay of a cohort: when an item of the label first said something; of aki, that is dialysis."""

    table = "label_events"
    layer = "labels"
    key = ("label", "stay_id")

    label = labelled()
    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id()
    own_time = fields.time("First event of the stay itself", nullable=True)
    first_time = fields.time("First event of anything in the admission, the stay included")


class _Labels(Contract):
    """One stay of a cohort and one label."""

    layer = "labels"
    key = ("stay_id",)

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id()
    index_time = fields.time("When it is predicted")
    excluded_by = excluded_by()
    event_time = fields.time("When it happened, of examples alone", nullable=True)
    death_time = fields.time("Death, as far as it can compete with the event", nullable=True)


class LabelsArf(_Labels):
    """One stay of a cohort and the onset of acute respiratory failure: PEEP set, or ventilation."""

    table = "labels_arf"


class LabelsShock(_Labels):
    """One stay of a cohort and the onset of shock: a vasopressor that runs."""

    table = "labels_shock"


class LabelsMortality(_Labels):
    """One stay of a cohort and the death in hospital."""

    table = "labels_mortality"


class LabelsAki(_Labels):
    """One stay of a cohort and the onset of acute kidney injury by creatinine (KDIGO)."""

    table = "labels_aki"


class LabelsReadmission(_Labels):
    """One stay of a cohort and the next admission with an ICU stay; the last stay of an admission stands for it."""

    table = "labels_readmission"

    any_event_time = fields.time(
        "Next admission of any kind; null where the database holds ICU ones alone", nullable=True
    )
    holds_all_admissions = dy.Bool(description="True where the database holds admissions without ICU stay too.")


class PredictionSplit(Contract):
    """One subject of any evaluation cohort and its part, the same for every task and cohort."""

    table = "prediction_split"
    layer = "labels"
    key = ("subject_id",)

    subject_id = fields.subject_id()
    split = dy.Enum(PREDICTION_SPLITS, description="Part of the one split.")
    fold = dy.Int32(min=0, description="Fold of the cross-validation, drawn apart from the split.")


class PredictionLabels(Contract):
    """One example of one task: a stay of a cohort (an admission, for readmission), its label and its part."""

    table = "prediction_labels"
    layer = "labels"
    key = ("task", "horizon", "cohort", "stay_id")

    task = task()
    horizon = horizon()
    cohort = cohort()
    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id()
    index_event = index_event()
    index_time = fields.time("When it is predicted")
    label = dy.Bool(description="True where the event happened inside the horizon.")
    is_competing = dy.Bool(description="True where the patient died inside the horizon without the event.")
    event_time = fields.time("When it happened, inside the horizon", nullable=True)
    split = dy.Enum(PREDICTION_SPLITS, description="Part of the one split.")
    fold = dy.Int32(min=0, description="Fold of the cross-validation.")


class PredictionInputs(Contract):
    """One thing that may be read to predict for a stay at an index time: an input of one ICU stay, or its admission's.

    Rows of series may be read where `known_hours < before_hours`, drugs where `known_time < index_time`; what has a
    flag may be known later, and results are given with and without it.
    """

    table = "prediction_inputs"
    layer = "labels"
    key = ("index_event", "stay_id", "input", "input_stay_id")

    index_event = index_event()
    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id()
    index_time = fields.time("When it is predicted")
    input = dy.Enum(INPUTS, description="What is read.")
    input_stay_id = dy.Int64(min=1, description="ICU stay it is of; the example's own where it is of the admission.")
    before_hours = dy.Float64(description="Hours from the start of the input's stay to the index time.")
    flag = dy.Enum(FLAGS, nullable=True, description="Why its rows may be known only after the index time.")
    num_rows = dy.Int64(min=0, description="Rows that may be read; 0: the modality is missing.")
    num_late_rows = dy.Int64(min=0, description="Rows kept back because they became known too late.")
    last_known_time = fields.time("When the last of the rows that may be read became known", nullable=True)


class CohortFlow(Contract):
    """How many stays are left of one cohort for one task after one step; outcomes are counted among the last."""

    table = "cohort_flow"
    layer = "labels"
    key = ("cohort", "task", "step_index")

    cohort = cohort()
    task = task()
    step_index = dy.Int32(min=0, description="Order of the steps.")
    kind = dy.Enum(["exclusion", "outcome", "start"], description="What the step is.")
    step = fields.text("candidates, rule that excludes, or outcome with its horizon.", nullable=False)
    num_stays = dy.Int64(min=0, description="Stays left; of an outcome, stays that have it.")
    num_subjects = dy.Int64(min=0, description="Their subjects.")
    num_excluded = dy.Int64(min=0, description="Stays that the rule excludes; of an outcome, stays without it.")
