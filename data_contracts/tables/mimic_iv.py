"""MIMIC-IV, modules hosp and icu: the columns the graph reads, under their published names."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract
from data_contracts.tables.event_fields import code, number, whole


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
    sharded = True
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
    sharded = True
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
    sharded = True
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


class MimicIvInputevents(Contract):
    """One piece of an infusion or one given dose of an ICU stay; the published table has no key."""

    table = "mimic_iv__inputevents"
    layer = "tables"
    sharded = True
    order = ("subject_id", "stay_id", "starttime", "itemid")

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id(nullable=True)
    starttime = fields.time("Start of the piece")
    endtime = fields.time("End of the piece")
    storetime = fields.time("Entered or validated", nullable=True)
    itemid = fields.itemid()
    amount = number("Given between start and end, in amountuom.")
    amountuom = fields.text("Unit of amount.")
    rate = number("Rate in rateuom; null for a dose given at once.")
    rateuom = fields.text("Unit of rate.")
    orderid = whole("Order; the items of one solution share it.")
    linkorderid = whole("First order of a chain of changed orders.")
    ordercategoryname = fields.text("Kind of order.")
    secondaryordercategoryname = fields.text("Second kind of order.")
    ordercomponenttypedescription = fields.text("Part of the order, such as main or additive.")
    ordercategorydescription = fields.text("Drug push, continuous, bolus, ...")
    patientweight = number("Weight in kilograms that the order was written for.")
    totalamount = number("Total in the bag, in totalamountuom.")
    totalamountuom = fields.text("Unit of totalamount.")
    isopenbag = code("1: from an open bag.")
    continueinnextdept = code("1: continued in the next department.")
    statusdescription = fields.text("FinishedRunning, Stopped, Paused, ChangeDose/Rate, Flushed or Rewritten.")
    originalamount = number("Amount at the start of the order.")
    originalrate = number("Rate as first ordered.")


class MimicIvOutputevents(Contract):
    """One output of an ICU stay, such as urine; the published table has no key."""

    table = "mimic_iv__outputevents"
    layer = "tables"
    sharded = True
    order = ("subject_id", "stay_id", "charttime", "itemid")

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id()
    charttime = fields.time("Output measured")
    storetime = fields.time("Entered or validated", nullable=True)
    itemid = fields.itemid()
    value = number("Volume, in valueuom.")
    valueuom = fields.text("Unit.")


class MimicIvProcedureevents(Contract):
    """One procedure of an ICU stay, such as ventilation; the published table has no key."""

    table = "mimic_iv__procedureevents"
    layer = "tables"
    sharded = True
    order = ("subject_id", "stay_id", "starttime", "itemid")

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id()
    starttime = fields.time("Start")
    endtime = fields.time("End")
    storetime = fields.time("Entered or validated", nullable=True)
    itemid = fields.itemid()
    value = number("Duration in valueuom; known only at the end.")
    valueuom = fields.text("Unit.")
    location = fields.text("Place on the body.")
    locationcategory = fields.text("Kind of place.")
    orderid = whole("Order.")
    linkorderid = whole("First order of a chain of changed orders.")
    ordercategoryname = fields.text("Kind of order.")
    ordercategorydescription = fields.text("Kind of process.")
    patientweight = number("Weight in kilograms.")
    isopenbag = code("1: from an open bag.")
    continueinnextdept = code("1: continued in the next department.")
    statusdescription = fields.text("FinishedRunning, Stopped, Paused or Rewritten.")


class MimicIvDatetimeevents(Contract):
    """One charted date of an ICU stay, such as the last dialysis; the published table has no key."""

    table = "mimic_iv__datetimeevents"
    layer = "tables"
    sharded = True
    order = ("subject_id", "stay_id", "charttime", "itemid")

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id()
    charttime = fields.time("Charted")
    storetime = fields.time("Entered or validated", nullable=True)
    itemid = fields.itemid()
    value = fields.time("The date that was charted", nullable=True)
    valueuom = fields.text("Date or Date and Time.")


class MimicIvMicrobiologyevents(Contract):
    """One microbiology result: a test of a specimen, an organism that grew, or its sensitivity to an antibiotic."""

    table = "mimic_iv__microbiologyevents"
    layer = "tables"
    sharded = True
    key = ("microevent_id",)
    order = ("subject_id", "chartdate", "microevent_id")

    microevent_id = dy.Int64(min=1, description="Result.")
    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id(nullable=True)
    micro_specimen_id = whole("Specimen.")
    chartdate = fields.time("Day the specimen was taken")
    charttime = fields.time("Specimen taken", nullable=True)
    spec_itemid = whole("Kind of specimen.")
    spec_type_desc = fields.text("Kind of specimen in words; empty where none was entered.")
    test_seq = whole("Order of the tests of a specimen.")
    storedate = fields.time("Day the result was available", nullable=True)
    storetime = fields.time("Result available", nullable=True)
    test_itemid = whole("Test.")
    test_name = fields.text("Test in words.")
    org_itemid = whole("Organism that grew; null where none did.")
    org_name = fields.text("Organism in words.")
    isolate_num = code("Colony within the specimen.")
    quantity = fields.text("How much grew.")
    ab_itemid = whole("Antibiotic tested.")
    ab_name = fields.text("Antibiotic in words.")
    dilution_text = fields.text("Dilution as entered.")
    dilution_comparison = fields.text("How dilution_value is to be read: =, <=, >, ...")
    dilution_value = number("Dilution.")
    interpretation = fields.text("S sensitive, I intermediate, R resistant, P pending.")
    comments = fields.text("The result of a test without organism, in words.")


class MimicIvProceduresIcd(Contract):
    """One billed procedure code of an admission."""

    table = "mimic_iv__procedures_icd"
    layer = "tables"
    order = ("subject_id", "hadm_id", "seq_num")

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    seq_num = dy.Int32(min=0, description="Order of the code in the admission.")
    chartdate = dy.Date(nullable=True, description="Day of the procedure.")
    icd_code = fields.text("Code without dot or trailing blanks.", nullable=False)
    icd_version = dy.Int16(is_in=[9, 10], description="ICD-9-CM or ICD-10-PCS.")


class MimicIvDIcdProcedures(Contract):
    """One procedure code and its title."""

    table = "mimic_iv__d_icd_procedures"
    layer = "tables"
    key = ("icd_code", "icd_version")

    icd_code = fields.text("Code without dot or trailing blanks.", nullable=False)
    icd_version = dy.Int16(is_in=[9, 10], description="ICD-9-CM or ICD-10-PCS.")
    long_title = fields.text("Title.")
