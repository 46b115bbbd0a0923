"""Renders NOTEEVENTS: discharge summaries (a day, no time), chest films, ward notes, and notes entered in error."""

import numpy as np
import polars as pl

from pipelines.synthetic.latent import severity_at
from pipelines.synthetic.mimic_iii_people import CAREVUE, Members
from pipelines.synthetic.mimic_iv_note import discharge_notes
from pipelines.synthetic.note_text import COURSE
from pipelines.synthetic.randomness import generator
from pipelines.synthetic.report_text import Shape, write_report
from pipelines.synthetic.studies import draw_findings

NAMELESS = "[**Known lastname 3941**]"
Row = tuple[object, ...]
TIME, TEXT = pl.Datetime("ms"), pl.String()
SCHEMA: dict[str, pl.DataType] = {
    "hadm": pl.Int64(), "chartdate": TIME, "charttime": TIME, "storetime": TIME, "category": TEXT, "description": TEXT,
    "cgid": pl.Int64(), "iserror": TEXT, "text": TEXT,
}  # fmt: skip


def note_table(members: Members, twins: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Render the notes, without row_id.

    Args:
        members: who is in MIMIC-III.
        twins: discharge summaries of MIMIC-IV, of which the twins' are theirs here too.
        seed: the settings' seed.
    """
    cohort = members.cohort
    summaries = discharge_notes(cohort.subjects, cohort.admissions, seed=seed)
    summaries = pl.concat([summaries, twins.filter(pl.col("hadm_id").is_in(members.admissions["hadm"].implode()))])
    rows: list[Row] = [
        (hadm, day, None, None, "Discharge summary", "Report", None, None, text.replace("___", NAMELESS))
        for hadm, day, text in summaries.select(
            "hadm_id", pl.col("charttime").str.to_datetime(time_unit="ms"), "text"
        ).iter_rows()
    ]
    rows += _ward_notes(members, seed=seed)
    notes = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    notes = notes.join(members.admissions, on="hadm", maintain_order="left")
    owners = pl.DataFrame(
        {"hadm": cohort.admissions.hadm_id, "subject": cohort.subjects.subject_id[cohort.admissions.subject]}
    )
    known = twins.select(hadm="hadm_id", subject="subject_id")
    owners = pl.concat([owners, known.unique("hadm", maintain_order=True)])
    notes = notes.join(owners, on="hadm", maintain_order="left").join(
        members.subjects.select("subject", "subject_id", "shift"), on="subject", maintain_order="left"
    )
    return notes.with_columns(pl.col("chartdate", "charttime", "storetime") + pl.col("shift"))


def _ward_notes(members: Members, *, seed: int) -> list[Row]:
    """Of every admission a chest film's report or a note of the ward, or both; some of these in error."""
    cohort = members.cohort
    admissions = cohort.admissions
    severity = severity_at(cohort.subjects, admissions, subject=admissions.subject, time=admissions.admit)
    findings = draw_findings(cohort.subjects, admissions, subject=admissions.subject, time=admissions.admit, seed=seed)
    source = dict(members.stays.join(_stay_hadm(members), on="stay").select("hadm", "dbsource").iter_rows())
    rows: list[Row] = []
    for row, hadm in enumerate(admissions.hadm_id.tolist()):
        random = generator(seed, "mimic-iii notes", hadm)
        time = admissions.admit[row] + np.timedelta64(int(random.integers(30, 2400)), "m")
        day, stored = time.astype("datetime64[D]").astype("datetime64[s]"), time + np.timedelta64(25, "m")
        if random.random() < 0.5:
            text = write_report(findings[row], views=["AP"], shape=Shape(), random=random).replace("___", NAMELESS)
            rows.append((hadm, day.item(), time.item(), None, "Radiology", "CHEST (PORTABLE AP)", None, None, text))
        worst = list(COURSE)[int(np.argmax(severity[row]))]
        text = f"Resp and hemodynamics followed through the shift.\n{COURSE[worst][1][int(random.integers(2))]}\n"
        # MetaVision's category has a blank at its end
        category, title = (
            ("Nursing/other", "Report") if source[hadm] == CAREVUE else ("Physician ", "Resident Progress Note")
        )
        note = (hadm, day.item(), time.item(), stored.item(), category, title, int(random.integers(14_000, 22_000)))
        rows.append((*note, None, text))
        if random.random() < 0.05:
            rows.append((*note, "1", "Entered on the wrong patient.\n"))
    return rows


def _stay_hadm(members: Members) -> pl.DataFrame:
    stays = members.cohort.stays
    return pl.DataFrame({"stay": stays.stay_id, "hadm": members.cohort.admissions.hadm_id[stays.admission]})
