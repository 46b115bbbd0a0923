"""Links between records: the same patient within a window, similar diagnosis histories, and the cohorts."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract


class SamePatientPairs(Contract):
    """One pair of records of one patient from two sources inside the window (setting theta_days, inclusive)."""

    table = "same_patient_pairs"
    layer = "links"
    key = ("source", "record_id", "other_source", "other_record_id")

    source = fields.source()
    record_id = fields.record_id()
    other_source = fields.source()
    other_record_id = fields.record_id()
    subject_id = fields.subject_id()
    gap_days = dy.Float64(min=0, description="Days between the two records; 0 inside the admission (setting gap_from).")


class CohortSplit(Contract):
    """One record and the cohort it stands in; no subject stands in two of them."""

    table = "cohort_split"
    layer = "links"
    key = ("source", "record_id")

    source = fields.source()
    record_id = fields.record_id()
    subject_id = fields.subject_id()
    study_id = dy.Int64(min=1, description="Study of a CXR record, admission of an EHR record.")
    split = fields.split()


class DiagnosisHistories(Contract):
    """One record and the diagnosis codes its patient has by then (setting history), multi-hot as sorted positions."""

    table = "diagnosis_histories"
    layer = "links"
    key = ("source", "record_id")

    source = fields.source()
    record_id = fields.record_id()
    subject_id = fields.subject_id()
    num_codes = dy.Int32(min=0, description="Distinct codes; 0 means no history.")
    num_out_of_vocabulary = dy.Int32(min=0, description="Distinct codes that the vocabulary does not hold, left out.")
    code_indices = dy.List(dy.Int32(min=0), description="Positions in diagnosis_vocabulary, ascending.")
