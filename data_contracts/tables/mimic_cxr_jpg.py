"""MIMIC-CXR-JPG: metadata, split and labels; the columns the graph reads, under their published names."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract
from data_contracts.tables.observations import Observations


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


class MimicCxrJpgSplit(Contract):
    """One image's place in the split that MIMIC-CXR-JPG recommends."""

    table = "mimic_cxr_jpg__split"
    layer = "tables"
    key = ("dicom_id",)

    dicom_id = fields.dicom_id()
    study_id = fields.study_id()
    subject_id = fields.subject_id()
    split = dy.Enum(["test", "train", "validate"], description="Part of the recommended split.")


class _StudyIds(Contract):
    """The study that labels belong to."""

    subject_id = fields.subject_id()
    study_id = fields.study_id()


class MimicCxrJpgChexpert(_StudyIds, Observations):
    """One study's labels, by the CheXpert labeler from its report."""

    table = "mimic_cxr_jpg__chexpert"
    layer = "tables"
    key = ("study_id",)


class MimicCxrJpgNegbio(_StudyIds, Observations):
    """One study's labels, by the NegBio labeler from its report."""

    table = "mimic_cxr_jpg__negbio"
    layer = "tables"
    key = ("study_id",)


class _Study(Contract):
    """The study alone."""

    study_id = fields.study_id()


class MimicCxrJpgTestLabels(_Study, Observations):
    """One study's labels by a radiologist; empty before release 2.1.0."""

    table = "mimic_cxr_jpg__test_labels"
    layer = "tables"
    key = ("study_id",)
