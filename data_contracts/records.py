"""Records: an EHR record is an admission with an ICU stay, a CXR record is one image with its study's report."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract


class EhrRecords(Contract):
    """One hospital admission with at least one ICU stay."""

    table = "ehr_records"
    layer = "records"
    key = ("hadm_id",)

    database = fields.database()
    record_id = fields.record_id()
    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    admit_time = fields.time("Admission")
    discharge_time = fields.time("Discharge; the admission time where it is missing or earlier")
    first_icu_time = fields.time("First ICU stay begins")
    record_time = fields.time("Time that stands for the record (setting record_time)")
    num_stays = dy.Int32(min=1, description="ICU stays of the admission, all of them.")


class EhrStays(Contract):
    """One of the first ICU stays of an EHR record (setting max_stays)."""

    table = "ehr_stays"
    layer = "records"
    key = ("stay_id",)

    database = fields.database()
    system = dy.Enum(
        fields.SYSTEMS,
        description="Clinical system that charted the stay: MIMIC-III's DBSOURCE; mimic_iv, which is MetaVision.",
    )
    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id()
    stay_index = dy.Int32(min=0, description="Position of the stay in its admission, by in-time.")
    in_time = fields.time("Stay begins")
    out_time = fields.time("Stay ends", nullable=True)
    first_careunit = fields.text("First care unit.")
    los_hours = dy.Float64(nullable=True, min=0, description="Length of stay in hours; known only at the end.")


class EhrCodes(Contract):
    """One distinct diagnosis code or drug of an EHR record."""

    table = "ehr_codes"
    layer = "records"
    key = ("hadm_id", "kind", "code", "icd_version")

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    kind = dy.Enum(["diagnosis", "drug"], description="What the code names.")
    code = fields.text("ICD code without dot, or normalised drug name.", nullable=False)
    icd_version = dy.Int16(is_in=[0, 9, 10], description="9 or 10; 0 for drugs.")
    known_time = fields.time("When a clinician could know it: order start for drugs, discharge for codes")
    coded_after_discharge = dy.Bool(description="True for billing codes.")


class EhrReadings(Contract):
    """One reading inside the window of an ICU stay (setting window_hours): charted, measured, given or drawn."""

    table = "ehr_readings"
    layer = "records"
    order = ("subject_id", "stay_id", "variable", "offset_hours")

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id()
    variable = dy.String(
        regex=r"^(chart|lab|input|amount|output|procedure|datetime|micro)_\d+$",
        description="Kind and itemid: input_ is the rate of what runs, amount_ what was given at once.",
    )
    offset_hours = dy.Float64(min=0, description="Hours from the start of the stay to the reading.")
    value = fields.text("Reading as charted.")
    value_number = dy.Float64(nullable=True, description="Reading as a number, in one unit per variable.")
    known_hours = dy.Float64(description="Hours from the start of the stay until the reading could be seen.")
    known_is_assumed = dy.Bool(description="True where no storetime exists and the event time stands for it.")


class EhrNotes(Contract):
    """One discharge summary of an EHR record, the latest."""

    table = "ehr_notes"
    layer = "records"
    key = ("hadm_id",)

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    note_id = fields.text("Note.", nullable=False)
    note_time = fields.time("Time of the note")
    text = fields.text("The note.", nullable=False)


class EhrDemographics(Contract):
    """Who the patient of an EHR record is, as known at admission."""

    table = "ehr_demographics"
    layer = "records"
    key = ("hadm_id",)

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    age_years = dy.Float64(nullable=True, min=0, max=200, description="Age at admission in years, 91 means over 89.")
    gender = dy.Enum(["F", "M"], description="Sex as recorded.")
    race_group = dy.Enum(["asian", "black", "hispanic", "other", "unknown", "white"], description="Race, folded.")
    insurance_group = dy.Enum(["medicaid", "medicare", "other", "unknown"], description="Insurance, folded.")
    admission_group = dy.Enum(["elective", "emergency", "observation", "unknown", "urgent"], description="Folded.")
    care_unit_group = dy.Enum(
        ["cardiac", "medical", "mixed", "neuro", "surgical", "trauma", "unknown"],
        description="First care unit, folded.",
    )


class CxrRecords(Contract):
    """One chest X-ray image with a report and a time."""

    table = "cxr_records"
    layer = "records"
    key = ("dicom_id",)

    record_id = fields.record_id()
    subject_id = fields.subject_id()
    study_id = fields.study_id()
    dicom_id = fields.dicom_id()
    record_time = fields.time("StudyDate and StudyTime")
    view_position = fields.text("View, for instance PA.")
    path = fields.text("DICOM file below the root of MIMIC-CXR.", nullable=False)


class CxrReports(Contract):
    """One radiology report, the text that the model reads (setting report_text)."""

    table = "cxr_reports"
    layer = "records"
    key = ("study_id",)

    subject_id = fields.subject_id()
    study_id = fields.study_id()
    text = dy.String(min_length=1, description="The report.")
