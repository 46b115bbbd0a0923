"""One table of admissions for every database, on planted rows."""

from datetime import datetime

ADMISSION = {"admittime": "2180-03-01 12:00:00", "dischtime": "2180-03-05 12:00:00"}


def test_admissions_of_every_database_stand_once(database) -> None:
    database.fill(
        {
            "mimic_iv__patients": [{"subject_id": 10, "gender": "F", "anchor_age": 60, "anchor_year": 2178}],
            "mimic_iv__admissions": [
                {**ADMISSION, "subject_id": 10, "hadm_id": 1000, "race": "WHITE", "hospital_expire_flag": 0},
                {**ADMISSION, "subject_id": 11, "hadm_id": 1001, "dischtime": None},
            ],
            "mimic_iii__patients": [{"subject_id": 1, "gender": "M", "dob": "2120-03-02 00:00:00"}],
            "mimic_iii__admissions": [
                {
                    **ADMISSION, "subject_id": 1, "hadm_id": 100, "ethnicity": "ASIAN", "insurance": "Private",
                    "admission_type": "URGENT", "deathtime": "2180-03-05 11:00:00", "hospital_expire_flag": 1,
                }
            ],
            "mimic_iii_carevue__patients": [
                {"subject_id": 1, "gender": "M", "dob": "2120-03-02 00:00:00"},
                {"subject_id": 2, "gender": "F", "dob": "1880-01-01 00:00:00"},
            ],
            "mimic_iii_carevue__admissions": [
                {**ADMISSION, "subject_id": 1, "hadm_id": 100},
                {**ADMISSION, "subject_id": 2, "hadm_id": 200, "dischtime": "2180-02-01 00:00:00"},
            ],
        }
    )  # fmt: skip
    found = database.build("ehr_admissions", "records/ehr_admissions.sql").sort("hadm_id")
    admitted, left = datetime(2180, 3, 1, 12), datetime(2180, 3, 5, 12)
    assert found.select("database", "hadm_id", "discharge_time", "age_years", "gender").rows() == [
        ("mimic_iii", 100, left, 59.0, "M"),
        ("mimic_iii_carevue", 200, admitted, 91.0, "F"),
        ("mimic_iv", 1000, left, 62.0, "F"),
        ("mimic_iv", 1001, admitted, None, None),
    ]
    assert found.select("race", "insurance", "admission_type").rows() == [
        ("ASIAN", "Private", "URGENT"),
        (None, None, None),
        ("WHITE", None, None),
        (None, None, None),
    ]
    assert found.select("death_time", "died_in_hospital", "is_in_carevue_subset").rows() == [
        (datetime(2180, 3, 5, 11), True, True),
        (None, None, True),
        (None, False, False),
        (None, None, False),
    ]


def test_a_record_without_its_patient_has_no_demographics(database) -> None:
    stay = {"subject_id": 11, "hadm_id": 1001, "stay_id": 5, "intime": "2180-03-01 13:00:00"}
    database.fill(
        {
            "mimic_iv__admissions": [{**ADMISSION, "subject_id": 11, "hadm_id": 1001}],
            "mimic_iv__icustays": [stay],
        }
    )
    assert database.build("ehr_records", "records/ehr_records.sql").height == 1
    database.build("ehr_stays", "records/ehr_stays.sql")
    assert database.build("ehr_demographics", "records/ehr_demographics.sql").is_empty()
