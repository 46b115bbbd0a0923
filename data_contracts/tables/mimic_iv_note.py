"""MIMIC-IV-Note: the columns the graph reads, under their published names."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract


class MimicIvNoteDischarge(Contract):
    """One discharge summary of MIMIC-IV-Note."""

    table = "mimic_iv_note__discharge"
    layer = "tables"
    sharded = True
    key = ("note_id",)

    note_id = fields.text("Note, subject-DS-sequence.", nullable=False)
    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    note_type = fields.text("DS discharge summary, AD addendum.", nullable=False)
    note_seq = dy.Int32(min=0, description="Order of the subject's notes.")
    charttime = fields.time("Time of the note")
    storetime = fields.time("Note stored", nullable=True)
    text = fields.text("The note.", nullable=False)


class MimicIvNoteRadiology(Contract):
    """One radiology report of MIMIC-IV-Note, of any modality and body region."""

    table = "mimic_iv_note__radiology"
    layer = "tables"
    sharded = True
    key = ("note_id",)

    note_id = fields.text("Note, subject-RR-sequence.", nullable=False)
    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id(nullable=True)
    note_type = fields.text("RR radiology report, AR addendum.", nullable=False)
    note_seq = dy.Int32(min=0, description="Order of the subject's reports.")
    charttime = fields.time("Time of the examination")
    storetime = fields.time("Report stored", nullable=True)
    text = fields.text("The report.", nullable=False)


class MimicIvNoteRadiologyDetail(Contract):
    """One structured fact about a radiology report: name of the examination, its code, parent of an addendum."""

    table = "mimic_iv_note__radiology_detail"
    layer = "tables"
    order = ("subject_id", "note_id", "field_ordinal", "field_name")

    note_id = fields.text("Report.", nullable=False)
    subject_id = fields.subject_id()
    field_name = fields.text("exam_name, exam_code, cpt_code, parent_note_id or addendum_note_id.", nullable=False)
    field_value = fields.text("The fact.")
    field_ordinal = dy.Int32(min=0, description="Order of the fact, by examination where a report covers several.")
