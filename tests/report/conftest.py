"""A small lake with planted numbers: 12 patients with EHR, 16 with X-rays, 8 with both."""

import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_contracts import CONTRACTS
from lake import Lake, Measurement
from pipelines.report import INPUTS, Site, build_site
from pipelines.report.exhibits import INPUTS as BEHIND_CELLS
from pipelines.report.exhibits import paper_tables
from pipelines.report.paper_numbers import TABLE_2

sys.path.insert(0, str(Path(__file__).parent))  # rows, here and on workers

from prediction_rows import (
    MEASURED,
    prediction_comparisons,
    prediction_curves,
    prediction_methods,
    prediction_metrics,
    study_tables,
)
from x_ray_rows import study_metrics, x_ray_curves, x_ray_metrics, x_ray_tables

START = datetime(2150, 1, 1)
DIGEST = "ab" * 32
ABSENT = {"mimic_iv_note": "MEDCSP_MIMIC_IV_NOTE"}
SYNTHETIC = ["mimic_cxr", "mimic_iv"]
SETTINGS = {"theta_days": 30.0, "history": "to_date", "cohorts": {"ehr_holdout_share": 0.15}}
KS = (1, 5, 10, 20, 50, 100)

EHR = [(subject, 20_000_000 + 10 * subject + i) for subject in range(101, 113) for i in range(1 + subject % 2)]
CXR = [
    (subject, 50_000_000 + 10 * subject + study, f"{subject:08x}-{study:08x}-{image:08x}-00000000-00000000")
    for subject in range(105, 121)
    for study in range(2)
    for image in range(1 + study)
]
GAPS = [0.0] * 18 + [0.5, 1.25, 2.0, 3.5, 4.0, 7.75, 9.0, 12.0, 12.5, 17.0, 21.25, 26.0, 29.5, 30.0]


def split_of(source: str, subject: int) -> str:
    if subject <= 112:
        return "ehr_holdout" if subject in (101, 105) else "pretrain"
    return "retrieval_mimic_cxr" if subject <= 118 else "unused"


def pairs() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for subject, hadm_id in EHR:
        for cxr_subject, _, dicom_id in CXR:
            if subject == cxr_subject and len(rows) < len(GAPS):
                rows.append(
                    {
                        "source": "ehr", "record_id": str(hadm_id), "other_source": "cxr", "other_record_id": dicom_id,
                        "subject_id": subject, "gap_days": GAPS[len(rows)],
                    }
                )  # fmt: skip
    assert len(rows) == len(GAPS)
    return rows


def curve() -> list[dict[str, Any]]:
    rows = []
    for step in range(0, 301, 5):
        rest = 0.5 ** (step / 60)
        wobble = 0.05 * ((step * 7) % 11 - 5) / 5
        loss_a, loss_p, loss_d = 1.1 + 2.2 * rest + wobble, 0.7 + 2.6 * rest - wobble, 3.0 + 0.6 * rest
        rows.append(
            {
                "step": step, "epoch": step / 25, "loss": loss_a + 0.5 * loss_p + 0.2 * loss_d, "loss_a": loss_a,
                "loss_p": loss_p, "loss_d": loss_d, "learning_rate": 1e-3 * (1 - step / 400), "grad_norm": 2.5,
                "num_linked": 12.0, "model_sha256": DIGEST,
                **{f"logit_{loss}_positive": 5.0 - 4 * rest for loss in "apd"},
                **{f"logit_{loss}_negative": 1.0 for loss in "apd"},
                "recall_at_10": 0.5 - 0.4 * rest if step % 50 == 0 else None,
            }
        )  # fmt: skip
    return rows


def metrics(checkpoint: str) -> list[dict[str, Any]]:
    rows = []
    ours = {"precision_at_k": [0.2, 0.12, 0.09, 0.06, 0.03, 0.016], "recall_at_k": [0.12, 0.34, 0.5, 0.66, 0.84, 0.93]}
    for metric, values in ours.items():
        for k, value in zip(KS, values, strict=True):
            chance = 0.0125 if metric == "precision_at_k" else k / 400
            for method, number in (("medcsp", value), ("chance", chance)):
                is_ours = method == "medcsp"
                rows.append(
                    {
                        "task": "retrieval_mimic_cxr", "dataset": "mimic_cxr", "cohort": "all_views", "method": method,
                        "mode": "text_to_image", "metric": metric, "k": k, "split": "retrieval_mimic_cxr", "seed": 0,
                        "value": number, "ci_low": number * 0.85 if is_ours else None,
                        "ci_high": min(number * 1.12, 1.0) if is_ours else None, "n": 240, "num_positive": None,
                        "paper_value": TABLE_2[metric][k], "fingerprint": checkpoint, "synthetic": True,
                    }
                )  # fmt: skip
    return rows


def contents(split: str) -> list[dict[str, Any]]:
    present = {
        ("ehr", "diagnosis"): ("codes", 5, 14), ("ehr", "drug"): ("codes", 3, 12), ("ehr", "note"): ("text", 900, 0),
        ("ehr", "series"): ("series", 40, 13), ("ehr", "demographics"): ("dense", 20, 14),
        ("cxr", "image"): ("image", 224, 21), ("cxr", "report"): ("text", 900, 21),
        ("cxr", "records"): ("index", 0, 21),
    }  # fmt: skip
    return [
        {
            "source": source, "modality": modality, "kind": kind, "size": size,
            "num_records": 14 if source == "ehr" else 21,
            "num_present": 400 if split != "pretrain" and kind == "image" else num_present, "content_sha256": DIGEST,
        }
        for (source, modality), (kind, size, num_present) in present.items()
    ]  # fmt: skip


def _records() -> dict[str, list[dict[str, Any]]]:
    codes = [
        {
            "subject_id": subject, "hadm_id": hadm_id, "kind": kind, "code": f"{kind}{i}",
            "icd_version": 10 if kind == "diagnosis" else 0, "known_time": START, "coded_after_discharge": False,
        }
        for n, (subject, hadm_id) in enumerate(EHR)
        for kind, most in (("diagnosis", 5), ("drug", 3))
        for i in range(n % (most + 1))
    ]  # fmt: skip
    return {
        "ehr_records": [
            {
                "record_id": str(hadm_id), "subject_id": subject, "hadm_id": hadm_id, "admit_time": START,
                "discharge_time": START + timedelta(days=3), "first_icu_time": START, "record_time": START,
                "num_stays": 1, "database": "mimic_iv", "is_in_carevue_subset": False,
            }
            for subject, hadm_id in EHR
        ],
        "ehr_stays": [
            {
                "subject_id": subject, "hadm_id": hadm_id, "stay_id": hadm_id + 1, "stay_index": 0, "in_time": START,
                "out_time": None, "first_careunit": "MICU", "los_hours": None,
                "database": "mimic_iv", "system": "mimic_iv",
            }
            for subject, hadm_id in EHR
        ],
        "ehr_codes": codes,
        "ehr_notes": [],
        "cxr_records": [
            {
                "source": "cxr", "database": "mimic_cxr",
                "record_id": dicom_id, "subject_id": subject, "study_id": study_id,
                "record_time": START, "view_position": "PA", "path": f"files/{dicom_id}.dcm",
            }
            for subject, study_id, dicom_id in CXR
        ],
        "cxr_reports": [
            {"source": "cxr", "subject_id": subject, "study_id": study_id, "section": "full", "is_fall_back": False,
             "text": "PLANTED SECRET REPORT"}
            for subject, study_id in sorted({(subject, study_id) for subject, study_id, _ in CXR})
        ],
    }  # fmt: skip


def _links() -> dict[str, list[dict[str, Any]]]:
    records = [("ehr", str(hadm), subject, hadm) for subject, hadm in EHR]
    records += [("cxr", dicom_id, subject, study) for subject, study, dicom_id in CXR]
    return {
        "same_patient_pairs": pairs(),
        "cohort_split": [
            {
                "source": source, "record_id": record_id, "subject_id": subject, "study_id": study,
                "split": split_of(source, subject),
            }
            for source, record_id, subject, study in records
        ]
        + [
            {
                "source": "ehr", "record_id": "190001", "subject_id": 90001, "study_id": 190001, "split": "mimic_iii",
            }
        ],
        "diagnosis_histories": [
            {
                "source": source, "record_id": record_id, "subject_id": subject,
                "num_codes": 0 if subject > 112 else 4, "code_indices": [] if subject > 112 else [0, 1, 2, 3],
                "num_out_of_vocabulary": 0,
            }
            for source, record_id, subject, _ in records
        ],
    }  # fmt: skip


def _features() -> dict[str, list[dict[str, Any]]]:
    return {
        "diagnosis_vocabulary": [
            {
                "code_index": i, "icd_version": 10, "icd_code": f"diagnosis{i}", "num_records": 3, "num_subjects": 2,
                "title": None,
            }
            for i in range(5)
        ],
        "drug_vocabulary": [{"drug_index": i, "drug": f"drug{i}", "num_records": 3} for i in range(3)],
        "series_features": [
            {
                "feature_index": i, "feature": f"chart_{i}", "variable": f"chart_{i}", "statistic": "value",
                "category": None, "low": None, "high": None, "low_inclusive": False, "is_filled": False, "aliases": [],
            }
            for i in range(4)
        ],
        "ehr_series": [
            {
                "subject_id": subject, "hadm_id": hadm, "stay_id": hadm + 1, "bin": hour, "feature_index": 1,
                "value": 1.0,
            }
            for subject, hadm in EHR
            for hour in range(48)
        ],
        "text_tokens": [
            {
                "source": "cxr", "text_id": str(study), "subject_id": subject, "num_tokens": 40 + n % 5,
                "is_truncated": n % 4 == 0, "token_indices": [1, 2],
            }
            for n, (subject, study) in enumerate(sorted({(subject, study) for subject, study, _ in CXR}))
        ],
        "cxr_images": [
            {
                "source": "cxr", "record_id": dicom_id, "subject_id": subject, "study_id": study,
                "photometric": "MONOCHROME2",
                "height_pixels": 256, "width_pixels": 256, "mean_intensity": 90.0,
                "file_sha256": DIGEST, "pixel_sha256": DIGEST,
            }
            for subject, study, dicom_id in CXR
        ],
    }  # fmt: skip


def _databases() -> dict[str, list[dict[str, Any]]]:
    coverage = {"num_records": 14, "num_records_without_codes": 1, "num_records_all_unknown": 0, "num_codes": 40}
    people = {"auroc": 0.625, "num_folds": 5, "num_records": 30, "num_mimic_iv_records": 14}
    pairs = {"num_pairs": 20, "num_pairs_with_overlap": 5, "num_pairs_mostly_shared": 1, "num_runs": 200}
    return {
        "vocabulary_coverage": [
            {
                "kind": kind, "database": database, "split": split, **coverage,
                "num_out_of_vocabulary": 10, "share_out_of_vocabulary": 0.25,
            }
            for kind in ("diagnosis", "drug")
            for database, split in (("mimic_iii", "mimic_iii"), ("mimic_iv", "pretrain"))
        ],
        "concept_coverage": [
            {
                "concept": concept, "system": system, "unit": "1/min", "num_variables": int(share > 0),
                "num_stays": 100, "num_stays_with_value": int(100 * share), "share_of_stays": share,
            }
            for concept, share in (("heart_rate", 0.9), ("respiratory_rate", 0.04), ("peep", 0.0))
            for system in ("carevue", "mimic_iv")
        ],
        "demographics_shift": [
            {
                "database": "mimic_iii", "rank": rank, "encoded_column": column, "weight": 1.0, "mean": 0.5,
                "mimic_iv_mean": 0.25, **people,
            }
            for rank, column in enumerate(("age_years", "gender_m", "race_group_white"), start=1)
        ],
        "note_report_overlap": [
            {
                "split": "pretrain", **pairs, "num_shared_runs": 30, "share_of_runs": 0.15, "median_share": 0.0,
                "upper_share": 0.6,
            }
        ],
    }  # fmt: skip


FLOW = {
    "arf": (
        ("start", "candidates", 40, 30, 0), ("exclusion", "outside_cohort", 40, 30, 0),
        ("exclusion", "under_18", 38, 29, 2), ("exclusion", "onset_before_index", 30, 24, 8),
        ("outcome", "event in unbounded", 6, 6, 24), ("outcome", "death without event in unbounded", 3, 3, 27),
    ),
    "mortality": (
        ("start", "candidates", 40, 30, 0), ("exclusion", "outside_cohort", 40, 30, 0),
        ("exclusion", "under_18", 38, 29, 2), ("outcome", "event in unbounded", 9, 9, 29),
    ),
    "readmission": (
        ("start", "candidates", 40, 30, 0), ("exclusion", "outside_cohort", 40, 30, 0),
        ("exclusion", "under_18", 38, 29, 2), ("exclusion", "died_in_hospital", 29, 25, 9),
        ("outcome", "event in 30d", 4, 4, 25),
    ),
}  # fmt: skip
"""Steps of the metavision cohort: kind, step, stays, patients, excluded. The other cohorts have nobody."""


def _cohorts() -> dict[str, list[dict[str, Any]]]:
    flow = [
        {
            "cohort": cohort,
            "task": task,
            "step_index": index,
            "kind": kind,
            "step": step,
            "num_stays": stays * there,
            "num_subjects": people * there,
            "num_excluded": out * there,
        }
        for cohort, there in (("metavision", 1), ("carevue", 0))
        for task, steps in FLOW.items()
        for index, (kind, step, stays, people, out) in enumerate(steps)
    ]
    events = {"num_examples": 30, "num_subjects": 24, "num_events": 6, "num_competing": 3, "num_folds": 5}
    parts = {
        "num_train": 24,
        "num_train_events": 5,
        "num_validation": 3,
        "num_validation_events": 1,
        "num_test": 3,
        "num_test_events": 0,
    }
    task = {"task": "arf", "horizon": "unbounded"}
    nobody = dict.fromkeys([*events, *parts], 0) | {"split_obstacle": "no_example", "fold_obstacle": "no_example"}
    return {
        "cohort_flow": flow,
        "prediction_events": [
            {**task, "cohort": "metavision", **events, **parts, "split_obstacle": "one_class_in_test"},
            {**task, "cohort": "carevue", **nobody},
        ],
    }  # fmt: skip


SHARED = "pretrain_checkpoint_shared"
X_RAYS, STUDIES = ("retrieval_open_i", "zero_shot_covid19", "zero_shot_chexpert"), ("ablation", "case_studies")
INPUTS_OF = {
    "ehr_records": {
        "raw:mimic_iv/hosp/admissions.csv.gz": "11" * 32,
        "raw:mimic_iv/icu/icustays.csv.gz": "22" * 32,
        "release:mimic_iv": "demo 2.2",
    },
    "ehr_notes": {"raw:mimic_iv_note/mimic_iv_note__discharge": "mimic_iv_note is not available"},
    "cxr_records": {"raw:mimic_cxr/cxr-record-list.csv.gz": "33" * 32},
    "cxr_reports": {"raw:mimic_cxr/reports": "44" * 8},
    "same_patient_pairs": ["ehr_records", "cxr_records"],
    "cohort_split": ["ehr_records", "cxr_records"],
    "text_tokens": ["cxr_reports", "ehr_notes"],
    "pretrain_corpus": ["same_patient_pairs", "cohort_split", "text_tokens", "cxr_images", "ehr_series", "ehr_codes"],
    "retrieval_mimic_cxr_corpus": ["cohort_split", "text_tokens", "cxr_images"],
    "pretrain_checkpoint": ["pretrain_corpus"],
    "retrieval_mimic_cxr": ["retrieval_mimic_cxr_corpus", "pretrain_checkpoint"],
    "prediction_arf": ["pretrain_checkpoint", SHARED],
    **{name: ["pretrain_checkpoint"] for name in X_RAYS},
    "ablation": ["pretrain_corpus"],
    "case_studies": ["ablation"],
    "metrics": ["retrieval_mimic_cxr", "prediction_arf", *X_RAYS, *STUDIES],
    "paper_tables": list(BEHIND_CELLS),
}
LAST = (*STUDIES, "metrics", "paper_tables")
ORDER = (
    *[name for name in INPUTS if name not in LAST],
    "retrieval_mimic_cxr",
    "prediction_arf",
    *X_RAYS,
    *LAST,
)


OF_CHECKPOINTS = {
    "retrieval_mimic_cxr": lambda native, _: metrics(native),
    "prediction_arf": lambda *names: of_task(prediction_metrics(*names), "prediction_arf"),
    "prediction_comparisons": lambda native, _: prediction_comparisons(native),
    "prediction_methods": lambda native, _: prediction_methods(native),
    **{name: lambda native, _, name=name: of_task(x_ray_metrics(native), name) for name in X_RAYS},
    **{name: lambda native, _, name=name: of_task(study_metrics(native), name) for name in STUDIES},
    "curves": lambda *names: [*prediction_curves(*names), *x_ray_curves(names[0])],
    "metrics": lambda *names: [
        *metrics(names[0]),
        *x_ray_metrics(names[0]),
        *study_metrics(names[0]),
        *prediction_metrics(*names),
    ],
}
"""Rows that name what they were measured on: the checkpoint of native features, and that of shared ones."""
SETTINGS_OF: dict[str, dict[str, Any]] = {
    "same_patient_pairs": {"theta_days": 30.0},
    "series_features": {"fit_on": "train"},
    "prediction_arf": {"measured": MEASURED},
    "pretrain_checkpoint": {"batch": {"size": 32}},
}


EXTRA_OF: dict[str, dict[str, Any]] = {
    "zero_shot_covid19": {
        "prompts": [
            {"name": "description", "finding": "COVID-19", "is_averaged": True},
            {"name": "name", "finding": "COVID-19", "is_averaged": True},
            {"name": "signs", "finding": "signs of viral pneumonia", "is_averaged": False},
        ]
    },
}


def of_task(rows: list[dict[str, Any]], task: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["task"] == task]


class UncataloguedLake(Lake):
    """A lake without its catalogue, which the page does not read and which costs a rebuild for every table."""

    def refresh_catalogue(self) -> None:
        pass


def rows_of(lake: Lake, name: str) -> list[dict[str, Any]]:
    if name in OF_CHECKPOINTS:
        return OF_CHECKPOINTS[name](*(_fingerprint(lake, table) for table in ("pretrain_checkpoint", SHARED)))
    if name == "paper_tables":
        return paper_tables(lake, headline="description", is_synthetic=True).to_dicts()
    rows = study_tables(EHR) | x_ray_tables(_fingerprint(lake, "pretrain_checkpoint"))
    rows |= {**_records(), **_links(), **_features(), **_databases(), **_cohorts(), "pretrain_checkpoint": curve()}
    rows |= {SHARED: curve()[:3], "pretrain_llm": [], "retrieval_examples": [], "shared_series_features": []}
    rows |= {"pretrain_corpus": contents("pretrain"), "retrieval_mimic_cxr_corpus": contents("retrieval")}
    return rows[name]


def _fingerprint(lake: Lake, table: str) -> str:
    made = lake.manifest(table)
    return made.fingerprint if made else ""


def fill(home: Path) -> Lake:
    """Publish every table of the page."""
    lake = UncataloguedLake(home, threads=1)
    for name in ORDER:
        publish(lake, name, rows_of(lake, name))
    return lake


def publish(lake: Lake, name: str, rows: list[dict[str, Any]]) -> None:
    given = INPUTS_OF.get(name, {})
    inputs = given if isinstance(given, dict) else {table: _version(lake, table) for table in given}
    schema = CONTRACTS[name].create_empty().schema
    lake.publish(
        CONTRACTS[name],
        pl.DataFrame(rows, schema=schema),
        code_version="c0de" * 4,
        inputs=inputs,
        settings=SETTINGS_OF.get(name, {}),
        extra=EXTRA_OF.get(name, {}),
    )
    cost = Measurement(
        seconds=10.0 + ORDER.index(name), cpu_seconds=9.0, peak_mb=250.0, created_time="2026-01-02T03:04:05+00:00"
    )
    lake.record_timing(name, cost)


def _version(lake: Lake, table: str) -> str:
    manifest = lake.manifest(table)
    assert manifest is not None, f"{table} is published before what is made from it"
    return manifest.version


def site_of(lake: Lake) -> Site:
    return build_site(lake, profile_name="demo", synthetic_sources=SYNTHETIC, absent_sources=ABSENT, settings=SETTINGS)


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return fill(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="session")
def site(planted: Lake) -> Site:
    return site_of(planted)


@pytest.fixture
def new_lake(planted: Lake, tmp_path: Path) -> Callable[[Mapping[str, list[dict[str, Any]]]], Lake]:
    """Makes a copy of the planted lake, in which some tables are published anew with other rows."""

    def _copy(replaced: Mapping[str, list[dict[str, Any]]]) -> Lake:
        shutil.copytree(planted.home / "lake", tmp_path / "home" / "lake")
        lake = UncataloguedLake(tmp_path / "home", threads=1)
        for name, rows in replaced.items():
            publish(lake, name, rows)
        return lake

    return _copy


@pytest.fixture
def render() -> Callable[[Lake], Site]:
    return site_of


@pytest.fixture
def planted_curve() -> list[dict[str, Any]]:
    return curve()
