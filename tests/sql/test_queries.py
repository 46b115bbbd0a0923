"""The questions of sql/queries, each answered on planted data."""

import pytest

IMAGE = "{:08d}-00000000-00000000-00000000-00000000"


def ask(database, name: str):
    return database.run(f"queries/{name}.sql")


@pytest.fixture
def cohorts(database):
    """Subject 1 in both sources, 2 with EHR only, 3 and 4 with X-rays only."""
    planted = [
        ("ehr", 1, "10", 10, "pretrain"),
        ("ehr", 1, "11", 11, "pretrain"),
        ("ehr", 2, "20", 20, "ehr_holdout"),
        ("cxr", 1, IMAGE.format(1), 51, "pretrain"),
        ("cxr", 1, IMAGE.format(2), 51, "pretrain"),
        ("cxr", 3, IMAGE.format(3), 53, "retrieval_mimic_cxr"),
        ("cxr", 4, IMAGE.format(4), 54, "unused"),
    ]
    names = ("source", "subject_id", "record_id", "study_id", "split")
    rows = [dict(zip(names, row, strict=True)) for row in planted]
    database.fill(
        {
            "cohort_split": rows,
            "ehr_records": [
                {"record_id": row["record_id"], "subject_id": row["subject_id"], "hadm_id": row["study_id"]}
                for row in rows
                if row["source"] == "ehr"
            ],
            "cxr_records": [{name: row[name] for name in names[1:4]} for row in rows if row["source"] == "cxr"],
        }
    )
    return database


def pair(record: str, image: int, gap_days: float, *, subject: int = 1) -> dict[str, object]:
    return {
        "source": "ehr",
        "record_id": record,
        "other_source": "cxr",
        "other_record_id": IMAGE.format(image),
        "subject_id": subject,
        "gap_days": gap_days,
    }


def test_patients_by_source(cohorts) -> None:
    assert ask(cohorts, "patients_by_source").rows() == [("cxr", 2, 2), ("cxr and ehr", 1, 4), ("ehr", 1, 1)]
    row = {"source": "ehr", "subject_id": 1, "record_id": "101", "study_id": 101, "split": "mimic_iii"}
    cohorts.fill({"cohort_split": [row]})
    assert ask(cohorts, "patients_by_source").rows() == [("mimic_iii", 1, 1)]


def test_records_per_split(cohorts) -> None:
    assert ask(cohorts, "records_per_split").rows() == [
        ("cxr", "pretrain", 2, 1, 1),
        ("cxr", "retrieval_mimic_cxr", 1, 1, 1),
        ("cxr", "unused", 1, 1, 1),
        ("ehr", "ehr_holdout", 1, 1, 1),
        ("ehr", "pretrain", 2, 2, 1),
    ]


def test_pairs_per_patient(cohorts) -> None:
    cohorts.fill({"same_patient_pairs": [pair("10", 1, 3.5), pair("10", 2, 0.5), pair("11", 2, 29.0)]})
    assert ask(cohorts, "pairs_per_patient").rows() == [(1, 2, 2, 3, 0.5)]


def test_gap_histogram(cohorts) -> None:
    gaps = [0.0, 0.0, 0.5, 4.99, 5.0, 30.0]
    cohorts.fill({"same_patient_pairs": [pair(str(n), n, gap, subject=1 + n % 2) for n, gap in enumerate(gaps)]})
    assert ask(cohorts, "gap_histogram").rows() == [
        ("inside", 0, 2, 2),
        ("outside", 0, 2, 2),
        ("outside", 5, 1, 1),
        ("outside", 30, 1, 1),
    ]


def test_codes_by_frequency(cohorts) -> None:
    entry = {"icd_version": 9, "num_records": 2}
    cohorts.fill(
        {
            "diagnosis_vocabulary": [
                {
                    **entry,
                    "code_index": 0,
                    "icd_code": "4019",
                    "num_subjects": 1,
                    "num_records": 1,
                    "title": "Hypertension",
                },
                {**entry, "code_index": 1, "icd_code": "4280", "num_subjects": 1},
            ]
        }
    )
    assert ask(cohorts, "codes_by_frequency").rows() == [
        (9, "4280", None, 2, 1, 1.0),
        (9, "4019", "Hypertension", 1, 1, 1.0),
    ]


def test_modality_coverage(cohorts) -> None:
    cohorts.fill(
        {
            "ehr_codes": [{"hadm_id": 10, "kind": "diagnosis", "code": "4019"}],
            "ehr_demographics": [{"hadm_id": hadm} for hadm in (10, 11, 20)],
            "ehr_series": [{"hadm_id": 10}, {"hadm_id": 11}],
            "cxr_images": [{"record_id": IMAGE.format(1)}],
            "cxr_reports": [{"study_id": 51}, {"study_id": 53}, {"study_id": 54}],
        }
    )
    assert ask(cohorts, "modality_coverage").rows() == [
        ("cxr", "mimic_cxr", "image", 4, 1, 0.25),
        ("cxr", "mimic_cxr", "report", 4, 4, 1.0),
        ("ehr", "mimic_iv", "demographics", 3, 3, 1.0),
        ("ehr", "mimic_iv", "diagnosis", 3, 1, pytest.approx(1 / 3)),
        ("ehr", "mimic_iv", "drug", 3, 0, 0.0),
        ("ehr", "mimic_iv", "note", 3, 0, 0.0),
        ("ehr", "mimic_iv", "series", 3, 2, pytest.approx(2 / 3)),
    ]


def test_readings_per_stay(database) -> None:
    reading = {"stay_id": 100, "known_is_assumed": False, "known_hours": 1.0}
    database.fill(
        {
            "ehr_stays": [{"stay_id": stay, "subject_id": 1, "los_hours": 30.0} for stay in (100, 101)],
            "ehr_readings": [
                {**reading, "variable": "chart_1", "offset_hours": 1.0, "known_is_assumed": True},
                {**reading, "variable": "chart_1", "offset_hours": 2.0},
                {**reading, "variable": "lab_1", "offset_hours": 5.5},
            ],
        }
    )
    assert ask(database, "readings_per_stay").rows() == [
        (100, 1, 30.0, 3, 2, 1, 1, 5.5),
        (101, 1, 30.0, 0, 0, 0, 0, None),
    ]


def test_late_results(database) -> None:
    hours = [
        ("lab_1", 40.0, 47.9),
        ("lab_1", 41.0, 48.0),
        ("lab_1", 42.0, 60.0),
        ("lab_2", 50.0, 51.0),
        ("lab_3", 1.0, 2.0),
    ]
    database.fill(
        {"ehr_readings": [{"variable": name, "offset_hours": at, "known_hours": known} for name, at, known in hours]}
    )
    assert ask(database, "late_results").rows() == [("lab_1", 3, 2, pytest.approx(2 / 3))]


def test_text_truncation(database) -> None:
    database.fill(
        {
            "text_tokens": [
                {"source": "cxr", "text_id": "1", "num_tokens": 2, "is_truncated": False, "token_indices": [1, 2]},
                {"source": "cxr", "text_id": "2", "num_tokens": 6, "is_truncated": True, "token_indices": [1, 2, 3, 4]},
                {"source": "ehr", "text_id": "101", "num_tokens": 2, "is_truncated": False, "token_indices": [1, 2]},
            ],
            "ehr_records": [{"record_id": "101", "database": "mimic_iii"}],
            "cxr_records": [{"record_id": IMAGE.format(1)}, {"record_id": IMAGE.format(2)}],
        }
    )
    assert ask(database, "text_truncation").rows() == [
        ("cxr", "mimic_cxr", 2, 4.0, 6, 1, 0.5, 0.25),
        ("ehr", "mimic_iii", 1, 2.0, 2, 0, 0.0, 0.0),
    ]


def test_histories_by_source(cohorts) -> None:
    cohorts.fill(
        {
            "diagnosis_histories": [
                {"source": "ehr", "record_id": "10", "num_codes": 4, "code_indices": [0, 1, 2, 3]},
                {"source": "ehr", "record_id": "11", "num_codes": 0, "code_indices": []},
                {"source": "cxr", "record_id": IMAGE.format(3), "num_codes": 0, "code_indices": []},
            ]
        }
    )
    assert ask(cohorts, "histories_by_source").rows() == [
        ("cxr", "retrieval_mimic_cxr", 1, 1, 0.0),
        ("ehr", "pretrain", 2, 1, 2.0),
    ]


def test_retrieval_against_chance(database) -> None:
    number = {
        "task": "retrieval_mimic_cxr", "dataset": "mimic_cxr", "cohort": "all_views", "mode": "text_to_image",
        "metric": "recall_at_k", "k": 10, "split": "retrieval_mimic_cxr", "seed": 0, "n": 100, "fingerprint": "f",
        "synthetic": True,
    }  # fmt: skip
    ours = {**number, "method": "medcsp", "value": 0.5, "ci_low": 0.4, "ci_high": 0.6}
    women = {"split": "retrieval_mimic_cxr/sex=F"}
    database.fill(
        {
            "retrieval_mimic_cxr": [
                {**ours, "paper_value": 0.295},
                {**ours, **women},
                {**ours, "mode": "text_to_image/paper"},
                {**number, "method": "chance", "value": 0.02},
                {**number, **women, "method": "chance", "value": 0.025},
                {**number, "method": "ceiling", "value": 1.0},
            ]
        }
    )
    database.build("metrics", "evaluation/metrics.sql")
    place = ("retrieval_mimic_cxr", "all_views")
    assert ask(database, "retrieval_against_chance").rows() == [
        (*place, mode, split, "medcsp", "recall_at_k", 10, 0, 0.5, 0.4, 0.6, chance, 0.5 / chance, paper)
        for mode, split, chance, paper in (
            ("text_to_image", "retrieval_mimic_cxr", 0.02, 0.295),
            ("text_to_image", "retrieval_mimic_cxr/sex=F", 0.025, None),
            ("text_to_image/paper", "retrieval_mimic_cxr", 0.02, None),
        )
    ]


def test_contaminated_numbers(database) -> None:
    number = {
        "task": "retrieval_mimic_cxr", "dataset": "mimic_cxr", "cohort": "all_views", "mode": "text_to_image",
        "metric": "mrr", "k": 0, "split": "retrieval_mimic_cxr", "seed": 0, "value": 0.5, "n": 9, "fingerprint": "f",
        "synthetic": False,
    }  # fmt: skip
    seen = {"dataset": "mimic_cxr", "exposure": "trained_on", "seen": "train", "num_films": 9, "num_seen": 7}
    database.fill(
        {
            "retrieval_mimic_cxr": [{**number, "method": name} for name in ("medcsp", "medclip")],
            "exposure": [
                {**seen, "method": "medclip", "is_contaminated": True},
                {**seen, "method": "medcsp", "is_contaminated": False},
            ],
        }
    )
    database.build("metrics", "evaluation/metrics.sql")
    found = ask(database, "contaminated_numbers")
    assert found.select("method", "value", "num_seen", "num_films").rows() == [("medclip", 0.5, 7, 9)]


def test_lineage_of_metrics(database) -> None:
    edges = [
        ("metrics", "retrieval_mimic_cxr", "v1", False),
        ("retrieval_mimic_cxr", "pretrain_checkpoint", "v2", False),
        ("retrieval_mimic_cxr", "cxr_reports", "v3", False),
        ("pretrain_checkpoint", "cxr_reports", "v3", False),
        ("cxr_reports", "raw:mimic_cxr/cxr-study-list.csv.gz", "digest", True),
        ("report", "elsewhere", "v9", False),
    ]
    names = ("table_name", "input", "input_version", "is_raw")
    database.fill({"lineage": [dict(zip(names, edge, strict=True)) for edge in edges]})
    assert ask(database, "lineage_of_metrics").rows() == [
        ("retrieval_mimic_cxr", "v1", False, 1, ["metrics"]),
        ("cxr_reports", "v3", False, 2, ["pretrain_checkpoint", "retrieval_mimic_cxr"]),
        ("pretrain_checkpoint", "v2", False, 2, ["retrieval_mimic_cxr"]),
        ("raw:mimic_cxr/cxr-study-list.csv.gz", "digest", True, 3, ["cxr_reports"]),
    ]


def test_report_sections(database) -> None:
    sections = ["impression", "impression", "findings"]
    database.fill(
        {
            "cxr_reports": [
                {
                    "subject_id": 1,
                    "study_id": number,
                    "section": section,
                    "is_fall_back": section == "findings",
                    "text": "x" * number,
                }
                for number, section in enumerate(sections, 1)
            ]
        }
    )
    third = pytest.approx(1 / 3)
    assert ask(database, "report_sections").rows() == [
        ("cxr", "findings", True, 1, third, 3.0),
        ("cxr", "impression", False, 2, pytest.approx(2 / 3), 1.5),
    ]
    lacking = database.run("checks/warnings/cxr_reports__without_wanted_section.sql")
    assert lacking.rows() == [("cxr", 3, "findings")]


def test_stays_by_system(cohorts) -> None:
    cohorts.fill(
        {
            "ehr_stays": [
                {"hadm_id": 10, "stay_id": 1, "subject_id": 1},
                {"hadm_id": 11, "stay_id": 2, "subject_id": 1},
                {"hadm_id": 20, "stay_id": 3, "subject_id": 2, "database": "mimic_iii", "system": "carevue"},
            ],
            "ehr_records": [
                {"hadm_id": hadm, "subject_id": hadm // 10, "is_in_carevue_subset": hadm == 20} for hadm in (10, 11, 20)
            ],
        }
    )
    assert ask(cohorts, "stays_by_system").rows() == [
        ("mimic_iii", "carevue", "ehr_holdout", 1, 1, 1),
        ("mimic_iv", "mimic_iv", "pretrain", 2, 1, 0),
    ]


def test_code_mapping_coverage(database) -> None:
    database.fill(
        {
            "mimic_iv__diagnoses_icd": [
                {"hadm_id": hadm, "icd_code": code, "icd_version": version}
                for hadm, code, version in [(10, "4019", 9), (11, "4019", 9), (10, "9999", 9), (10, "I10", 10)]
            ],
            "mimic_iii__diagnoses_icd": [{"hadm_id": 20, "icd9_code": "4019 "}, {"hadm_id": 20, "icd9_code": None}],
            "code_mappings": [
                {"grouping": "gem", "icd_version": 9, "code": "4019", "target": "I10", "target_version": 10}
            ],
        }
    )
    assert ask(database, "code_mapping_coverage").rows() == [
        ("mimic_iii", 9, "gem", 1, 1, 1.0),
        ("mimic_iv", 9, "gem", 2, 1, 0.5),
        ("mimic_iv", 10, "gem", 1, 0, 0.0),
    ]


def test_demographics_by_database(database) -> None:
    groups = {
        "race_group": "white",
        "insurance_group": "medicare",
        "admission_group": "emergency",
        "care_unit_group": "medical",
    }
    database.fill(
        {
            "ehr_records": [{"hadm_id": 1}, {"hadm_id": 2}, {"hadm_id": 3, "database": "mimic_iii"}],
            "ehr_demographics": [
                {**groups, "hadm_id": 1, "gender": "F", "age_years": 91.0},
                {**groups, "hadm_id": 2, "gender": "M", "age_years": 17.0},
                {**groups, "hadm_id": 3, "gender": "M"},
            ],
        }
    )
    rows = ask(database, "demographics_by_database")
    assert rows.height == 14
    assert set(rows.filter(rows["demographic"].is_in(["gender", "age_years"])).rows()) == {
        ("mimic_iii", "age_years", "unknown", 1, 1.0),
        ("mimic_iii", "gender", "M", 1, 1.0),
        ("mimic_iv", "age_years", "0-17", 1, 0.5),
        ("mimic_iv", "age_years", "80 and over", 1, 0.5),
        ("mimic_iv", "gender", "F", 1, 0.5),
        ("mimic_iv", "gender", "M", 1, 0.5),
    }
