"""The patients behind every file: signature, conditions, admissions, and how severe a condition is at any time.

Not here: what becomes of it on a film (`studies`), in the ICU (`stays`) and in each format.
"""

from dataclasses import dataclass

import numpy as np

from pipelines.synthetic.conditions import CHRONIC_SHARE, CONDITIONS, PREVALENCE, SIGNATURE
from pipelines.synthetic.randomness import generator, unique_ids
from pipelines.synthetic.settings import SyntheticSettings

DAY = np.timedelta64(86_400, "s")
CHRONIC = np.array(CHRONIC_SHARE)


@dataclass(frozen=True)
class Subjects:
    """Everybody, one row each; rows are addressed by position.

    Attributes:
        subject_id: int64 (n,).
        signature: float64 (n, 6), about standard normal, columns as `SIGNATURE`.
        carried: float64 (n, 10), highest severity a condition reaches, columns as `CONDITIONS`; 0 = not carried.
        side: int8 (n,), the side one-sided findings favour; +1 right, -1 left.
        female: bool (n,).
        age: int64 (n,), in the anchor year.
        anchor_year: int64 (n,).
        has_ehr: bool (n,).
        has_cxr: bool (n,).
    """

    subject_id: np.ndarray
    signature: np.ndarray
    carried: np.ndarray
    side: np.ndarray
    female: np.ndarray
    age: np.ndarray
    anchor_year: np.ndarray
    has_ehr: np.ndarray
    has_cxr: np.ndarray


@dataclass(frozen=True)
class Admissions:
    """Hospital admissions by subject and time; those of subjects without EHR are never written.

    Attributes:
        hadm_id: int64 (m,).
        subject: int64 (m,), row of `Subjects`, ascending.
        admit: datetime64[s] (m,).
        discharge: datetime64[s] (m,).
        acute: float64 (m, 10), how far the admission lifts each carried condition above its chronic share, 0..1.
        died: bool (m,), in hospital; no study comes after it.
    """

    hadm_id: np.ndarray
    subject: np.ndarray
    admit: np.ndarray
    discharge: np.ndarray
    acute: np.ndarray
    died: np.ndarray


def draw_subjects(settings: SyntheticSettings) -> Subjects:
    """Draw everybody: linked subjects first, then EHR only, then X-ray only."""
    number = settings.num_ehr_subjects + settings.num_cxr_only_subjects
    position = np.arange(number)
    return draw_people(
        unique_ids(settings.seed, "subject_id", number, first=10_000_000, last=19_999_999),
        has_ehr=position < settings.num_ehr_subjects,
        has_cxr=(position < settings.num_linked_subjects) | (position >= settings.num_ehr_subjects),
        seed=settings.seed,
    )


def draw_people(subject_id: np.ndarray, *, has_ehr: np.ndarray, has_cxr: np.ndarray, seed: int) -> Subjects:
    """Draw the subjects with these ids; who they are depends on (seed, id) alone.

    Args:
        subject_id: int64 (n,).
        has_ehr: bool (n,).
        has_cxr: bool (n,).
        seed: the settings' seed.
    """
    rows = [draw_subject(seed, subject) for subject in subject_id.tolist()]
    signature = np.array([row[0] for row in rows]).reshape(-1, len(SIGNATURE))
    return Subjects(
        subject_id=subject_id,
        signature=signature,
        carried=np.array([row[1] for row in rows]).reshape(-1, len(CONDITIONS)),
        side=np.array([row[2] for row in rows], dtype=np.int8),
        female=np.array([row[3] for row in rows], dtype=bool),
        age=age_of(signature[:, SIGNATURE.index("aorta")]),
        anchor_year=np.array([generator(seed, "anchor year", id_).integers(2110, 2188) for id_ in subject_id.tolist()]),
        has_ehr=has_ehr,
        has_cxr=has_cxr,
    )


def draw_subject(seed: int, subject_id: int) -> tuple[np.ndarray, np.ndarray, int, bool]:
    """Draw one subject's signature (6,), carried severities (10,), side and whether female."""
    random = generator(seed, "subject", subject_id)
    signature = np.clip(random.standard_normal(len(SIGNATURE)), -2, 2)
    carries = random.random(len(CONDITIONS)) < np.array(PREVALENCE)
    if not carries.any():
        carries[random.integers(len(CONDITIONS))] = True
    carried = np.where(carries, random.uniform(0.4, 1.0, len(CONDITIONS)), 0.0)
    return signature, carried, int(random.choice((-1, 1))), bool(random.random() < 0.47)


def age_of(aorta: np.ndarray) -> np.ndarray:
    """Age in years (18..91) of subjects with this aorta: it unfolds with age, so each tells of the other."""
    return np.clip(np.rint(60 + 14 * aorta), 18, 91).astype(np.int64)


def draw_admissions(subjects: Subjects, *, seed: int) -> Admissions:
    """Draw each subject's admissions, from the anchor year on, some within 30 days of the last discharge."""
    found: list[tuple[int, np.datetime64, np.datetime64, np.ndarray, bool]] = []
    for row, subject_id in enumerate(subjects.subject_id.tolist()):
        random = generator(seed, "admissions", subject_id)
        start = np.datetime64(f"{subjects.anchor_year[row]}-01-01", "s") + _days(random.uniform(0, 364))
        for _ in range(min(1 + random.poisson(0.9), 5)):
            acute = draw_acute(random, subjects.carried[row])
            severity = subjects.carried[row] * (CHRONIC + (1 - CHRONIC) * acute)
            stay = _days(2.5 + random.gamma(2.0, 2.0) * (0.6 + severity.sum() / 3))
            died = bool(random.random() < 0.04 + 0.20 * severity[CONDITIONS.index("sepsis")])
            found.append((row, start, start + stay, acute, died))
            if died:
                break
            gap = random.uniform(3, 27) if random.random() < 0.35 else random.uniform(45, 500)
            start = start + stay + _days(gap)
    return Admissions(
        hadm_id=unique_ids(seed, "hadm_id", len(found), first=20_000_000, last=29_999_999),
        subject=np.array([item[0] for item in found], dtype=np.int64),
        admit=np.array([item[1] for item in found]),
        discharge=np.array([item[2] for item in found]),
        acute=np.array([item[3] for item in found]),
        died=np.array([item[4] for item in found]),
    )


def severity_at(subjects: Subjects, admissions: Admissions, *, subject: np.ndarray, time: np.ndarray) -> np.ndarray:
    """How severe each condition is at these times.

    An admission lifts what is acute in it: the rise begins days before, is highest at admission and falls after, but
    for those who die of it.

    Args:
        subjects: everybody.
        admissions: theirs.
        subject: int64 (k,), rows of `Subjects`.
        time: datetime64[s] (k,).

    Returns:
        float64 (k, 10), 0..1.
    """
    first = np.searchsorted(admissions.subject, subject, "left")
    last = np.searchsorted(admissions.subject, subject, "right")
    lift = np.zeros((len(subject), len(CONDITIONS)))
    for offset in range(int((last - first).max(initial=0))):
        at = np.minimum(first + offset, len(admissions.hadm_id) - 1)
        course = _course(time, admissions.admit[at], admissions.discharge[at], died=admissions.died[at])
        height = course[:, None] * admissions.acute[at]
        lift = np.where((first + offset < last)[:, None], np.maximum(lift, height), lift)
    return subjects.carried[subject] * (CHRONIC + (1 - CHRONIC) * lift)


def _course(time: np.ndarray, admit: np.ndarray, discharge: np.ndarray, *, died: np.ndarray) -> np.ndarray:
    before = (admit - time) / DAY
    inside = (time - admit) / (discharge - admit)
    after = (time - discharge) / DAY
    falling = np.where(after > 0, 0.5 * np.exp(-np.maximum(after, 0) / 14), 1 - 0.5 * np.clip(inside, 0, 1) * ~died)
    return np.where(before > 0, np.exp(-np.maximum(before, 0) / 5), falling)


def draw_acute(random: np.random.Generator, carried: np.ndarray) -> np.ndarray:
    """Draw how far one admission lifts each carried condition (10,): at least one of them rises."""
    acute = np.where(random.random(len(carried)) < 0.65, random.uniform(0.4, 1.0, len(carried)), 0.0)
    places = np.flatnonzero(carried)
    if len(places) and not (acute[places] > 0).any():
        acute[random.choice(places)] = random.uniform(0.6, 1.0)
    return np.where(carried > 0, acute, 0.0)


def _days(days: float) -> np.timedelta64:
    return np.timedelta64(int(days * 86_400), "s")
