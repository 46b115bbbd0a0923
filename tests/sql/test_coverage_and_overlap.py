"""What the vocabularies know of each cohort, and how far linked texts repeat each other, on planted rows."""

import pytest

IMAGE = "{:08d}-00000000-00000000-00000000-00000000"


@pytest.fixture
def coded(database):
    """Records 10 and 11 pre-train, 20 is of MIMIC-III; 21 has no codes."""
    code = {"kind": "diagnosis", "icd_version": 9}
    drug = {"kind": "drug", "icd_version": 0}
    databases = {10: "mimic_iv", 11: "mimic_iv", 20: "mimic_iii", 21: "mimic_iii"}
    database.fill(
        {
            "ehr_records": [{"hadm_id": hadm, "database": name} for hadm, name in databases.items()],
            "cohort_split": [
                {"source": "ehr", "study_id": hadm, "split": "pretrain" if name == "mimic_iv" else name}
                for hadm, name in databases.items()
            ],
            "ehr_codes": [
                {**code, "hadm_id": 10, "code": "a"},
                {**code, "hadm_id": 10, "code": "b"},
                {**code, "hadm_id": 11, "code": "rare"},
                {**code, "hadm_id": 20, "code": "a"},
                {**code, "hadm_id": 20, "code": "rare"},
                {**code, "hadm_id": 20, "code": "a", "icd_version": 10},
                {**drug, "hadm_id": 10, "code": "a"},
                {**drug, "hadm_id": 20, "code": "aspirin"},
            ],
            "diagnosis_vocabulary": [
                {"code_index": n, "icd_version": 9, "icd_code": name} for n, name in enumerate("ab")
            ],
            "drug_vocabulary": [{"drug_index": 0, "drug": "aspirin"}],
        }
    )
    return database


def test_coverage_by_database_and_cohort(coded) -> None:
    coverage = coded.build("vocabulary_coverage", "features/vocabulary_coverage.sql")
    assert coverage.sort("kind", "database").rows() == [
        ("diagnosis", "mimic_iii", "mimic_iii", 2, 1, 0, 3, 2, pytest.approx(2 / 3)),
        ("diagnosis", "mimic_iv", "pretrain", 2, 0, 1, 3, 1, pytest.approx(1 / 3)),
        ("drug", "mimic_iii", "mimic_iii", 2, 1, 0, 1, 0, 0.0),
        ("drug", "mimic_iv", "pretrain", 2, 1, 1, 1, 1, 1.0),
    ]
    assert coded.run("checks/vocabulary_coverage__every_record.sql").is_empty()
    coded.fill({"ehr_records": [{"hadm_id": hadm} for hadm in (10, 11, 12)]})
    assert coded.run("checks/vocabulary_coverage__every_record.sql").rows() == [
        ("diagnosis", "mimic_iii", None, 2),
        ("diagnosis", "mimic_iv", 3, 2),
        ("drug", "mimic_iii", None, 2),
        ("drug", "mimic_iv", 3, 2),
    ]


def test_coverage_of_records_without_any_code(database) -> None:
    database.fill(
        {
            "ehr_records": [{"hadm_id": 10}],
            "cohort_split": [{"source": "ehr", "study_id": 10, "split": "pretrain"}],
        }
    )
    coverage = database.build("vocabulary_coverage", "features/vocabulary_coverage.sql")
    assert coverage.rows() == [(kind, "mimic_iv", "pretrain", 1, 1, 0, 0, 0, None) for kind in ("diagnosis", "drug")]


REPORT = "Mild edema. No pneumothorax, no effusion; heart is enlarged as before."
"""Eleven words: four runs of eight."""


@pytest.fixture
def texts(database):
    """Record 10 has studies 1 (copied into its note), 2 (other words) and 3 (too short); record 20 has study 1."""
    note = f"Course: she improved.\nCXR: {REPORT.upper().replace(' ', '  ')}\nDischarged home."
    reports = {1: REPORT, 2: "The lungs are clear and well expanded with no focal consolidation", 3: "No change."}
    database.fill(
        {
            "ehr_records": [{"hadm_id": hadm, "record_id": str(hadm)} for hadm in (10, 20)],
            "cohort_split": [
                {"source": "ehr", "record_id": "10", "split": "pretrain"},
                {"source": "ehr", "record_id": "20", "split": "ehr_holdout"},
            ],
            "ehr_notes": [{"hadm_id": 10, "text": note}, {"hadm_id": 20, "text": "mild edema no pneumothorax"}],
            "cxr_records": [{"record_id": IMAGE.format(n), "study_id": study} for n, study in enumerate([1, 1, 2, 3])],
            "cxr_reports": [{"study_id": study, "text": text} for study, text in reports.items()],
            "same_patient_pairs": [
                {"source": "ehr", "record_id": record, "other_source": "cxr", "other_record_id": IMAGE.format(n)}
                for record, films in (("10", range(4)), ("20", [0]))
                for n in films
            ],
        }
    )
    return database


def test_overlap_counts_runs_of_eight_words_once_per_pair(texts) -> None:
    overlap = texts.build("note_report_overlap", "features/note_report_overlap.sql")
    assert overlap.sort("split").rows() == [
        ("ehr_holdout", 1, 0, 0, 4, 0, 0.0, 0.0, 0.0),
        ("pretrain", 2, 1, 1, 8, 4, 0.5, 0.0, 1.0),
    ]


def test_of_many_pairs_a_fixed_draw_is_compared(texts) -> None:
    texts.set(max_pairs=1)
    first = texts.build("note_report_overlap", "features/note_report_overlap.sql")
    assert first["num_pairs"].sum() <= 1
    assert first.equals(texts.build("note_report_overlap", "features/note_report_overlap.sql"))
