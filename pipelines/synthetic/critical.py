"""Patients ill enough to be predicted: long stays in which ventilation, pressors, failing kidneys and death come late.

Severity decides both what is charted in the first two days and what happens after them, and chance has its say, so that
the outcomes can be learned but no single reading gives them away. These patients fill the evaluation cohorts: MIMIC-III
and the held-out part of MIMIC-IV. Not here: what any database writes of them.
"""

from dataclasses import replace

import numpy as np

from lake.ids import id_share
from pipelines.synthetic.cohort import Cohort, chosen_ids
from pipelines.synthetic.conditions import CHRONIC_SHARE, CONDITIONS
from pipelines.synthetic.latent import (
    Admissions,
    Subjects,
    draw_acute,
    draw_admissions,
    draw_people,
    draw_subjects,
    severity_at,
)
from pipelines.synthetic.randomness import generator, unique_ids
from pipelines.synthetic.settings import SyntheticSettings
from pipelines.synthetic.stays import HOUR, ONSETS, UNITS, Stays, draw_stays, plant_onsets

CHRONIC = np.array(CHRONIC_SHARE)
# What critically ill patients carry more often than others, and how often.
ADDED = {"sepsis": 0.45, "pneumonia": 0.30, "heart_failure": 0.25, "kidney_disease": 0.2}
DOPAMINE = 221662
PRESSORS = (*ONSETS["pressor"], DOPAMINE)
MOST_ADMISSIONS = 4
EARLY_SHARE = 0.3
SHORT_SHARE = 0.15
SECOND_STAY_SHARE = 0.1


def draw_cohort(settings: SyntheticSettings) -> Cohort:
    """Draw everybody of MIMIC-IV and MIMIC-CXR who is not critically ill on purpose."""
    subjects = draw_subjects(settings)
    admissions = draw_admissions(subjects, seed=settings.seed)
    return Cohort(subjects, admissions, draw_stays(subjects, admissions, seed=settings.seed))


def draw_holdout(settings: SyntheticSettings, *, taken: set[int]) -> Cohort:
    """Draw the critically ill MIMIC-IV subjects, each of whom the hold-out's hash chooses.

    Args:
        settings: how many, and the share and seed of the hold-out.
        taken: ids in use.
    """
    subject_id = chosen_ids(
        settings.seed, "holdout subject", settings.num_holdout_subjects, first=10_000_000, last=19_999_999, taken=taken,
        fits=lambda id_: id_share(settings.holdout_seed, id_) < settings.holdout_share,
    )  # fmt: skip
    subjects = critical_subjects(subject_id, seed=settings.seed)
    return draw_course(subjects, seed=settings.seed, name="holdout", taken=taken)


def critical_subjects(subject_id: np.ndarray, *, seed: int) -> Subjects:
    """Draw the critically ill subjects with these ids (n,): people with more to die of."""
    everybody = np.ones(len(subject_id), dtype=bool)
    subjects = draw_people(subject_id, has_ehr=everybody, has_cxr=~everybody, seed=seed)
    carried = np.array(
        [_carried(seed, id_, own) for id_, own in zip(subject_id.tolist(), subjects.carried, strict=True)]
    )
    return replace(subjects, carried=carried)


def draw_course(subjects: Subjects, *, seed: int, name: str, taken: set[int]) -> Cohort:
    """Draw what becomes of critically ill subjects: admissions and stays.

    Args:
        subjects: at least one.
        seed: the settings' seed.
        name: of the group, for the ids of admissions and stays.
        taken: ids in use.
    """
    admissions, times = _draw_admissions(subjects, seed=seed, name=name, taken=taken)
    return Cohort(subjects, admissions, _draw_stays(subjects, admissions, times, seed=seed, name=name, taken=taken))


def _carried(seed: int, subject_id: int, own: np.ndarray) -> np.ndarray:
    random = generator(seed, "critical", subject_id)
    added = np.array([random.random() < ADDED.get(name, 0) for name in CONDITIONS])
    return np.where(added, np.maximum(own, random.uniform(0.4, 1.0, len(CONDITIONS))), own)


def _draw_admissions(
    subjects: Subjects, *, seed: int, name: str, taken: set[int]
) -> tuple[Admissions, list[list[tuple[np.datetime64, np.datetime64]]]]:
    """Admissions, each with one or two ICU stays; the times of each admission's stays beside."""
    found: list[tuple[int, np.datetime64, np.datetime64, np.ndarray, bool]] = []
    times: list[list[tuple[np.datetime64, np.datetime64]]] = []
    for row, subject_id in enumerate(subjects.subject_id.tolist()):
        random = generator(seed, "critical admissions", subject_id)
        start = np.datetime64(f"{subjects.anchor_year[row]}-01-01", "s") + _hours(random.uniform(0, 364 * 24))
        for _ in range(MOST_ADMISSIONS):
            acute = draw_acute(random, subjects.carried[row])
            severity = subjects.carried[row] * (CHRONIC + (1 - CHRONIC) * acute)
            stays = _stay_times(random, start, severity)
            died = bool(random.random() < _death(severity, int(subjects.age[row])))
            if died:  # within four days, most of them
                begun, ended = stays[-1]
                stays[-1] = (begun, min(ended, begun + _hours(random.uniform(50, 98))))
            left = stays[-1][1] + _hours(random.uniform(0.5, 3) if died else random.uniform(20, 200))
            found.append((row, start, left, acute, died))
            times.append(stays)
            soon = random.random() < _return(severity)
            if died or not (soon or random.random() < 0.25):
                break
            start = left + _hours(24 * (random.uniform(2, 27) if soon else random.uniform(45, 500)))
    return Admissions(
        hadm_id=unique_ids(seed, f"{name} hadm_id", len(found), first=20_000_000, last=29_999_999, taken=taken),
        subject=np.array([item[0] for item in found], dtype=np.int64),
        admit=np.array([item[1] for item in found]),
        discharge=np.array([item[2] for item in found]),
        acute=np.array([item[3] for item in found]),
        died=np.array([item[4] for item in found]),
    ), times


def _stay_times(
    random: np.random.Generator, admit: np.datetime64, severity: np.ndarray
) -> list[tuple[np.datetime64, np.datetime64]]:
    times = []
    start = admit + _hours(random.uniform(0.3, 12))
    for _ in range(1 + int(random.random() < SECOND_STAY_SHARE)):
        short = random.random() < SHORT_SHARE
        hours = random.uniform(10, 46) if short else 52 + random.gamma(2.0, 22.0) * (0.5 + severity.sum() / 4)
        times.append((start, start + _hours(min(hours, 240))))
        start = times[-1][1] + _hours(random.uniform(12, 60))
    return times


def _death(severity: np.ndarray, age: int) -> float:
    of = dict(zip(CONDITIONS, severity.tolist(), strict=True))
    burden = 0.45 * of["sepsis"] + 0.25 * of["kidney_disease"] + 0.25 * of["cirrhosis"] + 0.15 * of["malignancy"]
    return float(np.clip(0.01 + 1.7 * burden**1.8 + 0.004 * max(age - 60, 0), 0, 0.9))


def _return(severity: np.ndarray) -> float:
    of = dict(zip(CONDITIONS, severity.tolist(), strict=True))
    return float(np.clip(0.10 + 0.55 * max(of["heart_failure"], of["copd"], of["kidney_disease"]), 0, 0.7))


def _draw_stays(
    subjects: Subjects,
    admissions: Admissions,
    times: list[list[tuple[np.datetime64, np.datetime64]]],
    *,
    seed: int,
    name: str,
    taken: set[int],
) -> Stays:
    admission = np.array([row for row, stays in enumerate(times) for _ in stays], dtype=np.int64)
    intime = np.array([start for stays in times for start, _ in stays], dtype="datetime64[s]")
    outtime = np.array([end for stays in times for _, end in stays], dtype="datetime64[s]")
    severity = severity_at(subjects, admissions, subject=admissions.subject[admission], time=intime)
    random = generator(seed, name, "onsets")
    onset = _draw_onsets(random, severity, (outtime - intime) / HOUR)
    quirks = plant_onsets(onset, (outtime - intime).astype(int))
    return Stays(
        stay_id=unique_ids(seed, f"{name} stay_id", len(admission), first=30_000_000, last=39_999_999, taken=taken),
        admission=admission,
        intime=intime,
        outtime=outtime,
        unit=[UNITS[at] for at in random.integers(0, len(UNITS), len(admission))],
        onset=onset,
        onset_item=random.choice(np.array(PRESSORS), p=(0.5, 0.22, 0.1, 0.06, 0.12), size=len(admission)),
        injury=_draw_injuries(generator(seed, name, "injuries"), severity, (outtime - intime) / HOUR),
        silent=np.zeros(len(admission), dtype=bool),
        quirks=quirks,
    )


def _draw_onsets(random: np.random.Generator, severity: np.ndarray, hours: np.ndarray) -> dict[str, np.ndarray]:
    of = {name: severity[:, at] for at, name in enumerate(CONDITIONS)}
    breathing = np.maximum.reduce([of["pneumonia"], of["heart_failure"], of["copd"], of["stroke"]])
    number = len(hours)

    def begins(chance: np.ndarray) -> np.ndarray:
        """Seconds after intime; some begin before the stay does."""
        early = random.random(number) < EARLY_SHARE
        when = np.where(early, random.uniform(-3, 20, number), random.uniform(48.5, 110, number))
        last = np.maximum(hours - 3, 0)  # what the stay is too short for comes sooner, if it comes late at all
        when = np.where(early | (when < last), when, random.uniform(48.2, np.maximum(last, 48.3)))
        return np.where((random.random(number) < chance) & (when < last), np.floor(3600 * when), np.nan)

    ventilated = begins(np.clip(0.02 + 1.1 * breathing**2.2, 0, 0.9))
    invasive = random.random(number) < 0.75
    peep = ventilated + random.integers(60, 3600, number)
    pressor = begins(np.clip(0.04 + 1.8 * of["sepsis"] ** 1.6, 0, 0.95))
    return {
        "invasive": np.where(invasive, ventilated, np.nan),
        "peep": np.where(invasive, peep, np.nan),
        "noninvasive": np.where(invasive, np.nan, ventilated),
        "pressor": pressor,
    }


def _draw_injuries(random: np.random.Generator, severity: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """Draw when the kidneys fail: after 48 h, and long enough before the stay ends to be measured."""
    sepsis, kidneys = (severity[:, CONDITIONS.index(name)] for name in ("sepsis", "kidney_disease"))
    chance = np.clip(0.05 + 1.1 * np.maximum(sepsis, 0.5 * kidneys) ** 1.3, 0, 0.9)
    last = hours - 18
    when = random.uniform(48.5, np.maximum(last, 48.6))
    return np.where((random.random(len(hours)) < chance) & (when < last), np.floor(3600 * when), np.nan)


def _hours(hours: float) -> np.timedelta64:
    return np.timedelta64(int(hours * 3600), "s")
