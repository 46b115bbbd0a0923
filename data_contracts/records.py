"""Records: an EHR record is an admission with an ICU stay, a CXR record is one image with its study's report."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract
from data_contracts.films import Films


class EhrAdmissions(Contract):
    """One hospital admission of any database, with an ICU stay or without."""

    table = "ehr_admissions"
    layer = "records"
    key = ("hadm_id",)

    database = fields.database()
    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    admit_time = fields.time("Admission")
    discharge_time = fields.time("Discharge; the admission time where it is missing or earlier")
    death_time = fields.time("Death in hospital; known only then", nullable=True)
    died_in_hospital = dy.Bool(nullable=True, description="True where the patient died in hospital; known at the end.")
    age_years = dy.Float64(nullable=True, min=0, max=200, description="Age at admission in years, 91 means over 89.")
    gender = dy.Enum(["F", "M"], nullable=True, description="Sex as recorded.")
    race = fields.text("Race or ethnicity as recorded.")
    insurance = fields.text("Insurance as recorded.")
    admission_type = fields.text("Kind of admission as recorded.")
    is_in_carevue_subset = dy.Bool(
        description="True where the subject is in MIMIC-III's CareVue subset, whose people MIMIC-IV does not hold."
    )


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
    is_in_carevue_subset = dy.Bool(
        description="True where the subject is in MIMIC-III's CareVue subset, whose people MIMIC-IV does not hold."
    )


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


class CodeMappings(Contract):
    """One diagnosis code and what a grouping maps it to; codes that it does not map have no row.

    From CMS's General Equivalence Mappings and AHRQ's CCSR, both in the public domain.
    """

    table = "code_mappings"
    layer = "records"
    key = ("grouping", "icd_version", "code")

    grouping = dy.Enum(["ccsr", "gem"], description="gem: ICD-9-CM to ICD-10-CM, one target; ccsr: first category.")
    icd_version = dy.Int16(is_in=[9, 10], description="ICD-9-CM or ICD-10-CM.")
    code = fields.text("Code without dot.", nullable=False)
    target = fields.text("ICD-10-CM code without dot, or CCSR category.", nullable=False)
    target_version = dy.Int16(is_in=[10], description="10: both groupings speak of ICD-10-CM.")


class AdmissionDiagnoses(Contract):
    """One distinct diagnosis of a hospital admission, with ICU stay or without (setting diagnosis_grouping)."""

    table = "admission_diagnoses"
    layer = "records"
    key = ("hadm_id", "icd_version", "code")

    database = fields.database()
    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    admit_time = fields.time("Admission")
    discharge_time = fields.time("Discharge; the admission time where it is missing or earlier")
    icd_version = dy.Int16(is_in=[9, 10], description="9 or 10, after mapping.")
    code = fields.text("ICD code without dot, its category, or its CCSR category.", nullable=False)


class EhrCodes(Contract):
    """One distinct diagnosis code or drug of an EHR record."""

    table = "ehr_codes"
    layer = "records"
    key = ("hadm_id", "kind", "code", "icd_version")

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    kind = dy.Enum(["diagnosis", "drug"], description="What the code names.")
    code = fields.text("ICD code or category as in admission_diagnoses, or normalised drug name.", nullable=False)
    icd_version = dy.Int16(is_in=[0, 9, 10], description="9 or 10; 0 for drugs.")
    known_time = fields.time(
        "When a clinician could know it: order start for drugs (MIMIC-III: end of that day), discharge for codes"
    )
    coded_after_discharge = dy.Bool(description="True for billing codes.")


class EhrReadings(Contract):
    """One reading inside the window of an ICU stay (setting window_hours): charted, measured, given or drawn."""

    table = "ehr_readings"
    layer = "records"
    sharded = True
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


class ConceptItems(Contract):
    """One variable that stands for a concept of the shared feature space in one clinical system, with the evidence."""

    table = "concept_items"
    layer = "records"
    key = ("concept", "system", "variable")

    concept = fields.text("Concept; the variable of ehr_shared_readings.", nullable=False)
    system = dy.Enum(["carevue", "metavision", "mimic_iv"], description="Clinical system that charts it so.")
    variable = fields.text("Variable of ehr_readings.", nullable=False)
    unit = fields.text("Unit of the concept.", nullable=False)
    low = dy.Float64(description="Smallest number that can be a measurement, in the concept's unit.")
    high = dy.Float64(description="Largest number that can be a measurement.")
    rule = dy.Enum(
        ["", "fahrenheit", "fraction", "given", "inches", "noted", "pounds"],
        description="How its numbers get the concept's unit; empty where they have it.",
    )
    evidence = fields.text("Why: label in the dictionary, readings in the open slices, published definitions.")


class EhrSharedReadings(Contract):
    """One reading in the shared feature space, in the unit of its concept; implausible numbers are left out."""

    table = "ehr_shared_readings"
    layer = "records"
    sharded = True
    order = ("subject_id", "stay_id", "variable", "offset_hours")

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id()
    variable = dy.String(regex=r"^[a-z][a-z0-9_]*$", description="Concept of concept_items.")
    offset_hours = dy.Float64(min=0, description="Hours from the start of the stay to the reading.")
    value = fields.text("Always null: the shared space holds numbers alone.")
    value_number = dy.Float64(description="Reading in the unit of its concept.")
    known_hours = dy.Float64(description="Hours from the start of the stay until the reading could be seen.")
    known_is_assumed = dy.Bool(description="True where no storetime exists and the event time stands for it.")


class EhrNotes(Contract):
    """One discharge summary of an EHR record, the latest dated by the day of the discharge, else the latest."""

    table = "ehr_notes"
    layer = "records"
    sharded = True
    key = ("hadm_id",)

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    note_id = fields.text("Note.", nullable=False)
    note_time = fields.time("Time of the note; midnight where it has a day alone")
    known_time = fields.time(
        "When a clinician could see it: stored, else the time of the note, else the end of its day"
    )
    known_is_assumed = dy.Bool(description="True where no storetime exists.")
    text = fields.text("The note.", nullable=False)


class EhrDemographics(Contract):
    """Who the patient of an EHR record is, as known at admission, in one encoding for every database."""

    table = "ehr_demographics"
    layer = "records"
    key = ("hadm_id",)

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    age_years = dy.Float64(nullable=True, min=0, max=200, description="Age at admission in years, 91 means over 89.")
    gender = dy.Enum(["F", "M"], description="Sex as recorded.")
    race_group = dy.Enum(["asian", "black", "hispanic", "other", "unknown", "white"], description="Race, folded.")
    insurance_group = dy.Enum(["medicaid", "medicare", "other", "unknown"], description="Insurance, folded.")
    admission_group = dy.Enum(["elective", "emergency", "unknown"], description="Planned or not, folded.")
    care_unit_group = dy.Enum(
        ["cardiac", "medical", "other", "surgical", "trauma", "unknown"],
        description="First care unit, folded.",
    )


class CxrRecords(Films):
    """One chest X-ray image of any release, with a report or, of the labelled releases, without."""

    table = "cxr_records"


class CxrReports(Contract):
    """One radiology report, the text that the model reads (setting report_text)."""

    table = "cxr_reports"
    layer = "records"
    sharded = True
    key = ("source", "study_id")

    source = fields.source()
    subject_id = fields.subject_id()
    study_id = fields.study_id()
    section = dy.Enum(
        ["comparison", "findings", "full", "impression", "last_paragraph"],
        description="What of the report this is.",
    )
    is_fall_back = dy.Bool(description="True where the report lacks the wanted section.")
    text = dy.String(min_length=1, description="The report.")
