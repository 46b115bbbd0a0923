"""EHR and CXR records, on planted rows."""

from datetime import datetime

import duckdb
import pytest

ADMISSION = {"subject_id": 1, "hadm_id": 10, "admittime": "2180-01-01 12:00:00", "dischtime": "2180-01-05 12:00:00"}
STAY = {
    "subject_id": 1,
    "hadm_id": 10,
    "stay_id": 100,
    "intime": "2180-01-02 00:00:00",
    "outtime": "2180-01-04 06:00:00",
}


def test_record_is_an_admission_with_an_icu_stay(database) -> None:
    database.fill(
        {
            "mimic_iv__admissions": [
                ADMISSION,
                {**ADMISSION, "hadm_id": 11},
                {**ADMISSION, "hadm_id": 12, "dischtime": None},
                {**ADMISSION, "hadm_id": 13, "dischtime": "2179-12-31 00:00:00"},
            ],
            "mimic_iv__icustays": [
                STAY,
                {**STAY, "stay_id": 101, "intime": "2180-01-03 00:00:00"},
                {**STAY, "hadm_id": 12, "stay_id": 120},
                {**STAY, "hadm_id": 13, "stay_id": 130},
                {**STAY, "hadm_id": 99, "stay_id": 990},
            ],
        }
    )
    records = database.build("ehr_records", "records/ehr_records.sql")
    admitted = datetime(2180, 1, 1, 12)
    assert records.select("record_id", "discharge_time", "first_icu_time", "num_stays").rows() == [
        ("10", datetime(2180, 1, 5, 12), datetime(2180, 1, 2), 2),
        ("12", admitted, datetime(2180, 1, 2), 1),
        ("13", admitted, datetime(2180, 1, 2), 1),
    ]
    warning = database.run("checks/warnings/ehr_records__stays_without_admission.sql")
    assert warning["stay_id"].to_list() == [990]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("admission", datetime(2180, 1, 1, 12)),
        ("icu_in", datetime(2180, 1, 2)),
        ("discharge", datetime(2180, 1, 5, 12)),
    ],
)
def test_record_time_is_a_setting(setting: str, expected: datetime, database) -> None:
    database.fill({"mimic_iv__admissions": [ADMISSION], "mimic_iv__icustays": [STAY]})
    database.set(record_time=setting)
    assert database.build("ehr_records", "records/ehr_records.sql")["record_time"].item() == expected


CHOICES = [
    ("records/ehr_records.sql", "record_time"),
    ("records/admission_diagnoses.sql", "diagnosis_grouping"),
    ("links/same_patient_pairs.sql", "gap_from"),
    ("links/diagnosis_histories.sql", "history"),
]


@pytest.mark.parametrize("value", ["no such choice", None])
def test_unknown_choice_is_an_error(value: str | None, planted_hospital) -> None:
    for file, setting in CHOICES:
        planted_hospital.set(**{setting: value})
        with pytest.raises(duckdb.Error, match=f"{setting} must be"):
            planted_hospital.run(file)
        planted_hospital.set(**{setting: planted_hospital.settings[setting]})


def test_first_stays_are_kept_in_order_of_time(database) -> None:
    stays = [{**STAY, "stay_id": 104 - number, "intime": f"2180-01-0{2 + number} 00:00:00"} for number in range(4)]
    stays[1]["outtime"] = None
    stays[2]["outtime"] = "2180-01-03 00:00:00"
    database.fill({"mimic_iv__admissions": [ADMISSION], "mimic_iv__icustays": stays})
    database.build("ehr_records", "records/ehr_records.sql")
    kept = database.build("ehr_stays", "records/ehr_stays.sql")
    assert kept.sort("stay_index").select("stay_index", "stay_id", "los_hours").rows() == [
        (0, 104, 54.0),
        (1, 103, None),
        (2, 102, None),
    ]
    assert database.run("checks/ehr_stays__inside_record.sql").is_empty()


def test_equal_in_times_are_ordered_by_id(database) -> None:
    database.fill({"mimic_iv__admissions": [ADMISSION], "mimic_iv__icustays": [{**STAY, "stay_id": 102}, STAY]})
    database.build("ehr_records", "records/ehr_records.sql")
    database.set(max_stays=1)
    assert database.build("ehr_stays", "records/ehr_stays.sql")["stay_id"].to_list() == [100]


def test_latest_summary_is_the_note(database) -> None:
    note = {"subject_id": 1, "hadm_id": 10, "note_type": "DS", "note_seq": 1, "charttime": "2180-01-05 00:00:00"}
    database.fill(
        {
            "mimic_iv__admissions": [ADMISSION],
            "mimic_iv__icustays": [STAY],
            "mimic_iv_note__discharge": [
                {**note, "note_id": "1-DS-1", "text": "first"},
                {**note, "note_id": "1-DS-2", "note_seq": 2, "text": "second\nline"},
                {**note, "note_id": "1-AD-3", "note_seq": 3, "note_type": "AD", "text": "addendum"},
                {**note, "note_id": "1-DS-9", "hadm_id": 11, "text": "an admission without ICU"},
            ],
        }
    )
    database.build("ehr_records", "records/ehr_records.sql")
    notes = database.build("ehr_notes", "records/ehr_notes.sql")
    assert notes.select("hadm_id", "note_id", "text").rows() == [(10, "1-DS-2", "second\nline")]


@pytest.mark.parametrize(("day", "kept"), [("2180-01-05 23:59:00", "1-DS-2"), ("2180-01-06 00:00:00", "1-DS-1")])
def test_a_summary_of_a_later_day_does_not_take_the_place_of_one_that_was_there(database, day: str, kept: str) -> None:
    note = {"subject_id": 1, "hadm_id": 10, "note_type": "DS"}
    database.fill(
        {
            "mimic_iv__admissions": [ADMISSION],
            "mimic_iv__icustays": [STAY],
            "mimic_iv_note__discharge": [
                {**note, "note_id": "1-DS-1", "note_seq": 1, "charttime": "2180-01-05 00:00:00", "text": "there"},
                {**note, "note_id": "1-DS-2", "note_seq": 2, "charttime": day, "text": "again"},
            ],
        }
    )
    database.build("ehr_records", "records/ehr_records.sql")
    assert database.build("ehr_notes", "records/ehr_notes.sql")["note_id"].to_list() == [kept]


PATIENT = {"subject_id": 1, "gender": "F", "anchor_age": 60, "anchor_year": 2178}


def demographics(database, rows: list[dict[str, dict]]):
    """One subject, admission and stay per row, with the row's changes to each."""
    database.fill(
        {
            "mimic_iv__patients": [
                {**PATIENT, "subject_id": number, **row.get("patient", {})} for number, row in enumerate(rows, 1)
            ],
            "mimic_iv__admissions": [
                {**ADMISSION, "subject_id": number, "hadm_id": number, **row.get("admission", {})}
                for number, row in enumerate(rows, 1)
            ],
            "mimic_iv__icustays": [
                {**STAY, "subject_id": number, "hadm_id": number, "stay_id": number, **row.get("stay", {})}
                for number, row in enumerate(rows, 1)
            ],
        }
    )
    database.build("ehr_records", "records/ehr_records.sql")
    database.build("ehr_stays", "records/ehr_stays.sql")
    return database.build("ehr_demographics", "records/ehr_demographics.sql").sort("hadm_id")


AGES = [(60, 2178, 62), (88, 2178, 91), (91, 2178, 91), (0, 2190, None), (None, 2178, None)]
"""Age and year of the anchor; age at admission in 2180."""


def test_age_at_admission(database) -> None:
    rows = [{"patient": {"anchor_age": age, "anchor_year": year}} for age, year, _ in AGES]
    assert demographics(database, rows)["age_years"].to_list() == [expected for *_, expected in AGES]


FOLDED = {
    "race_group": {
        "WHITE - RUSSIAN": "white",
        "PORTUGUESE": "white",
        "BLACK/CAPE VERDEAN": "black",
        "HISPANIC/LATINO - CUBAN": "hispanic",
        "SOUTH AMERICAN": "hispanic",
        "ASIAN - CHINESE": "asian",
        "UNABLE TO OBTAIN": "unknown",
        "PATIENT DECLINED TO ANSWER": "unknown",
        "UNKNOWN/NOT SPECIFIED": "unknown",
        "CARIBBEAN ISLAND": "other",
        None: "unknown",
        "MULTIPLE RACE/ETHNICITY": "other",
    },
    "insurance_group": {
        "Medicare": "medicare",
        "Medicaid": "medicaid",
        "Private": "other",
        "Government": "other",
        "Self Pay": "other",
        None: "unknown",
    },
    "admission_group": {
        "EW EMER.": "emergency",
        "SURGICAL SAME DAY ADMISSION": "elective",
        "EU OBSERVATION": "emergency",
        "OBSERVATION ADMIT": "emergency",
        "DIRECT EMER.": "emergency",
        "EMERGENCY": "emergency",
        "ELECTIVE": "elective",
        "NEWBORN": "unknown",
        "URGENT": "emergency",
        None: "unknown",
    },
    "care_unit_group": {
        "Trauma SICU (TSICU)": "trauma",
        "Surgical Intensive Care Unit (SICU)": "surgical",
        "Medical Intensive Care Unit (MICU)": "medical",
        "Medical/Surgical Intensive Care Unit (MICU/SICU)": "medical",
        "Cardiac Vascular Intensive Care Unit (CVICU)": "cardiac",
        "Coronary Care Unit (CCU)": "cardiac",
        "Neuro Surgical Intensive Care Unit (Neuro SICU)": "surgical",
        "Neuro Intermediate": "surgical",
        "Medicine/Cardiology Intermediate": "cardiac",
        "PACU": "other",
        "TSICU": "trauma",
        "SICU": "surgical",
        "MICU": "medical",
        "CSRU": "cardiac",
        "CCU": "cardiac",
        "NICU": "other",
        None: "unknown",
    },
}
COLUMNS = {
    "race_group": ("admission", "race"),
    "insurance_group": ("admission", "insurance"),
    "admission_group": ("admission", "admission_type"),
    "care_unit_group": ("stay", "first_careunit"),
}


@pytest.mark.parametrize("group", FOLDED)
def test_folding(group: str, database) -> None:
    table, column = COLUMNS[group]
    rows = [{table: {column: text}} for text in FOLDED[group]]
    folded = demographics(database, rows)[group].to_list()
    assert dict(zip(FOLDED[group], folded, strict=True)) == FOLDED[group]


def test_record_without_patient_is_left_out_and_said(database) -> None:
    assert demographics(database, [{}, {"patient": {"subject_id": 9}}])["hadm_id"].to_list() == [1]
    left_out = database.run("checks/warnings/ehr_demographics__records_left_out.sql")
    assert left_out.rows() == [("2", 2)]


DICOM = "00000000-00000000-00000000-00000000-0000000{}"
IMAGE = {"subject_id": 1, "study_id": 50, "dicom_id": DICOM.format(0), "path": "files/a.dcm"}
REPORT = {"subject_id": 1, "study_id": 50, "path": "files/s50.txt", "text": "FINDINGS: clear"}


def test_film_of_mimic_cxr_is_an_image_with_report_and_time(database) -> None:
    images = [{**IMAGE, "dicom_id": DICOM.format(number)} for number in range(4)]
    images[3]["study_id"] = 51
    timed = {"subject_id": 1, "study_id": 50, "study_time": "2180-01-03 00:00:00"}
    database.fill(
        {
            "mimic_cxr__record_list": images,
            "mimic_cxr__reports": [REPORT],
            "mimic_cxr_jpg__metadata": [
                {**timed, "dicom_id": DICOM.format(0), "view_position": "PA"},
                {**timed, "dicom_id": DICOM.format(3), "study_id": 51},
            ],
            "mimic_cxr__headers": [
                {**timed, "dicom_id": DICOM.format(0), "view_position": "AP", "study_time": "2190-01-01 00:00:00"},
                {**timed, "dicom_id": DICOM.format(1), "view_position": "LATERAL"},
            ],
        }
    )
    records = database.build("mimic_cxr_films", "records/mimic_cxr_films.sql")
    assert records.select("record_id", "view_position", "record_time").rows() == [
        (DICOM.format(0), "PA", datetime(2180, 1, 3)),
        (DICOM.format(1), "LATERAL", datetime(2180, 1, 3)),
    ]
    left_out = database.run("checks/warnings/mimic_cxr_films__images_left_out.sql")
    assert left_out.select("dicom_id", "is_without_report", "is_without_time").rows() == [
        (DICOM.format(2), False, True),
        (DICOM.format(3), True, False),
    ]
