"""Diagnosis codes, drugs and readings of EHR records, on planted rows."""

from datetime import datetime

import pytest

ADMISSION = {"subject_id": 1, "hadm_id": 10, "admittime": "2180-01-01 00:00:00", "dischtime": "2180-01-09 00:00:00"}
STAY = {"subject_id": 1, "hadm_id": 10, "stay_id": 100, "intime": "2180-01-02 00:00:00"}
ORDER = {"subject_id": 1, "hadm_id": 10, "drug_type": "MAIN", "starttime": "2180-01-02 08:00:00"}


@pytest.fixture
def hospital(database):
    database.fill({"mimic_iv__admissions": [ADMISSION], "mimic_iv__icustays": [STAY]})
    database.build("ehr_records", "records/ehr_records.sql")
    database.build("ehr_stays", "records/ehr_stays.sql")
    return database


def diagnosis(code: str, version: int, *, seq_num: int = 1, hadm_id: int = 10) -> dict[str, object]:
    return {"subject_id": 1, "hadm_id": hadm_id, "seq_num": seq_num, "icd_code": code, "icd_version": version}


def test_diagnoses_are_distinct_and_known_at_discharge(hospital) -> None:
    rows = [
        diagnosis("4019", 9),
        diagnosis("4019", 9, seq_num=2),
        diagnosis("I10", 10),
        diagnosis("I10", 10, hadm_id=11),
    ]
    hospital.fill({"mimic_iv__diagnoses_icd": rows})
    hospital.build("admission_diagnoses", "records/admission_diagnoses.sql")
    codes = hospital.build("ehr_codes", "records/ehr_codes.sql")
    discharged = datetime(2180, 1, 9)
    assert codes.rows() == [
        (1, 10, "diagnosis", "4019", 9, discharged, True),
        (1, 10, "diagnosis", "I10", 10, discharged, True),
    ]


def test_categories_fold_codes(hospital) -> None:
    rows = [diagnosis("4019", 9), diagnosis("4010", 9), diagnosis("E8782", 9), diagnosis("V1582", 9)]
    rows += [diagnosis("E119", 10), diagnosis("E1165", 10)]
    hospital.fill({"mimic_iv__diagnoses_icd": rows})
    hospital.set(diagnosis_grouping="category")
    codes = hospital.build("admission_diagnoses", "records/admission_diagnoses.sql")
    assert codes.select("code", "icd_version").rows() == [("401", 9), ("E878", 9), ("V15", 9), ("E11", 10)]


def test_drug_is_known_from_its_first_order(hospital) -> None:
    hospital.fill(
        {
            "mimic_iv__prescriptions": [
                {**ORDER, "drug": "Heparin"},
                {**ORDER, "drug": "heparin Sodium", "starttime": "2180-01-01 20:00:00"},
                {**ORDER, "drug": "Aspirin", "starttime": None},
                {**ORDER, "drug": "D5W", "drug_type": "BASE"},
                {**ORDER, "drug": None},
                {**ORDER, "drug": "Furosemide", "hadm_id": 11},
            ]
        }
    )
    codes = hospital.build("ehr_codes", "records/ehr_codes.sql")
    assert codes.rows() == [
        (1, 10, "drug", "aspirin", 0, datetime(2180, 1, 9), False),
        (1, 10, "drug", "heparin", 0, datetime(2180, 1, 1, 20), False),
    ]


INGREDIENTS = {
    "0.9% Sodium Chloride (Mini Bag Plus)": "sodium chloride",
    "Sodium Chloride 0.9%  Flush": "sodium chloride",
    "Iso-Osmotic Dextrose": "dextrose",
    "5% Dextrose": "dextrose",
    "HYDROmorphone (Dilaudid)": "hydromorphone",
    "Metoprolol Tartrate": "metoprolol",
    "Metoprolol Succinate XL": "metoprolol",
    "Potassium Chloride Replacement (Critical Care and Oncology) ": "potassium chloride",
    "Heparin Flush (10 units/ml)": "heparin",
    "Acetaminophen IV": "acetaminophen",
    "Albuterol 0.083% Neb Soln": "albuterol",
    "Lidocaine 5% Patch": "lidocaine",
    "Magnesium Sulfate": "magnesium sulfate",
    "Morphine Sulfate": "morphine",
    "Docusate Sodium (Liquid)": "docusate",
    "*NF* Ketamine 100mg/mL": "ketamine",
    "Piperacillin-Tazobactam": "piperacillin-tazobactam",
    "Piperacillin-Tazobactam Na": "piperacillin-tazobactam",
    "Heparin Flush CVL  (100 units/ml)": "heparin",
    "Ipratropium Bromide MDI": "ipratropium",
    "Olanzapine (Disintegrating Tablet)": "olanzapine",
    "Lansoprazole Oral Disintegrating Tab": "lansoprazole",
    "Fluticasone-Salmeterol Diskus (250/50)": "fluticasone-salmeterol",
    "Vitamin D": "vitamin d",
    "Bag": "bag",
}


def test_drug_names_fold_to_the_ingredient(hospital) -> None:
    hospital.fill(
        {
            "mimic_iv__prescriptions": [
                {**ORDER, "hadm_id": n, "drug": entered} for n, entered in enumerate(INGREDIENTS, 1)
            ],
            "ehr_records": [
                {"hadm_id": n, "subject_id": 1, "database": "mimic_iv"} for n in range(1, len(INGREDIENTS) + 1)
            ],
        }
    )
    codes = hospital.build("ehr_codes", "records/ehr_codes.sql").sort("hadm_id")["code"].to_list()
    assert dict(zip(INGREDIENTS, codes, strict=True)) == INGREDIENTS


CHARTED = {"subject_id": 1, "hadm_id": 10, "stay_id": 100, "itemid": 220045, "value": "80", "valuenum": 80.0}
LAB = {"subject_id": 1, "itemid": 50912, "value": "1.1", "valuenum": 1.1}


def readings(database):
    return database.build("ehr_readings", "records/ehr_readings.sql")


def test_window_is_right_open(hospital) -> None:
    times = ["2180-01-01 23:59:59", "2180-01-02 00:00:00", "2180-01-03 23:59:59", "2180-01-04 00:00:00"]
    hospital.fill(
        {
            "mimic_iv__chartevents": [{**CHARTED, "charttime": time} for time in times],
            "mimic_iv__labevents": [{**LAB, "labevent_id": n, "charttime": time} for n, time in enumerate(times, 1)],
        }
    )
    last = 48 - 1 / 3600
    assert readings(hospital).select("variable", "offset_hours").rows() == [
        ("chart_220045", 0.0),
        ("chart_220045", last),
        ("lab_50912", 0.0),
        ("lab_50912", last),
    ]
    assert hospital.run("checks/ehr_readings__inside_window.sql").is_empty()
    hospital.set(window_hours=24)
    assert hospital.run("checks/ehr_readings__inside_window.sql").height == 2
    assert readings(hospital).height == 2


def test_what_is_known_when(hospital) -> None:
    hospital.fill(
        {
            "mimic_iv__chartevents": [{**CHARTED, "charttime": "2180-01-02 06:00:00"}],
            "mimic_iv__labevents": [
                {**LAB, "labevent_id": 1, "charttime": "2180-01-02 06:00:00", "storetime": "2180-01-04 07:30:00"}
            ],
        }
    )
    assert readings(hospital).select("variable", "offset_hours", "known_hours", "known_is_assumed").rows() == [
        ("chart_220045", 6.0, 6.0, True),
        ("lab_50912", 6.0, 55.5, False),
    ]
    assert hospital.run("queries/late_results.sql").rows() == [("lab_50912", 1, 1, 1.0)]


def test_text_and_duplicates_are_kept_and_empty_readings_are_not(hospital) -> None:
    at = {"charttime": "2180-01-02 01:00:00"}
    text = {**CHARTED, **at, "itemid": 220048, "value": "SR (Sinus Rhythm)", "valuenum": None}
    hospital.fill({"mimic_iv__chartevents": [text, text, {**CHARTED, **at, "value": None, "valuenum": None}]})
    rows = readings(hospital).select("variable", "value", "value_number").rows()
    assert rows == [("chart_220048", "SR (Sinus Rhythm)", None)] * 2


def test_results_without_admission_belong_to_the_stay_of_their_time(hospital) -> None:
    other = {"subject_id": 2, "hadm_id": 20}
    lab = {**LAB, "charttime": "2180-01-02 01:00:00"}
    hospital.fill({"mimic_iv__labevents": [{**lab, "labevent_id": 1}, {**lab, **other, "labevent_id": 2}]})
    assert readings(hospital).select("subject_id", "hadm_id", "stay_id").rows() == [(1, 10, 100)]
    assert hospital.run("checks/warnings/ehr_readings__stays_without_readings.sql").is_empty()
