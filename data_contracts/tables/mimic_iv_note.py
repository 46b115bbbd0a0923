"""MIMIC-IV-Note: the columns the graph reads, under their published names."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract


class MimicIvNoteDischarge(Contract):
    """One discharge summary of MIMIC-IV-Note."""

    table = "mimic_iv_note__discharge"
    layer = "tables"
    key = ("note_id",)

    note_id = fields.text("Note, subject-DS-sequence.", nullable=False)
    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    note_type = fields.text("DS discharge summary, AD addendum.", nullable=False)
    note_seq = dy.Int32(min=0, description="Order of the subject's notes.")
    charttime = fields.time("Time of the note")
    storetime = fields.time("Note stored", nullable=True)
    text = fields.text("The note.", nullable=False)
