"""Who is in MIMIC-III, under which ids and dates, and in which charting system.

Some are MIMIC-IV's own patients under other ids and another shift of dates (twins), some CareVue patients come back
later and are in MIMIC-IV then (returned), the rest is in MIMIC-III alone. Not here: how their rows look.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from pipelines.synthetic.cohort import Cohort, chosen_ids
from pipelines.synthetic.critical import critical_subjects, draw_course
from pipelines.synthetic.latent import Subjects
from pipelines.synthetic.mimic_iv import ICD9_SHARE
from pipelines.synthetic.mimic_iv_tree import MimicIV
from pipelines.synthetic.randomness import generator, unique_ids
from pipelines.synthetic.settings import SyntheticSettings

CAREVUE, METAVISION, BOTH = "carevue", "metavision", "both"
EARLY_GROUPS = ("2008 - 2010", "2011 - 2013")
# Shares of the CareVue subjects: who come back once MetaVision is there, who lie in the unit when it arrives, and who
# come back later still, so that MIMIC-IV alone saw them again.
IN_BOTH_SHARE, CROSSING_SHARE, RETURNED_SHARE = 0.08, 0.03, 0.04


@dataclass(frozen=True)
class Members:
    """MIMIC-III's patients and the ids under which the rendered MIMIC-IV tables know them.

    Attributes:
        cohort: everybody but the twins.
        subjects: subject (as rendered), subject_id (in MIMIC-III), shift (Duration), kind ("twin", "returned", "new"),
            system (of all stays: carevue, metavision, both), is_clean (in the CareVue-only release).
        admissions: hadm (as rendered), hadm_id.
        stays: stay (as rendered), icustay_id, dbsource, switch (the time from which on MetaVision charts).
    """

    cohort: Cohort
    subjects: pl.DataFrame
    admissions: pl.DataFrame
    stays: pl.DataFrame


def draw_members(cohort: Cohort, iv: MimicIV, *, settings: SyntheticSettings, taken: set[int]) -> Members:
    """Draw who is in MIMIC-III.

    Args:
        cohort: MIMIC-IV's subjects, among whom twins and returned patients are found.
        iv: their tables.
        settings: numbers and seed.
        taken: ids in use.
    """
    seed = settings.seed
    twins = _twins(iv, seed=seed)[: min(settings.num_twins, settings.num_metavision_subjects)]
    number = settings.num_metavision_subjects - len(twins) + settings.num_carevue_subjects
    rendered = chosen_ids(
        seed, "mimic-iii latent", number, first=10_000_000, last=19_999_999, taken=taken,
        fits=lambda id_: generator(seed, "icd version", id_).random() < ICD9_SHARE,
    )  # fmt: skip
    is_carevue = np.arange(number) < settings.num_carevue_subjects
    subjects = critical_subjects(rendered, seed=seed)
    returned, subjects = _returned(subjects, cohort, twins, int(RETURNED_SHARE * settings.num_carevue_subjects))
    own = draw_course(subjects, seed=seed, name="mimic-iii", taken=taken)
    stays = _systems(own, is_carevue, returned, seed=seed)
    twin_stays = iv.icu["icustays"].filter(pl.col("subject_id").is_in(twins))
    later = twin_stays.select("subject_id", "hadm_id", "stay_id", "intime", dbsource=pl.lit(METAVISION))
    stays = pl.concat([stays, later.with_columns(switch="intime").drop("intime")], how="vertical_relaxed")
    return Members(own, *_renamed(stays, twins=set(twins), returned=set(rendered[returned].tolist()), seed=seed))


def _twins(iv: MimicIV, *, seed: int) -> list[int]:
    """MIMIC-IV subjects whom MetaVision could have charted before 2013: ICD-9 alone, and an ICU stay."""
    early = iv.hosp["patients"].filter(pl.col("anchor_year_group").is_in(EARLY_GROUPS))["subject_id"]
    fit = iv.icu["icustays"].filter(pl.col("subject_id").is_in(early.implode()))["subject_id"].unique().sort()
    return [id_ for id_ in fit.to_list() if generator(seed, "icd version", id_).random() < ICD9_SHARE]


def _returned(subjects: Subjects, cohort: Cohort, twins: list[int], number: int) -> tuple[np.ndarray, Subjects]:
    """Let the first subjects be people whom MIMIC-IV knows, from other admissions: rows in `subjects`, and all."""
    known = np.flatnonzero(cohort.subjects.has_ehr & ~np.isin(cohort.subjects.subject_id, twins))[:number]
    rows = np.arange(len(known))
    changed = {}
    for name in ("signature", "carried", "side", "female", "age"):
        values = getattr(subjects, name).copy()
        values[rows] = getattr(cohort.subjects, name)[known]
        changed[name] = values
    return rows, replace(subjects, **changed)


def _systems(own: Cohort, is_carevue: np.ndarray, returned: np.ndarray, *, seed: int) -> pl.DataFrame:
    """One row per stay: subject_id, hadm_id, stay_id, dbsource, switch."""
    subjects, admissions, stays = own.subjects, own.admissions, own.stays
    owner = admissions.subject[stays.admission]
    order = generator(seed, "mimic-iii systems").permutation(np.setdiff1d(np.flatnonzero(is_carevue), returned))
    number = np.bincount(owner, minlength=len(is_carevue))
    again = _some(order[number[order] > 1], IN_BOTH_SHARE * is_carevue.sum())
    crossing = _some(order[number[order] == 1], CROSSING_SHARE * is_carevue.sum())
    last = np.append(owner[1:] != owner[:-1], True)
    dbsource = np.where(is_carevue[owner], CAREVUE, METAVISION).astype(object)
    dbsource[np.isin(owner, again) & last] = METAVISION
    dbsource[np.isin(owner, crossing)] = BOTH
    middle = stays.intime + (stays.outtime - stays.intime) // 2
    switch = np.where(dbsource == CAREVUE, stays.outtime + np.timedelta64(9999, "D"), stays.intime)
    switch = np.where(dbsource == BOTH, middle, switch)
    return pl.DataFrame(
        {
            "subject_id": subjects.subject_id[owner],
            "hadm_id": admissions.hadm_id[stays.admission],
            "stay_id": stays.stay_id,
            "dbsource": dbsource.tolist(),
            "switch": switch.astype("datetime64[ms]"),
        }
    )


def _some(rows: np.ndarray, share: float) -> np.ndarray:
    """The first of these rows, as many as the share says and at least one."""
    return rows[: max(round(share), 1)]


def _renamed(
    stays: pl.DataFrame, *, twins: set[int], returned: set[int], seed: int
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Give everybody MIMIC-III's ids and a shift of dates of their own."""
    rendered = stays["subject_id"].unique(maintain_order=True)
    subject_id = unique_ids(seed, "mimic-iii subject_id", len(rendered), first=3, last=99_999)
    days = generator(seed, "mimic-iii shift").integers(-500, 500, len(rendered)) * 7
    days = np.where(days == 0, 364, days)
    systems = stays.group_by("subject_id").agg(pl.col("dbsource").unique().sort())
    one = pl.col("dbsource").list
    system = pl.when(one.len() == 1).then(one.first()).otherwise(pl.lit(BOTH))
    kind = ["twin" if id_ in twins else "returned" if id_ in returned else "new" for id_ in rendered]
    subjects = (
        pl.DataFrame({"subject": rendered, "subject_id": subject_id, "shift": days, "kind": kind})
        .join(systems, left_on="subject", right_on="subject_id", how="left", maintain_order="left")
        .with_columns(pl.duration(days="shift").cast(pl.Duration("ms")).alias("shift"), system=system)
        .drop("dbsource")
        .with_columns(is_clean=(pl.col("system") == CAREVUE) & (pl.col("kind") == "new"))
    )
    hadm = stays["hadm_id"].unique(maintain_order=True)
    hadm_id = unique_ids(seed, "mimic-iii hadm_id", len(hadm), first=100_000, last=199_999)
    icustay_id = unique_ids(seed, "mimic-iii icustay_id", len(stays), first=200_000, last=299_999)
    icu = stays.select(pl.col("stay_id").alias("stay"), pl.Series("icustay_id", icustay_id), "dbsource", "switch")
    return subjects, pl.DataFrame({"hadm": hadm, "hadm_id": hadm_id}), icu
