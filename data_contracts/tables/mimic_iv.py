"""MIMIC-IV, modules hosp and icu: the columns the graph reads, under their published names."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract


class MimicIvPatients(Contract):
    """One patient of MIMIC-IV."""

    table = "mimic_iv__patients"
    layer = "tables"
    key = ("subject_id",)

    subject_id = fields.subject_id()
    gender = dy.Enum(["F", "M"], description="Sex as recorded.")
    anchor_age = dy.Int16(nullable=True, min=0, max=130, description="Age in years in anchor_year; 91 means over 89.")
    anchor_year = dy.Int16(min=1900, max=2300, description="Shifted year to which anchor_age belongs.")
    anchor_year_group = fields.text("Three-year range of real time.")
    dod = dy.Date(nullable=True, description="Date of death, in or out of hospital.")


class MimicIvAdmissions(Contract):
    """One hospital admission of MIMIC-IV."""

    table = "mimic_iv__admissions"
    layer = "tables"
    key = ("hadm_id",)

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    admittime = fields.time("Admission")
    dischtime = fields.time("Discharge", nullable=True)
    deathtime = fields.time("Death in hospital", nullable=True)
    admission_type = fields.text("Kind of admission.")
    admission_location = fields.text("Where the patient came from.")
    discharge_location = fields.text("Where the patient went; known only at discharge.")
    insurance = fields.text("Insurance.")
    language = fields.text("Language.")
    marital_status = fields.text("Marital status.")
    race = fields.text("Race as recorded.")
    edregtime = fields.time("Registered in the emergency department", nullable=True)
    edouttime = fields.time("Left the emergency department", nullable=True)
    hospital_expire_flag = dy.Int16(nullable=True, is_in=[0, 1], description="1: died in hospital.")


class MimicIvDiagnosesIcd(Contract):
    """One billed diagnosis code of an admission."""

    table = "mimic_iv__diagnoses_icd"
    layer = "tables"
    key = ("hadm_id", "seq_num", "icd_code", "icd_version")

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    seq_num = dy.Int32(min=0, description="Priority of the code in the admission.")
    icd_code = fields.text("Code without dot or trailing blanks.", nullable=False)
    icd_version = dy.Int16(is_in=[9, 10], description="ICD-9-CM or ICD-10-CM.")


class MimicIvDIcdDiagnoses(Contract):
    """One diagnosis code and its title."""

    table = "mimic_iv__d_icd_diagnoses"
    layer = "tables"
    key = ("icd_code", "icd_version")

    icd_code = fields.text("Code without dot or trailing blanks.", nullable=False)
    icd_version = dy.Int16(is_in=[9, 10], description="ICD-9-CM or ICD-10-CM.")
    long_title = fields.text("Title.")


class MimicIvPrescriptions(Contract):
    """One prescribed drug order; the published table has no key."""

    table = "mimic_iv__prescriptions"
    layer = "tables"
    order = ("subject_id", "hadm_id", "starttime", "drug")

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    pharmacy_id = dy.Int64(nullable=True, description="Order in the pharmacy system.")
    starttime = fields.time("Start of the order", nullable=True)
    stoptime = fields.time("End of the order", nullable=True)
    drug_type = fields.text("MAIN, BASE or ADDITIVE.")
    drug = fields.text("Drug name as entered.")
    route = fields.text("Route of administration.")


class MimicIvLabevents(Contract):
    """One laboratory result of MIMIC-IV."""

    table = "mimic_iv__labevents"
    layer = "tables"
    key = ("labevent_id",)
    order = ("subject_id", "charttime", "labevent_id")

    labevent_id = dy.Int64(min=1, description="Result.")
    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id(nullable=True)
    specimen_id = dy.Int64(nullable=True, description="Specimen the result came from.")
    itemid = fields.itemid()
    charttime = fields.time("Specimen taken", nullable=True)
    storetime = fields.time("Result available", nullable=True)
    value = fields.text("Result as text; ___ where removed.")
    valuenum = dy.Float64(nullable=True, description="Result as a number, in valueuom.")
    valueuom = fields.text("Unit.")
    flag = fields.text("abnormal, or empty.")


class MimicIvDLabitems(Contract):
    """One laboratory concept."""

    table = "mimic_iv__d_labitems"
    layer = "tables"
    key = ("itemid",)

    itemid = fields.itemid()
    label = fields.text("Name.")
    fluid = fields.text("Fluid.")
    category = fields.text("Category.")


class MimicIvIcustays(Contract):
    """One ICU stay of MIMIC-IV."""

    table = "mimic_iv__icustays"
    layer = "tables"
    key = ("stay_id",)

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id()
    first_careunit = fields.text("First care unit.")
    last_careunit = fields.text("Last care unit; known only at the end.")
    intime = fields.time("In")
    outtime = fields.time("Out", nullable=True)
    los = dy.Float64(nullable=True, min=0, description="Length of stay in days; known only at the end.")


class MimicIvChartevents(Contract):
    """One charted reading of an ICU stay; the published table has no key."""

    table = "mimic_iv__chartevents"
    layer = "tables"
    order = ("subject_id", "stay_id", "charttime", "itemid")

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id()
    charttime = fields.time("Reading taken")
    storetime = fields.time("Reading entered or validated", nullable=True)
    itemid = fields.itemid()
    value = fields.text("Reading as text.")
    valuenum = dy.Float64(nullable=True, description="Reading as a number, in valueuom.")
    valueuom = fields.text("Unit.")


class MimicIvDItems(Contract):
    """One charted concept of the ICU."""

    table = "mimic_iv__d_items"
    layer = "tables"
    key = ("itemid",)

    itemid = fields.itemid()
    label = fields.text("Name.")
    abbreviation = fields.text("Short name.")
    linksto = fields.text("Table that holds its events.")
    category = fields.text("Category.")
    unitname = fields.text("Unit.")
    param_type = fields.text("Numeric, Text, Date and time, ...")
