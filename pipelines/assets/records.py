"""Records: SQL over typed tables. Not here: films (`films.py`), anything fitted (`features.py`) or linked (`links.py`).

Records of MIMIC-IV, MIMIC-III and its CareVue subset stand in the same tables; a database that is not at hand has empty
typed tables.
"""

import polars as pl

from data_contracts import records, tables
from pipelines.assets import films
from pipelines.assets.step import Build, sql_step, step
from pipelines.features import codes

ehr_admissions = sql_step(
    records.EhrAdmissions,
    "records/ehr_admissions.sql",
    inputs=[
        *(tables.MimicIvAdmissions, tables.MimicIvPatients),
        *(tables.MimicIiiAdmissions, tables.MimicIiiPatients),
        *(tables.MimicIiiCarevueAdmissions, tables.MimicIiiCarevuePatients),
    ],
)
ehr_records = sql_step(
    records.EhrRecords,
    "records/ehr_records.sql",
    inputs=[
        records.EhrAdmissions,
        *(tables.MimicIvIcustays, tables.MimicIiiIcustays, tables.MimicIiiCarevueIcustays),
    ],
    settings=lambda profile: {"record_time": profile.records.record_time},
)
ehr_stays = sql_step(
    records.EhrStays,
    "records/ehr_stays.sql",
    inputs=[records.EhrRecords, tables.MimicIvIcustays, tables.MimicIiiIcustays, tables.MimicIiiCarevueIcustays],
    settings=lambda profile: {"max_stays": profile.records.max_stays},
)


@step(records.CodeMappings, settings=lambda profile: {"files": codes.mapping_release()})
def code_mappings(build: Build) -> pl.DataFrame:
    """Read the mappings of diagnosis codes; their files stand among the settings, by digest."""
    return codes.code_mappings()


admission_diagnoses = sql_step(
    records.AdmissionDiagnoses,
    "records/admission_diagnoses.sql",
    inputs=[
        *(records.CodeMappings, records.EhrAdmissions),
        *(tables.MimicIvDiagnosesIcd, tables.MimicIiiDiagnosesIcd, tables.MimicIiiCarevueDiagnosesIcd),
    ],
    settings=lambda profile: {"diagnosis_grouping": profile.vocabularies.diagnosis_grouping},
)
ehr_codes = sql_step(
    records.EhrCodes,
    "records/ehr_codes.sql",
    inputs=[
        *(records.EhrRecords, records.AdmissionDiagnoses),
        *(tables.MimicIvPrescriptions, tables.MimicIiiPrescriptions, tables.MimicIiiCarevuePrescriptions),
    ],
)
ehr_readings = sql_step(
    records.EhrReadings,
    "records/ehr_readings.sql",
    inputs=[
        records.EhrStays,
        tables.MimicIvChartevents,
        tables.MimicIvDatetimeevents,
        tables.MimicIvInputevents,
        tables.MimicIvLabevents,
        tables.MimicIvMicrobiologyevents,
        tables.MimicIvOutputevents,
        tables.MimicIvProcedureevents,
        tables.MimicIiiChartevents,
        tables.MimicIiiDatetimeevents,
        tables.MimicIiiInputeventsCv,
        tables.MimicIiiInputeventsMv,
        tables.MimicIiiLabevents,
        tables.MimicIiiMicrobiologyevents,
        tables.MimicIiiOutputevents,
        tables.MimicIiiProcedureeventsMv,
        tables.MimicIiiCarevueChartevents,
        tables.MimicIiiCarevueDatetimeevents,
        tables.MimicIiiCarevueInputeventsCv,
        tables.MimicIiiCarevueInputeventsMv,
        tables.MimicIiiCarevueLabevents,
        tables.MimicIiiCarevueMicrobiologyevents,
        tables.MimicIiiCarevueOutputevents,
        tables.MimicIiiCarevueProcedureeventsMv,
    ],
    settings=lambda profile: {"window_hours": profile.records.window_hours},
    by_shard=True,
)
ehr_notes = sql_step(
    records.EhrNotes,
    "records/ehr_notes.sql",
    inputs=[
        records.EhrRecords,
        *(tables.MimicIvNoteDischarge, tables.MimicIiiNoteevents, tables.MimicIiiCarevueNoteevents),
    ],
    by_shard=True,
)
ehr_demographics = sql_step(
    records.EhrDemographics,
    "records/ehr_demographics.sql",
    inputs=[records.EhrRecords, records.EhrStays, records.EhrAdmissions],
)

STEPS = (
    *(ehr_admissions, ehr_records, ehr_stays, code_mappings, admission_diagnoses),
    *(ehr_codes, ehr_readings, ehr_notes, ehr_demographics),
    *films.STEPS,
)
