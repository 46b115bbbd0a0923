"""MIMIC-CXR: films, headers and reports."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract


class MimicCxrRecordList(Contract):
    """One DICOM image of MIMIC-CXR and its file."""

    table = "mimic_cxr__record_list"
    layer = "tables"
    key = ("dicom_id",)

    subject_id = fields.subject_id()
    study_id = fields.study_id()
    dicom_id = fields.dicom_id()
    path = fields.text("File below the root.", nullable=False)


class MimicCxrStudyList(Contract):
    """One study of MIMIC-CXR and its report file."""

    table = "mimic_cxr__study_list"
    layer = "tables"
    key = ("study_id",)

    subject_id = fields.subject_id()
    study_id = fields.study_id()
    path = fields.text("Report file below the root.", nullable=False)


class MimicCxrReports(Contract):
    """One report of MIMIC-CXR, whole."""

    table = "mimic_cxr__reports"
    layer = "tables"
    key = ("study_id",)

    subject_id = fields.subject_id()
    study_id = fields.study_id()
    path = fields.text("Report file below the root.", nullable=False)
    text = dy.String(min_length=1, description="The report, every section, line breaks kept.")


class MimicCxrHeaders(Contract):
    """One DICOM header; empty where the JPG release's metadata is at hand."""

    table = "mimic_cxr__headers"
    layer = "tables"
    key = ("dicom_id",)

    dicom_id = fields.dicom_id()
    subject_id = fields.subject_id()
    study_id = fields.study_id()
    view_position = fields.text("View, for instance PA.")
    height_pixels = dy.Int32(nullable=True, min=1, description="Height in pixels.")
    width_pixels = dy.Int32(nullable=True, min=1, description="Width in pixels.")
    study_time = fields.time("StudyDate and StudyTime")
