"""Typed raw tables, `<source>__<table>`, one module per source."""

from data_contracts.tables.mimic_cxr import (
    MimicCxrHeaders,
    MimicCxrRecordList,
    MimicCxrReports,
    MimicCxrStudyList,
)
from data_contracts.tables.mimic_cxr_jpg import (
    MimicCxrJpgMetadata,
)
from data_contracts.tables.mimic_iv import (
    MimicIvAdmissions,
    MimicIvChartevents,
    MimicIvDiagnosesIcd,
    MimicIvDIcdDiagnoses,
    MimicIvDItems,
    MimicIvDLabitems,
    MimicIvIcustays,
    MimicIvLabevents,
    MimicIvPatients,
    MimicIvPrescriptions,
)
from data_contracts.tables.mimic_iv_note import (
    MimicIvNoteDischarge,
)

__all__ = [
    "MimicCxrHeaders",
    "MimicCxrJpgMetadata",
    "MimicCxrRecordList",
    "MimicCxrReports",
    "MimicCxrStudyList",
    "MimicIvAdmissions",
    "MimicIvChartevents",
    "MimicIvDIcdDiagnoses",
    "MimicIvDItems",
    "MimicIvDLabitems",
    "MimicIvDiagnosesIcd",
    "MimicIvIcustays",
    "MimicIvLabevents",
    "MimicIvNoteDischarge",
    "MimicIvPatients",
    "MimicIvPrescriptions",
]
