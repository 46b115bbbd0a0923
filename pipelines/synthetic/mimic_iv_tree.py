"""The whole MIMIC-IV tree: its tables rendered once, kept for the databases that hold the same patients, and written.

Not here: what each table holds (`mimic_iv`, `mimic_iv_icu`, `mimic_iv_events`, `microbiology`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.synthetic.cohort import Cohort
from pipelines.synthetic.mimic_iv import hosp_tables
from pipelines.synthetic.mimic_iv_icu import icu_tables
from pipelines.synthetic.settings import SyntheticSettings
from pipelines.synthetic.writing import write_csv_gz

DICTIONARIES = ("d_icd_diagnoses", "d_icd_procedures", "d_labitems", "d_items")
# Running numbers, which go on where the last cohort's ended.
NUMBERS = {
    "labevents": ("labevent_id", "specimen_id"),
    "microbiologyevents": ("microevent_id", "micro_specimen_id"),
    "inputevents": ("orderid", "linkorderid"),
    "procedureevents": ("orderid", "linkorderid"),
}


@dataclass(frozen=True)
class MimicIV:
    """Rendered tables of MIMIC-IV.

    Attributes:
        hosp: name of the table -> rows in the published columns.
        icu: the same for icu/.
        quirks: planted cases, one row each: quirk, subject_id, hadm_id, stay_id.
    """

    hosp: dict[str, pl.DataFrame]
    icu: dict[str, pl.DataFrame]
    quirks: list[dict[str, object]]


def render_mimic_iv(
    cohort: Cohort, *, settings: SyntheticSettings, last_seen: dict[int, np.datetime64] | None = None
) -> MimicIV:
    """Render a cohort as MIMIC-IV would hold it.

    Args:
        cohort: its EHR subjects are rendered.
        settings: release and seed.
        last_seen: row of `Subjects` -> time of the last X-ray, before which nobody may have died.
    """
    release, seed = settings.mimic_iv_release, settings.seed
    hosp, quirks = hosp_tables(cohort, last_seen=last_seen or {}, release=release, seed=seed)
    return MimicIV(hosp, icu_tables(cohort, release=release, seed=seed), quirks + _stay_quirks(cohort))


def join_mimic_iv(first: MimicIV, second: MimicIV) -> MimicIV:
    """Put two cohorts into one database, by subject; the rows of the first stay what they are."""
    halves = ((first.hosp, second.hosp), (first.icu, second.icu))
    hosp, icu = ({name: _join(name, one[name], other[name]) for name in one} for one, other in halves)
    return MimicIV(hosp, icu, first.quirks + second.quirks)


def write_mimic_iv(root: Path, tables: MimicIV) -> None:
    """Write hosp/ and icu/."""
    for folder, rows in (("hosp", tables.hosp), ("icu", tables.icu)):
        for name, table in rows.items():
            write_csv_gz(root / folder / f"{name}.csv.gz", table)


def _join(name: str, one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    if name in DICTIONARIES or other.is_empty():
        return one
    following = [pl.col(number) + one[number].max() - pl.col(number).min() + 1 for number in NUMBERS.get(name, ())]
    both = pl.concat([one, other.with_columns(following)], how="vertical_relaxed")
    return both.sort("subject_id", maintain_order=True)


def _stay_quirks(cohort: Cohort) -> list[dict[str, object]]:
    subjects, admissions, stays = cohort.subjects, cohort.admissions, cohort.stays
    return [
        {
            "quirk": name,
            "subject_id": int(subjects.subject_id[admissions.subject[stays.admission[row]]]),
            "hadm_id": int(admissions.hadm_id[stays.admission[row]]),
            "stay_id": int(stays.stay_id[row]),
        }
        for name, row in stays.quirks
    ]
