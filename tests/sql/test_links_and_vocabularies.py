"""Cohorts, pairs, vocabularies and histories, on planted records."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from lake.ids import id_share

ADMITTED = datetime(2180, 1, 10)
DISCHARGED = datetime(2180, 1, 20)


def dicom_id(number: int) -> str:
    return f"{number:08d}-00000000-00000000-00000000-00000000"


def ehr(subject: int, hadm: int, *, admitted: datetime = ADMITTED, discharged: datetime = DISCHARGED) -> dict[str, Any]:
    return {
        "record_id": str(hadm),
        "subject_id": subject,
        "hadm_id": hadm,
        "admit_time": admitted,
        "discharge_time": discharged,
        "first_icu_time": admitted,
        "record_time": admitted,
        "num_stays": 1,
    }


def cxr(subject: int, number: int, *, at: datetime = ADMITTED, study: int | None = None) -> dict[str, Any]:
    return {
        "record_id": dicom_id(number),
        "subject_id": subject,
        "study_id": study or number,
        "record_time": at,
        "path": "files/x.dcm",
    }


# ---- cohorts


def test_every_record_stands_where_its_subject_stands(database) -> None:
    subjects = range(1, 201)
    database.fill(
        {
            "ehr_records": [ehr(subject, subject + offset) for subject in subjects for offset in (1000, 2000)],
            "cxr_records": [cxr(subject, subject) for subject in range(101, 401)],
        }
    )
    database.set(ehr_holdout_share=0.25, holdout_seed=7, retrieval_share=0.5, retrieval_seed=3)
    cohorts = database.build("cohort_split", "links/cohort_split.sql")
    assert cohorts.height == 700
    for source, subject, study, split in cohorts.select("source", "subject_id", "study_id", "split").iter_rows():
        if subject <= 200:
            expected = "ehr_holdout" if id_share(7, subject) < 0.25 else "pretrain"
        else:
            expected = "retrieval_mimic_cxr" if id_share(3, study) < 0.5 else "unused"
        assert split == expected, (source, subject)
    assert {"ehr_holdout", "pretrain", "retrieval_mimic_cxr", "unused"} == set(cohorts["split"])
    for check in ("one_cohort_per_subject", "retrieval_apart_from_ehr", "every_record_once"):
        assert database.run(f"checks/cohort_split__{check}.sql").is_empty()


def test_studies_are_drawn_whole(database) -> None:
    database.fill({"cxr_records": [cxr(1, number, study=number // 3) for number in range(3, 300)]})
    database.set(retrieval_share=0.5)
    cohorts = database.build("cohort_split", "links/cohort_split.sql")
    assert cohorts.group_by("study_id").agg(pl.col("split").n_unique())["split"].max() == 1
    assert cohorts["split"].n_unique() == 2


@pytest.mark.parametrize(("share", "expected"), [(0.0, {"pretrain"}), (1.0, {"ehr_holdout"})])
def test_shares_of_nothing_and_all(share: float, expected: set[str], database) -> None:
    database.fill({"ehr_records": [ehr(subject, subject) for subject in range(1, 50)]})
    database.set(ehr_holdout_share=share)
    assert set(database.build("cohort_split", "links/cohort_split.sql")["split"]) == expected


def test_checks_of_the_cohorts_find_what_is_planted(database) -> None:
    row = {"source": "cxr", "record_id": "a", "subject_id": 1, "study_id": 5, "split": "retrieval_mimic_cxr"}
    database.fill(
        {
            "ehr_records": [ehr(1, 10)],
            "cohort_split": [row, {**row, "source": "ehr", "record_id": "x", "split": "pretrain"}],
        }
    )
    assert database.run("checks/cohort_split__one_cohort_per_subject.sql").rows() == [
        (1, ["pretrain", "retrieval_mimic_cxr"])
    ]
    assert database.run("checks/cohort_split__retrieval_apart_from_ehr.sql").rows() == [("a", 1)]
    assert database.run("checks/cohort_split__every_record_once.sql").rows() == [
        ("cxr", "a", "retrieval_mimic_cxr"),
        ("ehr", "10", None),
        ("ehr", "x", "pretrain"),
    ]


# ---- pairs

STUDIES = {
    1: (ADMITTED - timedelta(days=30), 30.0, 30.0),
    2: (ADMITTED - timedelta(days=30, microseconds=1), None, None),
    3: (ADMITTED, 0.0, 0.0),
    4: (ADMITTED + timedelta(days=5), 0.0, 5.0),
    5: (DISCHARGED, 0.0, 10.0),
    6: (DISCHARGED + timedelta(days=25), 25.0, None),
    7: (DISCHARGED + timedelta(days=30), 30.0, None),
    8: (DISCHARGED + timedelta(days=30, seconds=1), None, None),
    9: (ADMITTED - timedelta(hours=6), 0.25, 0.25),
}
"""Study time; gap in days from the admission's interval and from the record time, None outside the window."""


@pytest.mark.parametrize(("gap_from", "position"), [("interval", 1), ("record_time", 2)])
def test_gaps(gap_from: str, position: int, database) -> None:
    database.fill(
        {
            "ehr_records": [ehr(1, 10), ehr(2, 20)],
            "cxr_records": [cxr(1, number, at=facts[0]) for number, facts in STUDIES.items()] + [cxr(3, 99)],
        }
    )
    database.set(gap_from=gap_from)
    pairs = database.build("same_patient_pairs", "links/same_patient_pairs.sql")
    expected = {dicom_id(number): facts[position] for number, facts in STUDIES.items() if facts[position] is not None}
    assert dict(pairs.select("other_record_id", "gap_days").iter_rows()) == expected
    assert set(pairs.select("source", "record_id", "other_source", "subject_id").iter_rows()) == {
        ("ehr", "10", "cxr", 1)
    }
    for check in ("inside_window", "same_subject"):
        assert database.run(f"checks/same_patient_pairs__{check}.sql").is_empty()


def test_film_on_day_35_of_a_long_stay_is_linked(database) -> None:
    long_stay = ehr(1, 10, discharged=ADMITTED + timedelta(days=60))
    database.fill({"ehr_records": [long_stay], "cxr_records": [cxr(1, 1, at=ADMITTED + timedelta(days=35))]})
    assert database.build("same_patient_pairs", "links/same_patient_pairs.sql")["gap_days"].to_list() == [0.0]


def test_checks_of_the_pairs_find_what_is_planted(database) -> None:
    pair = {"source": "ehr", "record_id": "10", "other_source": "cxr", "subject_id": 1}
    database.fill(
        {
            "ehr_records": [ehr(1, 10)],
            "cxr_records": [cxr(1, 1), cxr(2, 2)],
            "same_patient_pairs": [
                {**pair, "other_record_id": dicom_id(1), "gap_days": 30.5},
                {**pair, "other_record_id": dicom_id(2), "gap_days": 3.0},
                {**pair, "other_record_id": dicom_id(3), "gap_days": 3.0},
            ],
        }
    )
    assert database.run("checks/same_patient_pairs__inside_window.sql").height == 1
    assert database.run("checks/same_patient_pairs__same_subject.sql")["other_record_id"].to_list() == [
        dicom_id(2),
        dicom_id(3),
    ]


# ---- vocabularies and histories


def code(subject: int, hadm: int, name: str, *, version: int = 9, kind: str = "diagnosis") -> dict[str, Any]:
    return {"subject_id": subject, "hadm_id": hadm, "kind": kind, "code": name, "icd_version": version}


def cohort(subject: int, hadm: int, split: str = "pretrain") -> dict[str, Any]:
    return {"source": "ehr", "record_id": str(hadm), "subject_id": subject, "study_id": hadm, "split": split}


def test_vocabularies_count_pretraining_records_alone(database) -> None:
    database.fill(
        {
            "cohort_split": [cohort(1, 10), cohort(1, 11), cohort(2, 20), cohort(3, 30, "ehr_holdout")],
            "ehr_codes": [
                code(1, 10, "4019"),
                code(1, 11, "4019"),
                code(2, 20, "I10", version=10),
                code(2, 20, "rare"),
                code(3, 30, "rare"),
                code(3, 30, "secret"),
                *[code(n, n * 10, "aspirin", version=0, kind="drug") for n in (1, 2, 3)],
                code(3, 30, "aztreonam", version=0, kind="drug"),
            ],
            "mimic_iv__d_icd_diagnoses": [{"icd_code": "4019", "icd_version": 9, "long_title": "Hypertension"}],
        }
    )
    assert database.build("diagnosis_vocabulary", "features/diagnosis_vocabulary.sql").rows() == [
        (0, 9, "4019", 2, 1, "Hypertension"),
        (1, 9, "rare", 1, 1, None),
        (2, 10, "I10", 1, 1, None),
    ]
    assert database.build("drug_vocabulary", "features/drug_vocabulary.sql").rows() == [(0, "aspirin", 2)]
    for check in ("diagnosis_vocabulary__pretraining_only", "drug_vocabulary__pretraining_only"):
        assert database.run(f"checks/{check}.sql").is_empty()
    database.fill({"cohort_split": [cohort(1, 10)]})
    assert database.run("checks/diagnosis_vocabulary__pretraining_only.sql")["icd_code"].to_list() == [
        "4019",
        "rare",
        "I10",
    ]
    assert database.run("checks/drug_vocabulary__pretraining_only.sql")["drug"].to_list() == ["aspirin"]


def test_rare_codes_stay_out(database) -> None:
    database.fill(
        {
            "cohort_split": [cohort(1, 10), cohort(2, 20)],
            "ehr_codes": [code(1, 10, "a"), code(2, 20, "a"), code(2, 20, "b")],
        }
    )
    database.set(diagnosis_min_records=2)
    assert database.build("diagnosis_vocabulary", "features/diagnosis_vocabulary.sql")["icd_code"].to_list() == ["a"]


@pytest.mark.parametrize(("name", "index"), [("diagnosis_vocabulary", "code_index"), ("drug_vocabulary", "drug_index")])
def test_empty_vocabulary_fails_its_check(name: str, index: str, database) -> None:
    check = f"checks/{name}__positions.sql"
    assert database.run(check).height == 1
    database.fill({name: [{index: 0}, {index: 1}]})
    assert database.run(check).is_empty()
    database.fill({name: [{index: 0}, {index: 2}]})
    assert database.run(check).height == 1


@pytest.fixture
def patient(database):
    """One subject with three admissions, the second in the ICU, and a film during it; another without any code."""
    first = {"hadm_id": 9, "admittime": datetime(2179, 1, 1), "dischtime": datetime(2179, 1, 5)}
    second = {"hadm_id": 10, "admittime": ADMITTED, "dischtime": DISCHARGED}
    third = {"hadm_id": 11, "admittime": datetime(2181, 1, 1), "dischtime": None}
    codes = {9: ["a", "b"], 10: ["b", "c", "unknown"], 11: ["d"]}
    vocabulary = [{"code_index": n, "icd_version": 9, "icd_code": name} for n, name in enumerate("abcd")]
    database.fill(
        {
            "mimic_iv__admissions": [{"subject_id": 1, **admission} for admission in (first, second, third)],
            "mimic_iv__diagnoses_icd": [
                {"subject_id": 1, "hadm_id": hadm, "seq_num": n, "icd_code": name, "icd_version": 9}
                for hadm, names in codes.items()
                for n, name in enumerate(names)
            ],
            "diagnosis_vocabulary": vocabulary,
            "ehr_records": [ehr(1, 10), ehr(2, 20)],
            "cxr_records": [cxr(1, 1, at=ADMITTED + timedelta(days=1)), cxr(1, 2, at=datetime(2178, 1, 1)), cxr(3, 3)],
        }
    )
    database.build("admission_diagnoses", "records/admission_diagnoses.sql")
    return database


@pytest.mark.parametrize(
    ("history", "of_record", "of_early_film", "num_unknown", "num_unknown_early"),
    [
        ("to_date", [0, 1, 2], [], 1, 0),
        ("prior", [0, 1], [], 0, 0),
        ("all", [0, 1, 2, 3], [0, 1, 2, 3], 1, 1),
    ],
)
def test_histories(
    history: str, of_record: list, of_early_film: list, num_unknown: int, num_unknown_early: int, patient
) -> None:
    patient.set(history=history)
    histories = patient.build("diagnosis_histories", "links/diagnosis_histories.sql")
    expected = [
        ("cxr", dicom_id(1), len(of_record), num_unknown, of_record),
        ("cxr", dicom_id(2), len(of_early_film), num_unknown_early, of_early_film),
        ("cxr", dicom_id(3), 0, 0, []),
        ("ehr", "10", len(of_record), num_unknown, of_record),
        ("ehr", "20", 0, 0, []),
    ]
    assert histories.drop("subject_id").rows() == expected
    for check in ("every_record", "inside_vocabulary"):
        assert patient.run(f"checks/diagnosis_histories__{check}.sql").is_empty()


def test_an_admission_is_prior_once_its_discharge_is_past(patient) -> None:
    patient.set(history="prior")
    discharge = datetime(2179, 1, 5)
    patient.fill({"cxr_records": [cxr(1, 1, at=discharge), cxr(1, 2, at=discharge + timedelta(seconds=1))]})
    histories = patient.build("diagnosis_histories", "links/diagnosis_histories.sql")
    assert histories.filter(source="cxr")["code_indices"].to_list() == [[], [0, 1]]


def test_histories_of_categories(patient) -> None:
    patient.fill(
        {
            "mimic_iv__diagnoses_icd": [
                {"subject_id": 1, "hadm_id": 10, "seq_num": n, "icd_code": name, "icd_version": 9}
                for n, name in enumerate(["4019", "4010", "E8782", "E8785"])
            ],
            "diagnosis_vocabulary": [
                {"code_index": 0, "icd_version": 9, "icd_code": "401"},
                {"code_index": 1, "icd_version": 9, "icd_code": "E878"},
            ],
        }
    )
    patient.set(diagnosis_grouping="category")
    patient.build("admission_diagnoses", "records/admission_diagnoses.sql")
    histories = patient.build("diagnosis_histories", "links/diagnosis_histories.sql")
    assert histories["code_indices"].to_list() == [[0, 1], [], [], [0, 1], []]


def test_checks_of_the_histories_find_what_is_planted(patient) -> None:
    row = {"source": "ehr", "record_id": "10", "subject_id": 1}
    rows = [
        {**row, "num_codes": 1, "code_indices": [4]},
        {**row, "record_id": "20", "num_codes": 2, "code_indices": [1, 0]},
        {**row, "record_id": "30", "num_codes": 3, "code_indices": [0, 1]},
    ]
    patient.fill({"diagnosis_histories": rows, "cohort_split": [cohort(1, 10)]})
    assert patient.run("checks/diagnosis_histories__inside_vocabulary.sql")["record_id"].to_list() == ["10", "20", "30"]
    missing = patient.run("checks/diagnosis_histories__every_record.sql")["record_id"].to_list()
    assert missing == [dicom_id(1), dicom_id(2), dicom_id(3), "30"]
