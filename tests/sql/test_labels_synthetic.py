"""Labels of the synthetic databases: SQL finds those stays positive in which an onset, a death or a return was planted.

What was planted is asked of the draws, before anything was written in any system's items.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.features.label_items import read_label_items
from pipelines.features.tasks import task_table
from pipelines.sources import SOURCES
from pipelines.synthetic import SyntheticSettings, write_sources
from pipelines.synthetic.cohort import Cohort
from pipelines.synthetic.critical import draw_cohort, draw_holdout
from pipelines.synthetic.mimic_iii_people import draw_members
from pipelines.synthetic.mimic_iv_tree import render_mimic_iv

WORLD = SyntheticSettings(
    num_ehr_subjects=12,
    num_linked_subjects=0,
    num_cxr_only_subjects=0,
    num_holdout_subjects=45,
    num_metavision_subjects=45,
    num_carevue_subjects=60,
    num_twins=3,
    sources=("mimic_iv", "mimic_iii", "mimic_iii_carevue"),
)
FOLDERS = {"mimic_iv": "mimic-iv", "mimic_iii": "mimic-iii", "mimic_iii_carevue": "mimic-iii-carevue"}
READ = (
    *("patients", "admissions", "icustays", "chartevents", "labevents", "diagnoses_icd"),
    *("inputevents", "inputevents_cv", "inputevents_mv", "procedureevents", "procedureevents_mv"),
)
FILES = {
    **{table: f"records/{table}.sql" for table in ("ehr_admissions", "ehr_records", "ehr_stays")},
    "cohort_split": "links/cohort_split.sql",
    **{
        table: f"labels/{table}.sql"
        for table in (
            *(
                "prediction_stays",
                "label_events",
                "labels_arf",
                "labels_shock",
                "labels_mortality",
                "labels_aki",
                "labels_readmission",
            ),
            *("prediction_split", "prediction_labels", "cohort_flow"),
        )
    },
}
T = 48 * 3600
MONTH = np.timedelta64(30, "D")


@pytest.fixture(scope="module")
def raw_tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    raw = tmp_path_factory.mktemp("labels") / "raw"
    write_sources(raw, settings=WORLD)
    return {
        table.table: _read(table, raw / folder)
        for source, folder in FOLDERS.items()
        for table in SOURCES[source].tables
        if table.table.removeprefix(f"{source}__") in READ
    }


def _read(table: Any, root: Path) -> pl.DataFrame:
    return table.read(root).drop("_rejected").collect()


@pytest.fixture
def built(raw_tables, database) -> dict[str, pl.DataFrame]:
    database.set(ehr_holdout_share=WORLD.holdout_share, holdout_seed=WORLD.holdout_seed)
    database.fill({**raw_tables, "label_items": read_label_items(), "prediction_tasks": task_table()})
    return {table: database.build(table, file) for table, file in FILES.items()}


def planted(cohort: Cohort) -> dict[str, dict[int, bool]]:
    """Label -> stay as drawn -> whether it is positive, of those who can have it."""
    stays, admissions = cohort.stays, cohort.admissions
    died, left = admissions.died[stays.admission], admissions.discharge[stays.admission]
    seconds = (stays.outtime - stays.intime).astype(int)
    base = (seconds >= T) & ~(died & ((left - stays.intime).astype(int) < T))
    onsets = {
        "arf": np.fmin.reduce([stays.onset[name] for name in ("peep", "invasive", "noninvasive")]),
        "shock": stays.onset["pressor"],
    }
    found = {}
    for label, onset in onsets.items():
        earlier = np.array(
            [
                bool(np.any((stays.admission == own) & (stays.intime < begin) & ~np.isnan(onset)))
                for own, begin in zip(stays.admission, stays.intime, strict=True)
            ]
        )
        fits = base & ~(onset < T) & ~earlier
        found[label] = dict(zip(stays.stay_id[fits].tolist(), (onset >= T)[fits].tolist(), strict=True))
    found["mortality"] = dict(zip(stays.stay_id[base].tolist(), died[base].tolist(), strict=True))
    last = np.append(stays.admission[1:] != stays.admission[:-1], True) & ~died
    gap = admissions.admit[None, :] - admissions.discharge[stays.admission[last], None]
    same = admissions.subject[None, :] == admissions.subject[stays.admission[last], None]
    back = (same & (gap > np.timedelta64(0, "s")) & (gap <= MONTH)).any(axis=1)
    found["readmission"] = dict(zip(stays.stay_id[last].tolist(), back.tolist(), strict=True))
    return found


def test_positives_are_those_that_were_planted(built, database) -> None:
    cohort = draw_cohort(WORLD)
    iv = render_mimic_iv(cohort, settings=WORLD)
    holdout = draw_holdout(WORLD, taken=cohort.ids())
    members = draw_members(cohort, iv, settings=WORLD, taken=cohort.ids() | holdout.ids())
    renamed = dict(members.stays.select("stay", "icustay_id").iter_rows())
    expected = {label: dict(stays) for label, stays in planted(holdout).items()}
    for label, stays in planted(members.cohort).items():
        expected[label] |= {renamed[stay]: answer for stay, answer in stays.items()}

    examples = built["prediction_labels"].with_columns(pl.col("task", "horizon", "cohort").cast(pl.String))
    for label, answers in expected.items():
        horizon = "30d" if label == "readmission" else "unbounded"
        rows = examples.filter(pl.col("task") == label, pl.col("horizon") == horizon)
        for (cohort_name,), own in rows.group_by("cohort"):
            found = dict(own.select("stay_id", "label").iter_rows())
            known = {stay: answer for stay, answer in found.items() if stay in answers}
            assert known == {stay: answers[stay] for stay in known}, (label, cohort_name)
            assert sum(known.values()) > 0 and len(known) > 20, (label, cohort_name)
        members_of = built["prediction_stays"].filter(pl.col("cohorts").list.len() > 0)["stay_id"]
        missing = set(answers) & set(members_of) - set(rows["stay_id"])
        assert not missing, (label, len(missing))

    for check in sorted((database.sql / "checks").glob("*.sql")):
        if check.stem.split("__")[0] in FILES and check.stem.startswith(("prediction_", "labels_", "cohort_flow")):
            assert database.run(f"checks/{check.name}").is_empty(), check.name

    for table in ("labels_arf", "labels_shock"):
        excluded = built[table].filter(pl.col("excluded_by").cast(pl.String) == "onset_earlier_in_admission")
        assert built["prediction_stays"].join(excluded, on="stay_id", how="semi")["stay_index"].min() > 0
