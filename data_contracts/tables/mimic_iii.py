"""MIMIC-III 1.4: the columns anyone could need, under their published names in lower case.

`row_id` and caregiver ids are left out. Both clinical systems lie in the same tables, but for inputs and procedures;
the error flags of CareVue rows are null.
"""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract
from data_contracts.tables.event_fields import code, number, whole


def _subject_id() -> dy.Int64:
    return dy.Int64(
        min=1, description="De-identified patient of MIMIC-III; in MIMIC-IV the same person has another id."
    )


def _icustay_id() -> dy.Int64:
    return dy.Int64(nullable=True, min=1, description="ICU stay; null for what was charted outside one.")


class MimicIiiPatients(Contract):
    """One patient of MIMIC-III."""

    table = "mimic_iii__patients"
    layer = "tables"
    key = ("subject_id",)

    subject_id = _subject_id()
    gender = dy.Enum(["F", "M"], description="Sex as recorded.")
    dob = fields.time("Birth; 300 years before the first admission for those over 89")
    dod = fields.time("Death, in or out of hospital", nullable=True)
    dod_hosp = fields.time("Death as the hospital recorded it", nullable=True)
    dod_ssn = fields.time("Death as the social security index recorded it", nullable=True)
    expire_flag = code("1: a date of death is known.")


class MimicIiiAdmissions(Contract):
    """One hospital admission of MIMIC-III."""

    table = "mimic_iii__admissions"
    layer = "tables"
    key = ("hadm_id",)

    subject_id = _subject_id()
    hadm_id = fields.hadm_id()
    admittime = fields.time("Admission")
    dischtime = fields.time("Discharge", nullable=True)
    deathtime = fields.time("Death in hospital", nullable=True)
    admission_type = fields.text("EMERGENCY, URGENT, ELECTIVE or NEWBORN.")
    admission_location = fields.text("Where the patient came from.")
    discharge_location = fields.text("Where the patient went; known only at discharge.")
    insurance = fields.text("Insurance.")
    language = fields.text("Language; mostly empty before 2008.")
    religion = fields.text("Religion.")
    marital_status = fields.text("Marital status.")
    ethnicity = fields.text("Ethnicity as recorded.")
    edregtime = fields.time("Registered in the emergency department", nullable=True)
    edouttime = fields.time("Left the emergency department", nullable=True)
    diagnosis = fields.text("Diagnosis at admission, as free text.")
    hospital_expire_flag = dy.Int16(nullable=True, is_in=[0, 1], description="1: died in hospital.")
    has_chartevents_data = dy.Int16(nullable=True, is_in=[0, 1], description="1: chartevents holds rows of it.")


class MimicIiiIcustays(Contract):
    """One ICU stay of MIMIC-III."""

    table = "mimic_iii__icustays"
    layer = "tables"
    key = ("icustay_id",)

    subject_id = _subject_id()
    hadm_id = fields.hadm_id()
    icustay_id = dy.Int64(min=1, description="ICU stay.")
    dbsource = dy.Enum(["both", "carevue", "metavision"], description="Clinical system that recorded the stay.")
    first_careunit = fields.text("First care unit.")
    last_careunit = fields.text("Last care unit; known only at the end.")
    first_wardid = code("First ward.")
    last_wardid = code("Last ward; known only at the end.")
    intime = fields.time("In")
    outtime = fields.time("Out", nullable=True)
    los = dy.Float64(nullable=True, min=0, description="Length of stay in days; known only at the end.")


class MimicIiiDiagnosesIcd(Contract):
    """One billed diagnosis code of an admission; a few rows of the published table hold no code."""

    table = "mimic_iii__diagnoses_icd"
    layer = "tables"
    order = ("subject_id", "hadm_id", "seq_num", "icd9_code")

    subject_id = _subject_id()
    hadm_id = fields.hadm_id()
    seq_num = dy.Int32(nullable=True, min=0, description="Priority of the code in the admission.")
    icd9_code = fields.text("ICD-9-CM code without dot or trailing blanks.")


class MimicIiiDIcdDiagnoses(Contract):
    """One diagnosis code and its titles."""

    table = "mimic_iii__d_icd_diagnoses"
    layer = "tables"
    key = ("icd9_code",)

    icd9_code = fields.text("ICD-9-CM code without dot or trailing blanks.", nullable=False)
    short_title = fields.text("Short title.")
    long_title = fields.text("Title.")


class MimicIiiPrescriptions(Contract):
    """One prescribed drug order; the published table has no key."""

    table = "mimic_iii__prescriptions"
    layer = "tables"
    sharded = True
    order = ("subject_id", "hadm_id", "startdate", "drug")

    subject_id = _subject_id()
    hadm_id = fields.hadm_id()
    icustay_id = _icustay_id()
    startdate = fields.time("First day of the order, at midnight", nullable=True)
    enddate = fields.time("Last day of the order, at midnight", nullable=True)
    drug_type = fields.text("MAIN, BASE or ADDITIVE.")
    drug = fields.text("Drug name as entered.")
    drug_name_poe = fields.text("Drug name at order entry.")
    drug_name_generic = fields.text("Generic name.")
    formulary_drug_cd = fields.text("Code in the hospital's formulary.")
    gsn = fields.text("Generic sequence number.")
    ndc = fields.text("National drug code.")
    prod_strength = fields.text("Strength of the product.")
    dose_val_rx = fields.text("Dose as ordered.")
    dose_unit_rx = fields.text("Unit of the dose.")
    form_val_disp = fields.text("Amount dispensed.")
    form_unit_disp = fields.text("Unit dispensed.")
    route = fields.text("Route of administration.")


class MimicIiiNoteevents(Contract):
    """One note of MIMIC-III, of any category."""

    table = "mimic_iii__noteevents"
    layer = "tables"
    sharded = True
    order = ("subject_id", "hadm_id", "chartdate", "charttime", "category", "description")

    subject_id = _subject_id()
    hadm_id = fields.hadm_id(nullable=True)
    chartdate = fields.time("Day of the note", nullable=True)
    charttime = fields.time("Time of the note; null for discharge summaries", nullable=True)
    storetime = fields.time("Note stored", nullable=True)
    category = fields.text("Discharge summary, Radiology, Nursing, ...")
    description = fields.text("Kind of note within its category.")
    iserror = fields.text("1: entered in error; null where it is not known to be.")
    text = fields.text("The note.", nullable=False)


class MimicIiiChartevents(Contract):
    """One charted reading; the published table has no key."""

    table = "mimic_iii__chartevents"
    layer = "tables"
    sharded = True
    order = ("subject_id", "icustay_id", "charttime", "itemid")

    subject_id = _subject_id()
    hadm_id = fields.hadm_id(nullable=True)
    icustay_id = _icustay_id()
    itemid = fields.itemid()
    charttime = fields.time("Reading taken", nullable=True)
    storetime = fields.time("Reading entered or validated", nullable=True)
    value = fields.text("Reading as text.")
    valuenum = number("Reading as a number, in valueuom.")
    valueuom = fields.text("Unit.")
    warning = code("1: the reading raised a warning; MetaVision only.")
    error = code("1: charted in error; null in CareVue, where it is not known.")
    resultstatus = fields.text("Final, Manual, ...; CareVue only.")
    stopped = fields.text("Stopped, D/C'd, NotStopd; CareVue only.")


class MimicIiiLabevents(Contract):
    """One laboratory result of MIMIC-III; the published table has no key and no time of the result."""

    table = "mimic_iii__labevents"
    layer = "tables"
    sharded = True
    order = ("subject_id", "charttime", "itemid")

    subject_id = _subject_id()
    hadm_id = fields.hadm_id(nullable=True)
    itemid = fields.itemid()
    charttime = fields.time("Specimen taken", nullable=True)
    value = fields.text("Result as text.")
    valuenum = number("Result as a number, in valueuom.")
    valueuom = fields.text("Unit.")
    flag = fields.text("abnormal, delta, or empty.")


class MimicIiiInputeventsCv(Contract):
    """One CareVue input: an amount given, or a rate set; the published table has no key."""

    table = "mimic_iii__inputevents_cv"
    layer = "tables"
    sharded = True
    order = ("subject_id", "icustay_id", "charttime", "itemid")

    subject_id = _subject_id()
    hadm_id = fields.hadm_id(nullable=True)
    icustay_id = _icustay_id()
    charttime = fields.time("Amount given or rate set", nullable=True)
    itemid = fields.itemid()
    amount = number("Amount, in amountuom.")
    amountuom = fields.text("Unit of amount.")
    rate = number("Rate, in rateuom; 0 where an infusion begins or stands.")
    rateuom = fields.text("Unit of rate.")
    storetime = fields.time("Entered", nullable=True)
    orderid = whole("Order; the items of one solution share it.")
    linkorderid = whole("First order of a chain of changed orders.")
    stopped = fields.text("Stopped, D/C'd, Restart, NotStopd.")
    newbottle = code("1: a new bottle was hung.")
    originalamount = number("Amount in the bottle.")
    originalamountuom = fields.text("Unit of originalamount.")
    originalroute = fields.text("Route.")
    originalrate = number("Rate as first ordered.")
    originalrateuom = fields.text("Unit of originalrate.")
    originalsite = fields.text("Place on the body.")


class MimicIiiInputeventsMv(Contract):
    """One piece of a MetaVision infusion or one given dose; the published table has no key."""

    table = "mimic_iii__inputevents_mv"
    layer = "tables"
    sharded = True
    order = ("subject_id", "icustay_id", "starttime", "itemid")

    subject_id = _subject_id()
    hadm_id = fields.hadm_id(nullable=True)
    icustay_id = _icustay_id()
    starttime = fields.time("Start of the piece", nullable=True)
    endtime = fields.time("End of the piece", nullable=True)
    itemid = fields.itemid()
    amount = number("Given between start and end, in amountuom.")
    amountuom = fields.text("Unit of amount.")
    rate = number("Rate in rateuom; null for a dose given at once.")
    rateuom = fields.text("Unit of rate.")
    storetime = fields.time("Entered or validated", nullable=True)
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
    cancelreason = code("Why the order was cancelled; 0 where it was not.")
    statusdescription = fields.text("FinishedRunning, Stopped, Paused, Changed or Rewritten.")
    comments_editedby = fields.text("Who edited the order.")
    comments_canceledby = fields.text("Who cancelled the order.")
    comments_date = fields.time("Order edited or cancelled", nullable=True)
    originalamount = number("Amount at the start of the order.")
    originalrate = number("Rate as first ordered.")


class MimicIiiOutputevents(Contract):
    """One output, such as urine; the published table has no key."""

    table = "mimic_iii__outputevents"
    layer = "tables"
    sharded = True
    order = ("subject_id", "icustay_id", "charttime", "itemid")

    subject_id = _subject_id()
    hadm_id = fields.hadm_id(nullable=True)
    icustay_id = _icustay_id()
    charttime = fields.time("Output measured", nullable=True)
    itemid = fields.itemid()
    value = number("Volume, in valueuom.")
    valueuom = fields.text("Unit.")
    storetime = fields.time("Entered or validated", nullable=True)
    stopped = fields.text("D/C'd; CareVue only.")
    newbottle = fields.text("1: a new bottle was hung.")
    iserror = code("1: entered in error; null in CareVue, where it is not known.")


class MimicIiiProcedureeventsMv(Contract):
    """One MetaVision procedure, such as ventilation; the published table has no key."""

    table = "mimic_iii__procedureevents_mv"
    layer = "tables"
    order = ("subject_id", "icustay_id", "starttime", "itemid")

    subject_id = _subject_id()
    hadm_id = fields.hadm_id()
    icustay_id = _icustay_id()
    starttime = fields.time("Start", nullable=True)
    endtime = fields.time("End", nullable=True)
    itemid = fields.itemid()
    value = number("Duration in valueuom; known only at the end.")
    valueuom = fields.text("Unit.")
    location = fields.text("Place on the body.")
    locationcategory = fields.text("Kind of place.")
    storetime = fields.time("Entered or validated", nullable=True)
    orderid = whole("Order.")
    linkorderid = whole("First order of a chain of changed orders.")
    ordercategoryname = fields.text("Kind of order.")
    secondaryordercategoryname = fields.text("Second kind of order.")
    ordercategorydescription = fields.text("Kind of process.")
    isopenbag = code("1: from an open bag.")
    continueinnextdept = code("1: continued in the next department.")
    cancelreason = code("Why the order was cancelled; 0 where it was not.")
    statusdescription = fields.text("FinishedRunning, Stopped, Paused or Rewritten.")
    comments_editedby = fields.text("Who edited the order.")
    comments_canceledby = fields.text("Who cancelled the order.")
    comments_date = fields.time("Order edited or cancelled", nullable=True)


class MimicIiiDatetimeevents(Contract):
    """One charted date, such as that of a line; the published table has no key."""

    table = "mimic_iii__datetimeevents"
    layer = "tables"
    sharded = True
    order = ("subject_id", "icustay_id", "charttime", "itemid")

    subject_id = _subject_id()
    hadm_id = fields.hadm_id(nullable=True)
    icustay_id = _icustay_id()
    itemid = fields.itemid()
    charttime = fields.time("Charted")
    storetime = fields.time("Entered or validated", nullable=True)
    value = fields.time("The date that was charted", nullable=True)
    valueuom = fields.text("Date or Date and Time.")
    warning = code("1: the entry raised a warning; MetaVision only.")
    error = code("1: charted in error; null in CareVue, where it is not known.")
    resultstatus = fields.text("Status of the entry; CareVue only.")
    stopped = fields.text("Stopped, D/C'd, NotStopd; CareVue only.")


class MimicIiiMicrobiologyevents(Contract):
    """One microbiology result; the published table has no key, no test and no time of the result."""

    table = "mimic_iii__microbiologyevents"
    layer = "tables"
    sharded = True
    order = ("subject_id", "hadm_id", "chartdate", "charttime", "spec_itemid", "org_itemid", "ab_itemid")

    subject_id = _subject_id()
    hadm_id = fields.hadm_id(nullable=True)
    chartdate = fields.time("Day the specimen was taken", nullable=True)
    charttime = fields.time("Specimen taken", nullable=True)
    spec_itemid = whole("Kind of specimen.")
    spec_type_desc = fields.text("Kind of specimen in words.")
    org_itemid = whole("Organism that grew; null where none did.")
    org_name = fields.text("Organism in words.")
    isolate_num = code("Colony within the specimen.")
    ab_itemid = whole("Antibiotic tested.")
    ab_name = fields.text("Antibiotic in words.")
    dilution_text = fields.text("Dilution as entered.")
    dilution_comparison = fields.text("How dilution_value is to be read: =, <=, >, ...")
    dilution_value = number("Dilution.")
    interpretation = fields.text("S sensitive, I intermediate, R resistant, P pending.")


class MimicIiiDItems(Contract):
    """One charted concept of the ICU, of either system."""

    table = "mimic_iii__d_items"
    layer = "tables"
    key = ("itemid",)

    itemid = fields.itemid()
    label = fields.text("Name.")
    abbreviation = fields.text("Short name.")
    dbsource = fields.text("carevue, metavision or hospital.")
    linksto = fields.text("Table that holds its events.")
    category = fields.text("Category.")
    unitname = fields.text("Unit.")
    param_type = fields.text("Numeric, Text, Date time, ...")


class MimicIiiDLabitems(Contract):
    """One laboratory concept; ids are those of MIMIC-IV."""

    table = "mimic_iii__d_labitems"
    layer = "tables"
    key = ("itemid",)

    itemid = fields.itemid()
    label = fields.text("Name.")
    fluid = fields.text("Fluid.")
    category = fields.text("Category.")
    loinc_code = fields.text("LOINC code.")
