"""Writes note/ of MIMIC-IV-Note. Not here: the words of a summary (`note_text`), radiology (`radiology_notes`)."""

from pathlib import Path

import numpy as np
import polars as pl

from pipelines.synthetic.cohort import Cohort
from pipelines.synthetic.latent import Admissions, Subjects, severity_at
from pipelines.synthetic.mimic_cxr import report_texts
from pipelines.synthetic.note_text import write_note
from pipelines.synthetic.radiology_notes import radiology_notes
from pipelines.synthetic.randomness import generator
from pipelines.synthetic.studies import Studies
from pipelines.synthetic.writing import write_csv_gz

COLUMNS = "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text"


def write_notes(root: Path, cohorts: list[Cohort], studies: Studies, *, seed: int) -> None:
    """Write note/ of these cohorts; the studies are those of the first."""
    notes = [discharge_notes(cohort.subjects, cohort.admissions, seed=seed) for cohort in cohorts]
    write_csv_gz(root / "note" / "discharge.csv.gz", pl.concat(notes))
    texts = report_texts(cohorts[0].subjects, studies, seed=seed)
    reports, details = radiology_notes(cohorts, studies, texts, seed=seed)
    write_csv_gz(root / "note" / "radiology.csv.gz", reports)
    write_csv_gz(root / "note" / "radiology_detail.csv.gz", details)


def discharge_notes(subjects: Subjects, admissions: Admissions, *, seed: int) -> pl.DataFrame:
    """Render the discharge summaries of the EHR subjects' admissions; about one admission in twelve has none."""
    severity = severity_at(subjects, admissions, subject=admissions.subject, time=admissions.admit)
    rows = []
    numbers: dict[int, int] = {}
    for row in np.flatnonzero(subjects.has_ehr[admissions.subject]).tolist():
        random = generator(seed, "note", int(admissions.hadm_id[row]))
        subject = int(admissions.subject[row])
        subject_id = int(subjects.subject_id[subject])
        numbers[subject_id] = numbers.get(subject_id, 1) + int(random.integers(1, 4))
        if random.random() < 0.08:
            continue
        text = write_note(
            severity[row], subjects.signature[subject], female=bool(subjects.female[subject]), random=random
        )
        charted = admissions.discharge[row].astype("datetime64[D]").astype("datetime64[s]")
        stored = admissions.discharge[row] + np.timedelta64(int(random.integers(1, 72)), "h")
        rows.append(
            (
                f"{subject_id}-DS-{numbers[subject_id]}",
                subject_id,
                int(admissions.hadm_id[row]),
                "DS",
                numbers[subject_id],
                str(charted).replace("T", " "),
                str(stored).replace("T", " "),
                text,
            )
        )
    return pl.DataFrame(rows, schema=COLUMNS.split(","), orient="row")
