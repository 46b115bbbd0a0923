"""Paths, headers and value formats equal those of the releases."""

import gzip
import os
import re
from pathlib import Path

import polars as pl
import pytest

HEADERS = {
    "mimic-iv/hosp/patients.csv.gz": "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
    "mimic-iv/hosp/admissions.csv.gz": (
        "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,admit_provider_id,admission_location,"
        "discharge_location,insurance,language,marital_status,race,edregtime,edouttime,hospital_expire_flag"
    ),
    "mimic-iv/hosp/diagnoses_icd.csv.gz": "subject_id,hadm_id,seq_num,icd_code,icd_version",
    "mimic-iv/hosp/d_icd_diagnoses.csv.gz": "icd_code,icd_version,long_title",
    "mimic-iv/hosp/labevents.csv.gz": (
        "labevent_id,subject_id,hadm_id,specimen_id,itemid,order_provider_id,charttime,storetime,value,valuenum,"
        "valueuom,ref_range_lower,ref_range_upper,flag,priority,comments"
    ),
    "mimic-iv/hosp/d_labitems.csv.gz": "itemid,label,fluid,category",
    "mimic-iv/hosp/prescriptions.csv.gz": (
        "subject_id,hadm_id,pharmacy_id,poe_id,poe_seq,order_provider_id,starttime,stoptime,drug_type,drug,"
        "formulary_drug_cd,gsn,ndc,prod_strength,form_rx,dose_val_rx,dose_unit_rx,form_val_disp,form_unit_disp,"
        "doses_per_24_hrs,route"
    ),
    "mimic-iv/icu/icustays.csv.gz": "subject_id,hadm_id,stay_id,first_careunit,last_careunit,intime,outtime,los",
    "mimic-iv/icu/chartevents.csv.gz": (
        "subject_id,hadm_id,stay_id,caregiver_id,charttime,storetime,itemid,value,valuenum,valueuom,warning"
    ),
    "mimic-iv/icu/d_items.csv.gz": (
        "itemid,label,abbreviation,linksto,category,unitname,param_type,lownormalvalue,highnormalvalue"
    ),
    "mimic-iv/icu/procedureevents.csv.gz": (
        "subject_id,hadm_id,stay_id,caregiver_id,starttime,endtime,storetime,itemid,value,valueuom,location,"
        "locationcategory,orderid,linkorderid,ordercategoryname,ordercategorydescription,patientweight,isopenbag,"
        "continueinnextdept,statusdescription,ORIGINALAMOUNT,ORIGINALRATE"
    ),
    "mimic-iv/icu/inputevents.csv.gz": (
        "subject_id,hadm_id,stay_id,caregiver_id,starttime,endtime,storetime,itemid,amount,amountuom,rate,rateuom,"
        "orderid,linkorderid,ordercategoryname,secondaryordercategoryname,ordercomponenttypedescription,"
        "ordercategorydescription,patientweight,totalamount,totalamountuom,isopenbag,continueinnextdept,"
        "statusdescription,originalamount,originalrate"
    ),
    "mimic-iv/icu/outputevents.csv.gz": (
        "subject_id,hadm_id,stay_id,caregiver_id,charttime,storetime,itemid,value,valueuom"
    ),
    "mimic-iv/icu/datetimeevents.csv.gz": (
        "subject_id,hadm_id,stay_id,caregiver_id,charttime,storetime,itemid,value,valueuom,warning"
    ),
    "mimic-iv/hosp/microbiologyevents.csv.gz": (
        "microevent_id,subject_id,hadm_id,micro_specimen_id,order_provider_id,chartdate,charttime,spec_itemid,"
        "spec_type_desc,test_seq,storedate,storetime,test_itemid,test_name,org_itemid,org_name,isolate_num,quantity,"
        "ab_itemid,ab_name,dilution_text,dilution_comparison,dilution_value,interpretation,comments"
    ),
    "mimic-iv-note/note/discharge.csv.gz": ("note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text"),
    "mimic-cxr/cxr-record-list.csv.gz": "subject_id,study_id,dicom_id,path",
    "mimic-cxr/cxr-study-list.csv.gz": "subject_id,study_id,path",
    "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz": (
        "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
        "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
    ),
}


@pytest.mark.parametrize("path", HEADERS)
def test_the_header_is_the_published_one(raw: Path, path: str) -> None:
    with gzip.open(raw / path, "rt") as lines:
        assert lines.readline().rstrip("\n") == HEADERS[path]
        assert lines.readline(), "the table is empty"


@pytest.mark.skipif("MEDCSP_TEST_DATA" not in os.environ, reason="MEDCSP_TEST_DATA names the open data folder")
@pytest.mark.parametrize("path", [path for path in HEADERS if path.startswith("mimic-iv/")])
def test_the_header_is_that_of_the_real_demo(raw: Path, path: str) -> None:
    real = Path(os.environ["MEDCSP_TEST_DATA"]) / "mimic-iv-demo-25pt" / path.removeprefix("mimic-iv/")
    with gzip.open(raw / path, "rt") as ours, gzip.open(real, "rt") as theirs:
        assert ours.readline() == theirs.readline()


def test_times_have_the_published_format_and_century(read) -> None:
    stamp = re.compile(r"2[12]\d\d-\d\d-\d\d \d\d:\d\d:\d\d")
    for path, columns in {
        "mimic-iv/hosp/admissions.csv.gz": ("admittime", "dischtime"),
        "mimic-iv/hosp/labevents.csv.gz": ("charttime", "storetime"),
        "mimic-iv/icu/chartevents.csv.gz": ("charttime", "storetime"),
        "mimic-iv/icu/icustays.csv.gz": ("intime", "outtime"),
    }.items():
        table = read(path)
        for column in columns:
            assert all(stamp.fullmatch(value) for value in table[column].drop_nulls().to_list()), (path, column)


def test_ids_have_the_published_ranges_and_are_unique(read) -> None:
    for path, column, first in (
        ("mimic-iv/hosp/patients.csv.gz", "subject_id", "1"),
        ("mimic-iv/hosp/admissions.csv.gz", "hadm_id", "2"),
        ("mimic-iv/icu/icustays.csv.gz", "stay_id", "3"),
        ("mimic-cxr/cxr-study-list.csv.gz", "study_id", "5"),
    ):
        ids = read(path)[column]
        assert ids.is_unique().all()
        assert ids.str.contains(rf"^{first}\d{{7}}$").all()


def test_every_listed_image_and_report_is_there_and_nothing_else(raw: Path, read) -> None:
    root = raw / "mimic-cxr"
    images = read("mimic-cxr/cxr-record-list.csv.gz")
    reports = read("mimic-cxr/cxr-study-list.csv.gz")
    found = {str(path.relative_to(root)) for path in (root / "files").rglob("*") if path.is_file()}
    assert found == {*images["path"], *reports["path"]}
    first = images.row(0, named=True)
    folder = f"files/p{first['subject_id'][:2]}/p{first['subject_id']}/s{first['study_id']}"
    assert first["path"] == f"{folder}/{first['dicom_id']}.dcm"
    assert images["dicom_id"].str.contains(r"^([0-9a-f]{8}-){4}[0-9a-f]{8}$").all()


def test_reports_have_the_published_shape(raw: Path, read) -> None:
    for path in read("mimic-cxr/cxr-study-list.csv.gz")["path"]:
        text = (raw / "mimic-cxr" / path).read_text()
        lines = text.splitlines()
        assert all(line.startswith(" ") and len(line) <= 79 for line in lines)
        assert re.search(r"\n (INDICATION|HISTORY):\s", text)


def test_study_time_lost_its_leading_zeros(read) -> None:
    times = read("mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz")["StudyTime"]
    assert not times.str.contains(r"^0\d").any()
    assert (times.str.find(r"\.", literal=False) < 6).any(), "no study before 10 o'clock"
    padded = times.cast(pl.Float64)
    assert (padded < 240_000).all() and ((padded % 100) < 60).all()


def test_notes_have_several_lines_and_quotation_marks(raw: Path, read) -> None:
    notes = read("mimic-iv-note/note/discharge.csv.gz")
    assert notes["text"].str.contains("\n").all()
    assert notes["text"].str.contains('"', literal=True).any()
    assert notes["note_id"].str.contains(r"^1\d{7}-DS-\d+$").all()
    assert notes["note_id"].is_unique().all()
