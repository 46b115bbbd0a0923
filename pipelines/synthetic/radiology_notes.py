"""Renders radiology and radiology_detail of MIMIC-IV-Note: the linked films' own reports, and other examinations.

The report of a chest film in MIMIC-CXR is the very text that stands here, so whoever feeds these notes to a model that
also reads the film's report lets it copy. A study outside every admission has no hadm_id. Not here: the words of a
chest report (`report_text`).
"""

import numpy as np
import polars as pl

from pipelines.synthetic.cohort import Cohort
from pipelines.synthetic.conditions import CONDITIONS
from pipelines.synthetic.latent import severity_at
from pipelines.synthetic.randomness import generator
from pipelines.synthetic.studies import Studies

COLUMNS = "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text"
DETAIL_COLUMNS = "note_id,subject_id,field_name,field_value,field_ordinal"
# condition -> examination, what is seen, what is seen where the condition is absent
OTHERS = {
    "stroke": ("CT HEAD W/O CONTRAST", "Territorial hypodensity.", "No intracranial hemorrhage."),
    "cirrhosis": ("LIVER OR GALLBLADDER US", "Nodular hepatic echotexture.", "Hepatic echotexture is homogeneous."),
    "kidney_disease": ("RENAL U.S.", "Echogenic kidneys, no hydronephrosis.", "Kidneys of normal size."),
}
SEEN_FROM = 0.4
CHEST = {"AP": "CHEST (PORTABLE AP)", "PA": "CHEST (PA AND LAT)", "LATERAL": "CHEST (PA AND LAT)"}


def radiology_notes(
    cohorts: list[Cohort], studies: Studies, texts: dict[int, str], *, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Render the reports of the EHR subjects and their details.

    Args:
        cohorts: the first is the one that the studies belong to.
        studies: chest films.
        texts: study_id -> report.
        seed: the settings' seed.
    """
    exams = _chest(cohorts[0], studies, texts)
    for cohort in cohorts:
        exams += _others(cohort, seed=seed)
    notes = pl.DataFrame(
        exams,
        schema=["subject_id", "hadm_id", "charttime", "exam_name", "text"],
        orient="row",
        infer_schema_length=None,
    ).sort("subject_id", "charttime", "exam_name")
    turn = pl.int_range(pl.len()).over("subject_id")
    notes = notes.with_columns(note_seq=2 + 2 * turn, charttime=pl.col("charttime").cast(pl.Datetime("ms")))
    notes = notes.with_columns(
        note_id=pl.format("{}-RR-{}", "subject_id", "note_seq"),
        note_type=pl.lit("RR"),
        storetime=pl.col("charttime") + pl.duration(minutes=40 + 13 * (turn % 7)),
    )
    detail = notes.select(
        "note_id",
        "subject_id",
        field_name=pl.lit("exam_name"),
        field_value="exam_name",
        field_ordinal=pl.lit(1),
    )
    return notes.select(COLUMNS.split(",")), detail.select(DETAIL_COLUMNS.split(","))


def _chest(cohort: Cohort, studies: Studies, texts: dict[int, str]) -> list[tuple[object, ...]]:
    view = dict(zip(reversed(studies.study.tolist()), reversed(studies.view), strict=True))
    exams: list[tuple[object, ...]] = []
    for row in np.flatnonzero(cohort.subjects.has_ehr[studies.subject]).tolist():
        subject, time = int(studies.subject[row]), studies.time[row].astype("datetime64[m]").astype("datetime64[s]")
        text = texts[int(studies.study_id[row])]
        hadm_id = admission_at(cohort, subject, time)
        exams.append((int(cohort.subjects.subject_id[subject]), hadm_id, time.item(), CHEST[view[row]], text))
    return exams


def admission_at(cohort: Cohort, subject: int, time: np.datetime64) -> int | None:
    """Return the admission (hadm_id) of a subject (row) at a time, None outside every one."""
    admissions = cohort.admissions
    inside = (admissions.subject == subject) & (admissions.admit <= time) & (time <= admissions.discharge)
    return int(admissions.hadm_id[np.argmax(inside)]) if inside.any() else None


def _others(cohort: Cohort, *, seed: int) -> list[tuple[object, ...]]:
    """Examinations of other regions, in some admissions."""
    subjects, admissions = cohort.subjects, cohort.admissions
    severity = severity_at(subjects, admissions, subject=admissions.subject, time=admissions.admit)
    exams: list[tuple[object, ...]] = []
    for row in np.flatnonzero(subjects.has_ehr[admissions.subject]).tolist():
        hadm_id = int(admissions.hadm_id[row])
        random = generator(seed, "radiology", hadm_id)
        for name, (exam, present, absent) in OTHERS.items():
            much = severity[row, CONDITIONS.index(name)]
            if random.random() > 0.1 + 0.5 * much:
                continue
            time = admissions.admit[row].astype("datetime64[m]") + int(random.integers(60, 2880))
            seen = present if much >= SEEN_FROM else absent
            text = f"EXAMINATION:  {exam}\n \nINDICATION:  ___ year old patient.\n \nFINDINGS:  {seen}\n"
            subject_id = int(subjects.subject_id[admissions.subject[row]])
            exams.append((subject_id, hadm_id, time.astype("datetime64[s]").item(), exam, text))
    return exams
