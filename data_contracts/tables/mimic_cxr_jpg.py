"""MIMIC-CXR-JPG: the columns the graph reads, under their published names."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract


class MimicCxrJpgMetadata(Contract):
    """One image's metadata in MIMIC-CXR-JPG."""

    table = "mimic_cxr_jpg__metadata"
    layer = "tables"
    key = ("dicom_id",)

    dicom_id = fields.dicom_id()
    subject_id = fields.subject_id()
    study_id = fields.study_id()
    view_position = fields.text("View, for instance PA.")
    height_pixels = dy.Int32(nullable=True, min=1, description="Height in pixels.")
    width_pixels = dy.Int32(nullable=True, min=1, description="Width in pixels.")
    study_time = fields.time("StudyDate and zero-padded StudyTime, fraction kept")
