"""Writes note/ of MIMIC-IV-Note. Not here: the words of a summary (`note_text`), radiology (`radiology_notes`).

Real summaries often quote the report of a film of their admission, word by word: some do here too.
"""

from pathlib import Path

import numpy as np
import polars as pl

from pipelines.synthetic.cohort import Cohort
from pipelines.synthetic.latent import Admissions, Subjects, severity_at
from pipelines.synthetic.note_text import write_note
from pipelines.synthetic.radiology_notes import admission_at, radiology_notes
from pipelines.synthetic.randomness import generator
from pipelines.synthetic.studies import Studies
from pipelines.synthetic.writing import write_csv_gz

QUOTED = ("FINDINGS:", "IMPRESSION:")
COLUMNS = "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text"


def write_notes(
    root: Path, summaries: pl.DataFrame, cohorts: list[Cohort], studies: Studies, texts: dict[int, str], *, seed: int
) -> None:
    """Write note/.

    Args:
        root: gets it.
        summaries: the discharge summaries.
        cohorts: whose radiology it is; the studies are those of the first.
        studies: chest films.
        texts: study_id -> report.
        seed: the settings' seed.
    """
    write_csv_gz(root / "note" / "discharge.csv.gz", summaries)
    reports, details = radiology_notes(cohorts, studies, texts, seed=seed)
    write_csv_gz(root / "note" / "radiology.csv.gz", reports)
    write_csv_gz(root / "note" / "radiology_detail.csv.gz", details)


def quoted_reports(
    cohort: Cohort, studies: Studies, texts: dict[int, str], *, share: float, seed: int
) -> dict[int, str]:
    """Choose what summaries quote: hadm_id -> findings or impression of a film of that admission, in one line.

    Args:
        cohort: the one that the studies belong to.
        studies: chest films.
        texts: study_id -> report.
        share: of the admissions with a film during them.
        seed: the settings' seed.
    """
    films: dict[int, list[int]] = {}
    for row in np.flatnonzero(cohort.subjects.has_ehr[studies.subject]).tolist():
        time = studies.time[row].astype("datetime64[s]")
        hadm_id = admission_at(cohort, int(studies.subject[row]), time)
        if hadm_id is not None:
            films.setdefault(hadm_id, []).append(int(studies.study_id[row]))
    quotes = {}
    for hadm_id, inside in films.items():
        random = generator(seed, "quoted report", hadm_id)
        if random.random() < share:
            blocks = [
                " ".join(block.split()) for block in texts[inside[int(random.integers(len(inside)))]].split("\n \n")
            ]
            spoken = [block for block in blocks if block.startswith(QUOTED)] or [block for block in blocks if block][
                -1:
            ]
            quotes[hadm_id] = spoken[int(random.integers(len(spoken)))]
    return quotes


def discharge_notes(
    subjects: Subjects, admissions: Admissions, *, seed: int, quotes: dict[int, str] | None = None
) -> pl.DataFrame:
    """Render the discharge summaries of the EHR subjects' admissions; about one admission in twelve has none.

    Args:
        subjects: everybody.
        admissions: theirs.
        seed: the settings' seed.
        quotes: hadm_id -> what its summary repeats of a report.
    """
    quotes = quotes or {}
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
            severity[row], subjects.signature[subject], female=bool(subjects.female[subject]), random=random,
            quoted=quotes.get(int(admissions.hadm_id[row]), ""),
        )  # fmt: skip
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
