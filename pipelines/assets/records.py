"""Records: SQL over the typed tables. Not here: anything fitted (`features.py`) or across sources (`links.py`)."""

from data_contracts import records, tables
from pipelines.assets.step import sql_step

ehr_records = sql_step(
    records.EhrRecords,
    "records/ehr_records.sql",
    inputs=[tables.MimicIvAdmissions, tables.MimicIvIcustays],
    settings=lambda profile: {"record_time": profile.records.record_time},
)
ehr_stays = sql_step(
    records.EhrStays,
    "records/ehr_stays.sql",
    inputs=[records.EhrRecords, tables.MimicIvIcustays],
    settings=lambda profile: {"max_stays": profile.records.max_stays},
)
ehr_codes = sql_step(
    records.EhrCodes,
    "records/ehr_codes.sql",
    inputs=[records.EhrRecords, tables.MimicIvDiagnosesIcd, tables.MimicIvPrescriptions],
    settings=lambda profile: {"diagnosis_grouping": profile.vocabularies.diagnosis_grouping},
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
)
ehr_notes = sql_step(
    records.EhrNotes,
    "records/ehr_notes.sql",
    inputs=[records.EhrRecords, tables.MimicIvNoteDischarge],
)
ehr_demographics = sql_step(
    records.EhrDemographics,
    "records/ehr_demographics.sql",
    inputs=[records.EhrRecords, records.EhrStays, tables.MimicIvAdmissions, tables.MimicIvPatients],
)
cxr_records = sql_step(
    records.CxrRecords,
    "records/cxr_records.sql",
    inputs=[
        tables.MimicCxrRecordList,
        tables.MimicCxrReports,
        tables.MimicCxrHeaders,
        tables.MimicCxrJpgMetadata,
    ],
)
cxr_reports = sql_step(
    records.CxrReports,
    "records/cxr_reports.sql",
    inputs=[records.CxrRecords, tables.MimicCxrReports],
    settings=lambda profile: {"report_text": profile.records.report_text},
)

STEPS = (ehr_records, ehr_stays, ehr_codes, ehr_readings, ehr_notes, ehr_demographics, cxr_records, cxr_reports)
