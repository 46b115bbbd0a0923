"""Prediction tasks: who is evaluated, the labels, the split, and what may be read. Labels are SQL (`sql/labels/`)."""

import polars as pl

from data_contracts import Contract, labels, links, records, tables
from pipelines.assets.step import Build, Step, sql_step, step
from pipelines.features import label_items as items
from pipelines.features import tasks

CHARTED = (tables.MimicIvChartevents, tables.MimicIiiChartevents, tables.MimicIiiCarevueChartevents)
PROCEDURES = (tables.MimicIvProcedureevents, tables.MimicIiiProcedureeventsMv, tables.MimicIiiCarevueProcedureeventsMv)
INPUTS = (
    *(tables.MimicIvInputevents, tables.MimicIiiInputeventsMv, tables.MimicIiiCarevueInputeventsMv),
    *(tables.MimicIiiInputeventsCv, tables.MimicIiiCarevueInputeventsCv),
)
LABS = (tables.MimicIvLabevents, tables.MimicIiiLabevents, tables.MimicIiiCarevueLabevents)
DIAGNOSES = (tables.MimicIvDiagnosesIcd, tables.MimicIiiDiagnosesIcd, tables.MimicIiiCarevueDiagnosesIcd)
PATIENTS = (tables.MimicIvPatients, tables.MimicIiiPatients, tables.MimicIiiCarevuePatients)


@step(labels.LabelItems, data_files=(items.LABEL_ITEMS_FILE,))
def label_items(build: Build) -> pl.DataFrame:
    """Read the reviewed items and codes."""
    return items.read_label_items()


@step(labels.PredictionTasks)
def prediction_tasks(build: Build) -> pl.DataFrame:
    """Publish the registry of tasks."""
    return tasks.task_table()


prediction_stays = sql_step(
    labels.PredictionStays,
    "labels/prediction_stays.sql",
    inputs=[
        *(records.EhrAdmissions, records.EhrStays, links.CohortSplit),
        *(tables.MimicIvIcustays, tables.MimicIiiIcustays, tables.MimicIiiCarevueIcustays),
    ],
    settings=lambda profile: {"index_hours": tasks.INDEX_HOURS},
)
label_events = sql_step(
    labels.LabelEvents,
    "labels/label_events.sql",
    inputs=[labels.PredictionStays, labels.LabelItems, *CHARTED, *PROCEDURES, *INPUTS],
)


def _label_step(contract: type[Contract], *inputs: type[Contract]) -> Step:
    return sql_step(contract, f"labels/{contract.table}.sql", inputs=[labels.PredictionStays, *inputs])


labels_arf = _label_step(labels.LabelsArf, labels.LabelEvents)
labels_shock = _label_step(labels.LabelsShock, labels.LabelEvents)
labels_mortality = _label_step(labels.LabelsMortality)
labels_aki = _label_step(labels.LabelsAki, labels.LabelEvents, labels.LabelItems, *LABS, *DIAGNOSES)
labels_readmission = _label_step(labels.LabelsReadmission, records.EhrRecords, records.EhrAdmissions, *PATIENTS)

prediction_split = sql_step(
    labels.PredictionSplit,
    "labels/prediction_split.sql",
    inputs=[labels.PredictionStays],
    settings=lambda profile: profile.group("prediction"),
)
LABELS = (labels.LabelsArf, labels.LabelsShock, labels.LabelsMortality, labels.LabelsAki, labels.LabelsReadmission)
prediction_labels = sql_step(
    labels.PredictionLabels,
    "labels/prediction_labels.sql",
    inputs=[labels.PredictionTasks, labels.PredictionStays, labels.PredictionSplit, *LABELS],
)
prediction_inputs = sql_step(
    labels.PredictionInputs,
    "labels/prediction_inputs.sql",
    inputs=[
        *(labels.PredictionTasks, labels.PredictionLabels),
        *(records.EhrStays, records.EhrRecords, records.EhrReadings),
        *(records.EhrDemographics, records.EhrNotes, records.EhrCodes),
    ],
)
cohort_flow = sql_step(
    labels.CohortFlow,
    "labels/cohort_flow.sql",
    inputs=[labels.PredictionTasks, labels.PredictionStays, labels.PredictionLabels, *LABELS],
)

STEPS = (
    *(label_items, prediction_tasks, prediction_stays, label_events),
    *(labels_arf, labels_shock, labels_mortality, labels_aki, labels_readmission),
    *(prediction_split, prediction_labels, prediction_inputs, cohort_flow),
)
