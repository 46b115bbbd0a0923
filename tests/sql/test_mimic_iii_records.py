"""MIMIC-III and its CareVue subset beside MIMIC-IV, on planted rows: one set of tables, and none of it trained on."""

from datetime import datetime
from typing import Any

import pytest

IMAGE = "00000000-00000000-00000000-00000000-00000000"
ADMITTED, LEFT = "2180-01-01 12:00:00", "2180-01-09 12:00:00"
SAME_STAY = "2180-01-02 00:00:00"


def admission(subject: int, hadm: int, **changes: Any) -> dict[str, Any]:
    return {"subject_id": subject, "hadm_id": hadm, "admittime": ADMITTED, "dischtime": LEFT, **changes}


def stay(subject: int, hadm: int, stay_id: int, system: str, **changes: Any) -> dict[str, Any]:
    return {
        "subject_id": subject,
        "hadm_id": hadm,
        "icustay_id": stay_id,
        "dbsource": system,
        "intime": SAME_STAY,
        **changes,
    }


def patient(subject: int, **changes: Any) -> dict[str, Any]:
    return {"subject_id": subject, "gender": "M", "dob": "2120-06-15 00:00:00", **changes}


@pytest.fixture
def hospital(database):
    """MIMIC-IV's subject; MIMIC-III's 1 (MetaVision) and 2 (CareVue); the subset's 2 again, and 3."""
    database.fill(
        {
            "mimic_iv__admissions": [admission(10_000_001, 20_000_001)],
            "mimic_iv__icustays": [
                {"subject_id": 10_000_001, "hadm_id": 20_000_001, "stay_id": 30_000_001, "intime": SAME_STAY}
            ],
            "mimic_iv__patients": [{"subject_id": 10_000_001, "gender": "F", "anchor_age": 60, "anchor_year": 2180}],
            "mimic_iii__patients": [patient(1), patient(2)],
            "mimic_iii__admissions": [admission(1, 101), admission(2, 102), admission(2, 109)],
            "mimic_iii__icustays": [
                stay(1, 101, 201, "metavision"),
                stay(1, 101, 202, "both", intime="2180-01-05 00:00:00"),
                stay(2, 102, 203, "carevue"),
            ],
            "mimic_iii_carevue__patients": [patient(2), patient(3)],
            "mimic_iii_carevue__admissions": [admission(2, 102), admission(3, 103)],
            "mimic_iii_carevue__icustays": [stay(2, 102, 203, "carevue"), stay(3, 103, 204, "carevue")],
        }
    )
    database.build("ehr_records", "records/ehr_records.sql")
    database.build("ehr_stays", "records/ehr_stays.sql")
    return database


def test_a_subject_in_both_is_taken_from_mimic_iii(hospital) -> None:
    records = hospital.select("from ehr_records").sort("hadm_id")
    assert records.select("hadm_id", "database", "num_stays", "is_in_carevue_subset").rows() == [
        (101, "mimic_iii", 2, False),
        (102, "mimic_iii", 1, True),
        (103, "mimic_iii_carevue", 1, True),
        (20_000_001, "mimic_iv", 1, False),
    ]
    stays = hospital.select("from ehr_stays").sort("stay_id")
    assert stays.select("stay_id", "database", "system", "stay_index").rows() == [
        (201, "mimic_iii", "metavision", 0),
        (202, "mimic_iii", "both", 1),
        (203, "mimic_iii", "carevue", 0),
        (204, "mimic_iii_carevue", "carevue", 0),
        (30_000_001, "mimic_iv", "mimic_iv", 0),
    ]
    assert hospital.run("checks/ehr_stays__inside_record.sql").is_empty()


def test_stays_without_admission_are_said_for_every_database(hospital) -> None:
    hospital.fill({"mimic_iii__admissions": [admission(1, 101)]})
    left_out = hospital.run("checks/warnings/ehr_records__stays_without_admission.sql")
    assert left_out.rows() == [("mimic_iii", 203, 102, 2)]
    hospital.fill({"mimic_iii_carevue__admissions": []})  # the subset's 2 is MIMIC-III's, and said once
    left_out = hospital.run("checks/warnings/ehr_records__stays_without_admission.sql")
    assert left_out.rows() == [("mimic_iii", 203, 102, 2), ("mimic_iii_carevue", 204, 103, 3)]


def icd9(hadm: int, code: str | None) -> dict[str, Any]:
    return {"subject_id": 1, "hadm_id": hadm, "seq_num": 1, "icd9_code": code}


MAPPINGS = [
    {"grouping": grouping, "icd_version": version, "code": code, "target": target, "target_version": 10}
    for grouping, version, code, target in [
        ("gem", 9, "4019", "I10"),
        ("gem", 9, "0417", "B965"),
        ("ccsr", 9, "4019", "CIR007"),
        ("ccsr", 10, "I10", "CIR007"),
    ]
]


@pytest.fixture
def billed(hospital):
    """Codes of every database: one with blanks, one without a code, one that no mapping knows, one outside the ICU."""
    hospital.fill(
        {
            "mimic_iv__diagnoses_icd": [
                {
                    "subject_id": 10_000_001,
                    "hadm_id": 20_000_001,
                    "seq_num": n,
                    "icd_code": code,
                    "icd_version": version,
                }
                for n, (code, version) in enumerate([("4019", 9), ("I10", 10), ("E8782", 9)])
            ],
            "mimic_iii__diagnoses_icd": [icd9(101, "4019  "), icd9(101, None), icd9(101, "2848"), icd9(109, "0417")],
            "mimic_iii_carevue__diagnoses_icd": [icd9(102, "never"), icd9(103, "4019")],
            "code_mappings": MAPPINGS,
        }
    )
    return hospital


@pytest.mark.parametrize(
    ("grouping", "expected"),
    [
        ("raw", [(101, 9, "2848"), (101, 9, "4019"), (103, 9, "4019"), (109, 9, "0417")]),
        ("gem", [(101, 9, "2848"), (101, 10, "I10"), (103, 10, "I10"), (109, 10, "B965")]),
        ("category", [(101, 9, "284"), (101, 9, "401"), (103, 9, "401"), (109, 9, "041")]),
        ("ccsr", [(101, 9, "2848"), (101, 10, "CIR007"), (103, 10, "CIR007"), (109, 9, "0417")]),
    ],
)
def test_groupings_of_diagnoses(grouping: str, expected: list, billed) -> None:
    billed.set(diagnosis_grouping=grouping)
    diagnoses = billed.build("admission_diagnoses", "records/admission_diagnoses.sql")
    of_iv = {
        "raw": [(9, "4019"), (9, "E8782"), (10, "I10")],
        "gem": [(9, "E8782"), (10, "I10")],
        "category": [(9, "401"), (9, "E878"), (10, "I10")],
        "ccsr": [(9, "E8782"), (10, "CIR007")],
    }[grouping]
    found = diagnoses.sort("hadm_id", "icd_version", "code").select("hadm_id", "icd_version", "code").rows()
    assert found == expected + [(20_000_001, *row) for row in of_iv]
    for check in ("mapped", "one_database"):
        assert billed.run(f"checks/admission_diagnoses__{check}.sql").is_empty()
    codes = billed.build("ehr_codes", "records/ehr_codes.sql")
    assert 109 not in codes["hadm_id"]
    assert codes.filter(codes["hadm_id"] == 101)["known_time"].unique().to_list() == [datetime(2180, 1, 9, 12)]


def test_checks_of_the_diagnoses_find_what_is_planted(billed) -> None:
    row = {"icd_version": 9, "code": "4019", "subject_id": 1}
    billed.fill(
        {
            "admission_diagnoses": [
                {**row, "hadm_id": 101, "database": "mimic_iii"},
                {**row, "hadm_id": 101, "database": "mimic_iv"},
                {**row, "hadm_id": 102, "code": "2848"},
            ]
        }
    )
    billed.set(diagnosis_grouping="gem")
    assert billed.run("checks/admission_diagnoses__mapped.sql").rows() == [(9, "4019", "I10", 2)]
    assert billed.run("checks/admission_diagnoses__one_database.sql").rows() == [(101, ["mimic_iii", "mimic_iv"], 1)]


def test_a_prescription_is_known_once_its_day_is_over(hospital) -> None:
    order = {"hadm_id": 101, "drug_type": "MAIN", "startdate": "2180-01-02 00:00:00"}
    hospital.fill(
        {
            "mimic_iii__prescriptions": [
                {**order, "drug": "Heparin Sodium"},
                {**order, "drug": "heparin", "startdate": "2180-01-04 00:00:00"},
                {**order, "drug": "Aspirin", "startdate": None},
                {**order, "drug": "D5W", "drug_type": "BASE"},
            ],
            "mimic_iii_carevue__prescriptions": [
                {**order, "hadm_id": 102, "drug": "Never"},
                {**order, "hadm_id": 103, "drug": "Heparin"},
            ],
        }
    )
    drugs = hospital.build("ehr_codes", "records/ehr_codes.sql")
    assert drugs.select("hadm_id", "code", "known_time").rows() == [
        (101, "aspirin", datetime(2180, 1, 9, 12)),
        (101, "heparin", datetime(2180, 1, 3)),
        (103, "heparin", datetime(2180, 1, 3)),
    ]


NOTE = {
    "hadm_id": 101,
    "category": "Discharge summary",
    "description": "Report",
    "chartdate": "2180-01-09 00:00:00",
    "text": "summary",
}


def test_a_summary_is_the_latest_that_is_no_error_and_no_addendum(hospital) -> None:
    notes = [
        {**NOTE, "chartdate": "2180-01-08 00:00:00", "text": "earlier"},
        NOTE,
        {**NOTE, "chartdate": "2180-01-10 00:00:00", "iserror": "1", "text": "in error"},
        {**NOTE, "chartdate": "2180-01-11 00:00:00", "description": "Addendum", "text": "addendum"},
        {**NOTE, "chartdate": "2180-01-12 00:00:00", "category": "Radiology", "text": "CHEST (PORTABLE AP)"},
        {**NOTE, "hadm_id": None, "text": "nobody's"},
    ]
    hospital.fill(
        {
            "mimic_iii__noteevents": notes,
            "mimic_iii_carevue__noteevents": [
                {**NOTE, "hadm_id": 102, "text": "never"},
                {**NOTE, "hadm_id": 103, "iserror": " ", "storetime": "2180-01-09 18:00:00", "text": "stored"},
            ],
            "mimic_iv_note__discharge": [
                {
                    "subject_id": 10_000_001,
                    "hadm_id": 20_000_001,
                    "note_id": "10000001-DS-1",
                    "note_type": "DS",
                    "note_seq": 1,
                    "charttime": "2180-01-09 15:30:00",
                    "text": "timed",
                }
            ],
        }
    )
    found = hospital.build("ehr_notes", "records/ehr_notes.sql")
    columns = ("hadm_id", "note_id", "text", "note_time", "known_time", "known_is_assumed")
    assert found.select(columns).rows() == [
        (101, "101-DS-2", "summary", datetime(2180, 1, 9), datetime(2180, 1, 10), True),
        (103, "103-DS-1", "stored", datetime(2180, 1, 9), datetime(2180, 1, 9, 18), False),
        (20_000_001, "10000001-DS-1", "timed", datetime(2180, 1, 9, 15, 30), datetime(2180, 1, 9, 15, 30), True),
    ]
    assert hospital.run("checks/ehr_notes__discharge_summaries_alone.sql").is_empty()
    hospital.fill({"ehr_notes": [{"hadm_id": 101, "note_id": "10000001-RR-4"}]})
    assert hospital.run("checks/ehr_notes__discharge_summaries_alone.sql").rows() == [(101, "10000001-RR-4")]


BIRTHS = [
    ("2120-06-15 00:00:00", 59),
    ("2120-01-01 00:00:00", 60),
    ("1880-01-01 00:00:00", 91),
    ("2090-01-02 00:00:00", 89),
    ("2180-01-01 00:00:00", 0),
    ("2182-02-01 00:00:00", None),
]
"""Birth; complete years at admission on 1 January 2180."""


def test_age_from_birth(hospital) -> None:
    hospital.fill(
        {
            "mimic_iii__patients": [patient(number, dob=birth) for number, (birth, _) in enumerate(BIRTHS, 1)],
            "mimic_iii__admissions": [admission(number, 100 + number) for number in range(1, len(BIRTHS) + 1)],
            "mimic_iii__icustays": [
                stay(number, 100 + number, 200 + number, "carevue") for number in range(1, len(BIRTHS) + 1)
            ],
            **{f"mimic_iii_carevue__{name}": [] for name in ("patients", "admissions", "icustays")},
        }
    )
    hospital.build("ehr_records", "records/ehr_records.sql")
    hospital.build("ehr_stays", "records/ehr_stays.sql")
    found = hospital.build("ehr_demographics", "records/ehr_demographics.sql").sort("hadm_id")
    assert found["age_years"].to_list() == [*(age for _, age in BIRTHS), 60]


def test_both_databases_fold_to_the_same_groups(hospital) -> None:
    hospital.fill(
        {
            "mimic_iii__admissions": [
                admission(1, 101, ethnicity="BLACK/HAITIAN", insurance="Government", admission_type="EMERGENCY")
            ],
            "mimic_iii__icustays": [stay(1, 101, 201, "metavision", first_careunit="CSRU")],
            "mimic_iv__admissions": [
                admission(
                    10_000_001, 20_000_001, race="BLACK/AFRICAN AMERICAN", insurance="Other", admission_type="EW EMER."
                )
            ],
            "mimic_iv__icustays": [
                {
                    "subject_id": 10_000_001,
                    "hadm_id": 20_000_001,
                    "stay_id": 30_000_001,
                    "intime": SAME_STAY,
                    "first_careunit": "Cardiac Vascular Intensive Care Unit (CVICU)",
                }
            ],
        }
    )
    hospital.build("ehr_records", "records/ehr_records.sql")
    hospital.build("ehr_stays", "records/ehr_stays.sql")
    found = hospital.build("ehr_demographics", "records/ehr_demographics.sql")
    groups = found.filter(found["hadm_id"] != 103).select(r"^.*_group$")
    assert groups.rows() == [("black", "other", "emergency", "cardiac")] * 2


def test_mimic_iii_is_never_trained_on_nor_linked(billed) -> None:
    film = {"subject_id": 1, "study_id": 50, "record_id": IMAGE, "record_time": SAME_STAY}
    billed.fill({"cxr_records": [film]})
    billed.set(ehr_holdout_share=0.0, retrieval_share=0.0)
    cohorts = billed.build("cohort_split", "links/cohort_split.sql")
    assert dict(cohorts.select("record_id", "split").iter_rows()) == {
        "101": "mimic_iii",
        "102": "mimic_iii",
        "103": "mimic_iii",
        "20000001": "pretrain",
        IMAGE: "unused",
    }
    assert billed.build("same_patient_pairs", "links/same_patient_pairs.sql").is_empty()
    billed.build("admission_diagnoses", "records/admission_diagnoses.sql")
    billed.build("ehr_codes", "records/ehr_codes.sql")
    vocabulary = billed.build("diagnosis_vocabulary", "features/diagnosis_vocabulary.sql")
    assert vocabulary.select("icd_version", "icd_code").rows() == [(9, "4019"), (9, "E8782"), (10, "I10")]
    histories = billed.build("diagnosis_histories", "links/diagnosis_histories.sql")
    assert histories.select("record_id", "code_indices", "num_out_of_vocabulary").sort("record_id").rows() == [
        (IMAGE, [], 0),
        ("101", [0], 1),
        ("102", [], 1),
        ("103", [0], 0),
        ("20000001", [0, 1, 2], 0),
    ]
    for check in ("mimic_iii_apart", "every_record_once", "one_cohort_per_subject", "retrieval_apart_from_ehr"):
        assert billed.run(f"checks/cohort_split__{check}.sql").is_empty(), check


def test_checks_find_a_record_of_mimic_iii_among_the_others(hospital) -> None:
    row = {"source": "ehr", "subject_id": 1, "study_id": 101}
    hospital.fill(
        {
            "cohort_split": [
                {**row, "record_id": "101", "split": "pretrain"},
                {**row, "record_id": "102", "split": "mimic_iii"},
                {**row, "record_id": "20000001", "split": "mimic_iii"},
                {**row, "source": "cxr", "record_id": IMAGE, "split": "mimic_iii"},
            ],
            "same_patient_pairs": [
                {"source": "ehr", "record_id": record, "other_source": "cxr", "other_record_id": IMAGE}
                for record in ("101", "20000001")
            ],
        }
    )
    failing = hospital.run("checks/cohort_split__mimic_iii_apart.sql")
    assert failing.select("record_id", "database", "split").rows() == [
        (IMAGE, None, "mimic_iii"),
        ("101", "mimic_iii", "pretrain"),
        ("20000001", "mimic_iv", "mimic_iii"),
    ]
    assert hospital.run("checks/same_patient_pairs__mimic_iv_alone.sql").rows() == [("101", IMAGE, "mimic_iii")]
