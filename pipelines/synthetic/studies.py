"""X-ray studies: when they are taken and what is to be seen. The latent that image and report share.

Not here: how a finding is drawn (`radiograph`) or worded (`report_text`).
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from pipelines.synthetic.conditions import CONDITIONS, SIGNATURE
from pipelines.synthetic.latent import DAY, Admissions, Subjects, severity_at
from pipelines.synthetic.randomness import generator, unique_ids
from pipelines.synthetic.settings import SyntheticSettings

# The first six are graded around an average patient (about -2..2), the next seven are 0..1 with 0 = absent, `rotation`
# is -1..1, and the devices are 0 = absent or their depth (0.4..1), `line` and `chest_tube` with the sign of their side
# (+ is right).
FINDINGS = (
    "heart_size",
    "lung_volume",
    "aorta",
    "spine_curve",
    "soft_tissue",
    "right_diaphragm",
    "edema",
    "right_base",
    "left_base",
    "right_effusion",
    "left_effusion",
    "right_upper",
    "left_upper",
    "rotation",
    "tube",
    "line",
    "feeding_tube",
    "pacemaker",
    "wires",
    "chest_tube",
    "fusion",
    "leads",
)
WINDOW_DAYS = 30.0
# Where a linked subject's studies fall, in turn: mostly in the stay, some near it, some outside any window.
PLACES = ("inside", "before", "far", "inside", "after", "inside", "far", "inside")


@dataclass(frozen=True)
class Studies:
    """X-ray studies and their images.

    Attributes:
        study_id: int64 (k,).
        subject: int64 (k,), row of `Subjects`.
        time: datetime64[ms] (k,).
        findings: float64 (k, 22), columns as `FINDINGS`.
        dicom_id: list of m strings, one per image.
        study: int64 (m,), row of the image's study, ascending.
        view: list of m strings: "AP", "PA" or "LATERAL".
    """

    study_id: np.ndarray
    subject: np.ndarray
    time: np.ndarray
    findings: np.ndarray
    dicom_id: list[str]
    study: np.ndarray
    view: list[str]


def draw_studies(
    subjects: Subjects, admissions: Admissions, *, settings: SyntheticSettings, taken: set[int] | None = None
) -> Studies:
    """Draw every X-ray subject's studies, placed around the admissions, with findings from the severities then.

    Args:
        subjects: everybody; those with `has_cxr` get studies.
        admissions: theirs, ascending by subject.
        settings: numbers of studies and images, seed.
        taken: study ids not to use.
    """
    owner: list[int] = []
    times: list[np.datetime64] = []
    for row in np.flatnonzero(subjects.has_cxr).tolist():
        random = generator(settings.seed, "study times", int(subjects.subject_id[row]))
        linked = bool(subjects.has_ehr[row])
        mean = settings.studies_per_linked_subject if linked else settings.studies_per_cxr_only_subject
        own = np.flatnonzero(admissions.subject == row)
        turn = int(random.integers(len(PLACES)))
        for number in range(max(1 + random.poisson(mean - 1), int(0.6 * mean))):
            owner.append(row)
            times.append(_study_time(random, admissions, own, PLACES[(turn + number) % len(PLACES)]))
    order = np.lexsort((np.array(times, dtype="datetime64[ms]"), np.array(owner, dtype=np.int64)))
    subject, time = np.array(owner, dtype=np.int64)[order], np.array(times, dtype="datetime64[ms]")[order]
    study_id = unique_ids(settings.seed, "study_id", len(order), first=50_000_000, last=59_999_999, taken=taken)
    findings = draw_findings(subjects, admissions, subject=subject, time=time, seed=settings.seed)
    study, view, dicom_id = _images(study_id, settings)
    return Studies(study_id, subject, time, findings, dicom_id, study, view)


def draw_findings(
    subjects: Subjects, admissions: Admissions, *, subject: np.ndarray, time: np.ndarray, seed: int
) -> np.ndarray:
    """Draw what each study shows: signature and severities, plus what differs from film to film.

    Returns:
        float64 (k, 22), columns as `FINDINGS`.
    """
    severity = severity_at(subjects, admissions, subject=subject, time=time.astype("datetime64[s]"))
    of = {name: severity[:, at] for at, name in enumerate(CONDITIONS)}
    own = {name: subjects.signature[subject, at] for at, name in enumerate(SIGNATURE)}
    random = generator(seed, "findings")
    number = len(subject)
    right = (subjects.side[subject] > 0).astype(float)
    left = 1 - right
    wobble = {name: 0.45 * random.standard_normal(number) for name in SIGNATURE}

    def extent(driven: np.ndarray) -> np.ndarray:
        incidental = np.where(random.random(number) < 0.22, random.uniform(0.25, 0.9, number), 0.0)
        grown = np.maximum(driven + 0.12 * random.standard_normal(number), incidental)
        return np.where(grown < 0.15, 0.0, np.minimum(grown, 1.0))

    def device(chance: np.ndarray) -> np.ndarray:
        return np.where(random.random(number) < chance, random.uniform(0.4, 1.0, number), 0.0)

    ill = np.maximum.reduce([of["sepsis"], of["stroke"], 0.8 * of["pneumonia"]])
    tube = device(np.clip(0.10 + 0.6 * ill, 0, 1))
    columns = {
        "heart_size": 0.8 * own["heart_width"] + 1.1 * of["heart_failure"] - 0.2 + wobble["heart_width"],
        "lung_volume": 0.8 * own["lung_volume"] + 1.1 * of["copd"] - 0.15 + wobble["lung_volume"],
        "aorta": 0.85 * own["aorta"] + wobble["aorta"],
        "spine_curve": 0.85 * own["spine_curve"] + wobble["spine_curve"],
        "soft_tissue": 0.85 * own["soft_tissue"] + wobble["soft_tissue"],
        "right_diaphragm": 0.8 * own["right_diaphragm"] + 0.7 * of["cirrhosis"] + wobble["right_diaphragm"],
        "edema": extent(1.0 * of["heart_failure"] + 0.25 * of["kidney_disease"]),
        "right_base": extent(right * of["pneumonia"]),
        "left_base": extent(np.maximum(left * of["pneumonia"], 0.8 * of["heart_surgery"])),
        "right_effusion": extent(np.maximum(0.7 * of["cirrhosis"], right * 0.7 * of["malignancy"])),
        "left_effusion": extent(np.maximum(0.5 * of["heart_surgery"], left * 0.7 * of["malignancy"])),
        "right_upper": extent(right * of["malignancy"]),
        "left_upper": extent(left * of["malignancy"]),
        "rotation": np.clip(0.5 * random.standard_normal(number), -1, 1),
        "tube": tube,
        "line": device(np.clip(0.22 + 0.5 * ill, 0, 1)) * np.where(random.random(number) < 0.65, 1, -1),
        "feeding_tube": device(np.where(tube > 0, 0.7, 0.1)),
        "pacemaker": (subjects.carried[subject, 0] > 0.6).astype(float),
        "wires": (subjects.carried[subject, CONDITIONS.index("heart_surgery")] > 0).astype(float),
        "chest_tube": device(0.12 + 0.4 * of["malignancy"]) * np.where(random.random(number) < 0.5, 1, -1),
        "fusion": (np.abs(own["spine_curve"]) > 1.1).astype(float),
        "leads": (random.random(number) < np.clip(0.2 + 0.6 * ill, 0, 1)).astype(float),
    }
    return np.stack([columns[name] for name in FINDINGS], axis=1)


def _study_time(random: np.random.Generator, admissions: Admissions, own: np.ndarray, place: str) -> np.datetime64:
    at = own[int(random.integers(len(own)))]
    admit, discharge = admissions.admit[at], admissions.discharge[at]
    if place == "after" and admissions.died[at]:
        place = "inside"
    if place == "far":  # beyond every admission, by more than the window
        gap = random.uniform(WINDOW_DAYS + 3, 300) * DAY.astype(int)
        time = admissions.admit[own].min() - np.timedelta64(int(gap), "s")
    elif place == "before":
        time = admit - np.timedelta64(int(random.uniform(0.05, 28) * DAY.astype(int)), "s")
    elif place == "after":
        time = discharge + np.timedelta64(int(random.uniform(0.05, 28) * DAY.astype(int)), "s")
    else:
        time = admit + (discharge - admit) * random.uniform(0.01, 0.97)
    return time.astype("datetime64[ms]") + np.timedelta64(int(random.integers(0, 1000)), "ms")


def _images(study_id: np.ndarray, settings: SyntheticSettings) -> tuple[np.ndarray, list[str], list[str]]:
    study: list[int] = []
    view: list[str] = []
    dicom_id: list[str] = []
    for row, name in enumerate(study_id.tolist()):
        random = generator(settings.seed, "images", name)
        number = 1 + int(random.choice(len(settings.images_per_study), p=settings.images_per_study))
        frontal = "PA" if random.random() < 0.4 else "AP"
        for position in range(number):
            lateral = position > 0 and random.random() < settings.lateral_share
            study.append(row)
            view.append("LATERAL" if lateral else frontal)
            digest = hashlib.sha1(f"{settings.seed}:{name}:{position}".encode(), usedforsecurity=False).hexdigest()
            dicom_id.append("-".join(digest[start : start + 8] for start in range(0, 40, 8)))
    return np.array(study, dtype=np.int64), view, dicom_id
