"""A planted world: latent patients over time, and noisy views of them as the records of two sources.

A patient has one archetype of ten, which makes some of 40 conditions likely; each condition has an onset, a severity
and for some an end. A patient also has a signature, 8 numbers that never change and that every source renders in its
own way; a study and an admission have numbers of their own, and so has an image. Fifteen conditions are invisible on
X-ray.
Histories are the codes of all admissions begun by a record's time, of which most left no record.

    EHR    codes, drugs, demographics, a short note, readings of one or two stays
    X-ray  an image (a pattern for each latent, added up) and the tokens of a report that all images of a study share

What lives here: numbers alone. What does not: files (`medcsp_model.evaluation.planted.folder`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NUM_CONDITIONS, NUM_INVISIBLE, NUM_ARCHETYPES, NUM_SIGNATURE = 40, 15, 10, 8
NUM_STUDY, NUM_VIEW, NUM_COURSE = 2, 4, 3
PIXEL_NOISE, GRADE_NOISE = 1.0, 0.5
CODES_PER_CONDITION, NUM_OTHER_CODES, NUM_DRUGS = 2, 60, 60
NUM_DEMOGRAPHICS, NUM_FEATURES, NUM_BINS, MAX_STAYS = 8, 12, 6, 2
GRADES, IMAGE_SIZE, THETA_DAYS = 5, 32, 30.0
NUM_CODES = CODES_PER_CONDITION * NUM_CONDITIONS + NUM_OTHER_CODES
PAD, CLS, SEP, FIRST_WORD = 0, 1, 2, 3
SIGNATURE_WORDS = FIRST_WORD + 2 * NUM_CONDITIONS
STUDY_WORDS = SIGNATURE_WORDS + NUM_SIGNATURE * GRADES
COURSE_WORDS = STUDY_WORDS + NUM_STUDY * GRADES
OTHER_WORDS = COURSE_WORDS + NUM_COURSE * GRADES
NUM_WORDS = OTHER_WORDS + 60


@dataclass(frozen=True, kw_only=True)
class WorldSettings:
    """Sizes; counts of records follow the paper's for 32,355 patients.

    Attributes:
        num_patients: patients with EHR records to train on.
        num_unseen: patients with both sources that no training sees.
        records_per_patient: EHR records of a patient, mean (41,230 of 32,355).
        cxr_share: share of the patients that have X-rays (14,620 of 32,355).
        images_per_patient: images of one that has any, mean (156,837 of 14,620).
        images_per_study: mean.
        linked_share: share of the studies inside a window of 30 days around an admission.
    """

    num_patients: int = 14_000
    num_unseen: int = 400
    records_per_patient: float = 41_230 / 32_355
    cxr_share: float = 14_620 / 32_355
    images_per_patient: float = 156_837 / 14_620
    images_per_study: float = 1.66
    linked_share: float = 0.6


@dataclass(frozen=True)
class Patients:
    """Latent patients, one row each.

    Attributes:
        unseen: bool (p,), kept out of training.
        signature: (p, 8), unit normal.
        onset, end: (p, 40) days; a condition that a patient never has begins at infinity.
        severity: (p, 40) in [0.5, 1.5].
    """

    unseen: NDArray[np.bool_]
    signature: Floats
    onset: Floats
    end: Floats
    severity: Floats

    def conditions(self, patient: Ints, time: Floats) -> Floats:
        """Severity of each condition of some patients at some times, 0 where it is not active, (n, 40)."""
        active = (self.onset[patient] <= time[:, None]) & (time[:, None] < self.end[patient])
        return active * self.severity[patient]


@dataclass(frozen=True)
class Records:
    """Records of one source in the order of (patient, time).

    Attributes:
        patient: row in `Patients`.
        study: number of the study or admission.
        time: days.
        conditions: the truth, (n, 40).
        history: bool (n, codes), codes of the admissions begun by then.
    """

    patient: Ints
    study: Ints
    time: Floats
    conditions: Floats
    history: NDArray[np.bool_]


@dataclass(frozen=True)
class Readings:
    """Cells of hourly readings of stays; boundaries as in `medcsp_model.corpus`."""

    stay_indptr: Ints
    cell_indptr: Ints
    bin: Ints
    feature: Ints
    value: Floats


@dataclass(frozen=True)
class World:
    """Everything that is known: patients, records with their truth, and what can be seen of them.

    Attributes:
        ehr, cxr: records.
        codes, drugs: bool (EHR records, size).
        demographics: (EHR records, 8).
        notes, reports: one list of tokens per EHR record and per study (rows of `report_of_image`).
        readings: of the EHR records.
        report_of_image: report of each X-ray record.
        pixels: uint8 (X-ray records, 32, 32).
        links: EHR record and X-ray record of one patient at most 30 days apart, and the days between.
    """

    settings: WorldSettings
    patients: Patients
    ehr: Records
    cxr: Records
    codes: NDArray[np.bool_]
    drugs: NDArray[np.bool_]
    demographics: Floats
    notes: tuple[Ints, Ints]
    reports: tuple[Ints, Ints]
    readings: Readings
    report_of_image: Ints
    pixels: NDArray[np.uint8]
    links: tuple[Ints, Ints, Floats]


def make_world(settings: WorldSettings, *, seed: int) -> World:
    """A world; the same settings and seed give the same numbers.

    How latents look (patterns, weights, synonyms) is drawn from a seed of its own, so that worlds of several seeds show
    other patients in the same way.
    """
    looks, rng = _looks(), np.random.default_rng([seed, 4])
    patients = _draw_patients(settings, looks, rng)
    admission_patient, admission_time, is_record = _draw_admissions(settings, patients, rng)
    seen = patients.conditions(admission_patient, admission_time)
    codes = _draw_codes(seen, rng)
    ehr_patient, ehr_time = admission_patient[is_record], admission_time[is_record]
    study_patient, study_time, image_study = _draw_studies(settings, patients, ehr_patient, ehr_time, rng)
    images = (study_patient[image_study], study_time[image_study])
    history = _histories(admission_patient, admission_time, codes, [(ehr_patient, ehr_time), images])
    ehr = Records(ehr_patient, np.flatnonzero(is_record), ehr_time, seen[is_record], history[0])
    cxr = Records(images[0], image_study, images[1], patients.conditions(*images), history[1])
    course = rng.normal(size=(len(ehr_time), NUM_COURSE))
    study_conditions = patients.conditions(study_patient, study_time)
    study_numbers = rng.normal(size=(len(study_time), NUM_STUDY))
    return World(
        settings=settings,
        patients=patients,
        ehr=ehr,
        cxr=cxr,
        codes=codes[is_record],
        drugs=_draw_drugs(ehr.conditions, course, looks, rng),
        demographics=_draw_demographics(patients.signature[ehr_patient], looks, rng),
        notes=_write_notes(ehr.conditions, course, rng),
        reports=_write_reports(study_conditions, patients.signature[study_patient], study_numbers, looks, rng),
        readings=_draw_readings(ehr.conditions, patients.signature[ehr_patient], course, looks, rng),
        report_of_image=image_study,
        pixels=_draw_pixels(cxr, patients.signature[images[0]], study_numbers[image_study], looks, rng),
        links=find_links(ehr, cxr),
    )


def visible_conditions() -> Ints:
    """Numbers of the conditions that X-rays show, ascending."""
    return _looks().visible


def _looks() -> "_Looks":
    return _Looks(np.random.default_rng(20_080))


class _Looks:
    """How latents look, the same in every world."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.likely = np.full((NUM_ARCHETYPES, NUM_CONDITIONS), 0.03)
        for archetype in range(NUM_ARCHETYPES):
            self.likely[archetype, rng.choice(NUM_CONDITIONS, size=8, replace=False)] = 0.6
        self.visible = np.sort(rng.permutation(NUM_CONDITIONS)[NUM_INVISIBLE:])
        self.demographics = rng.normal(size=(NUM_SIGNATURE, NUM_DEMOGRAPHICS)) / np.sqrt(NUM_SIGNATURE)
        self.level = {
            "signature": rng.normal(size=(NUM_SIGNATURE, NUM_FEATURES)) / np.sqrt(NUM_SIGNATURE),
            "conditions": rng.normal(size=(NUM_CONDITIONS, NUM_FEATURES)) / 2,
            "course": rng.normal(size=(NUM_COURSE, NUM_FEATURES)) / np.sqrt(NUM_COURSE),
        }
        self.drug_of_condition = rng.integers(0, NUM_DRUGS, size=(NUM_CONDITIONS, 2))
        self.drug_of_course = rng.normal(size=(NUM_COURSE, NUM_DRUGS))
        self.patterns = _patterns(len(self.visible) + NUM_SIGNATURE + NUM_STUDY + NUM_VIEW, rng)


def _patterns(count: int, rng: np.random.Generator) -> Floats:
    """A soft spot for each latent, on a grid of places in random order, (count, pixels)."""
    side = int(np.ceil(np.sqrt(count)))
    places = rng.permutation(side * side)[:count]
    y, x = np.mgrid[0:IMAGE_SIZE, 0:IMAGE_SIZE]
    step = IMAGE_SIZE / side
    rows, columns = (places // side + 0.5) * step - 0.5, (places % side + 0.5) * step - 0.5
    distance = (y - rows[:, None, None]) ** 2 + (x - columns[:, None, None]) ** 2
    return np.exp(-distance / (2 * (0.45 * step) ** 2)).reshape(count, -1)


def _draw_patients(settings: WorldSettings, looks: _Looks, rng: np.random.Generator) -> Patients:
    count = settings.num_patients + settings.num_unseen
    archetype = rng.integers(0, NUM_ARCHETYPES, size=count)
    has = rng.random((count, NUM_CONDITIONS)) < looks.likely[archetype]
    onset = np.where(has, rng.uniform(-3000, 700, size=has.shape), np.inf)
    lasting = rng.random(has.shape) < 0.7
    end = np.where(lasting, np.inf, onset + rng.uniform(200, 1500, size=has.shape))
    return Patients(
        unseen=np.arange(count) >= settings.num_patients,
        signature=rng.normal(size=(count, NUM_SIGNATURE)),
        onset=onset,
        end=end,
        severity=rng.uniform(0.5, 1.5, size=has.shape),
    )


def _draw_admissions(
    settings: WorldSettings, patients: Patients, rng: np.random.Generator
) -> tuple[Ints, Floats, NDArray[np.bool_]]:
    """Patient, day and whether it left a record, of all admissions by (patient, time)."""
    count = len(patients.unseen)
    num_records = 1 + rng.poisson(settings.records_per_patient - 1, size=count)
    num_other = 1 + rng.poisson(1.5, size=count)
    record_patient, other_patient = np.repeat(np.arange(count), num_records), np.repeat(np.arange(count), num_other)
    turn = np.arange(len(record_patient)) - np.repeat(np.cumsum(num_records) - num_records, num_records)
    time = np.where(turn == 0, 0.0, turn * 400 + rng.uniform(-150, 150, size=len(turn)))
    patient = np.concatenate([record_patient, other_patient])
    time = np.concatenate([time, rng.uniform(-1500, 0, size=len(other_patient))])
    is_record = np.arange(len(patient)) < len(record_patient)
    order = np.lexsort((time, patient))
    return patient[order], time[order], is_record[order]


def _draw_codes(conditions: Floats, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Codes of admissions: each code of an active condition with one chance in two, others seldom."""
    chance = np.full((len(conditions), NUM_CODES), 0.02)
    chance[:, : CODES_PER_CONDITION * NUM_CONDITIONS] = np.repeat(
        np.where(conditions > 0, 0.5, 0.005), CODES_PER_CONDITION, axis=1
    )
    return rng.random(chance.shape) < chance


def _draw_studies(
    settings: WorldSettings, patients: Patients, ehr_patient: Ints, ehr_time: Floats, rng: np.random.Generator
) -> tuple[Ints, Floats, Ints]:
    """Patient and day of the studies by (patient, time), and the study of each image."""
    count = len(patients.unseen)
    has = patients.unseen | (rng.random(count) < settings.cxr_share)
    mean = settings.images_per_patient / settings.images_per_study
    skew = rng.lognormal(sigma=0.8, size=count) / np.exp(0.32)
    num_studies = np.where(has, 1 + rng.poisson((mean - 1) * skew), 0)
    patient = np.repeat(np.arange(count), num_studies)
    first = np.searchsorted(ehr_patient, patient)
    num_records = np.searchsorted(ehr_patient, patient, side="right") - first
    near = ehr_time[first + (rng.random(len(patient)) * num_records).astype(np.int64)]
    linked = rng.random(len(patient)) < settings.linked_share
    days = np.where(linked, rng.uniform(-25, 29, size=len(patient)), rng.uniform(-1500, -35, size=len(patient)))
    time = near + days
    order = np.lexsort((time, patient))
    num_images = 1 + rng.poisson(settings.images_per_study - 1, size=len(patient))
    return patient[order], time[order], np.repeat(np.arange(len(patient)), num_images)


def _histories(
    patient: Ints, time: Floats, codes: NDArray[np.bool_], records: Sequence[tuple[Ints, Floats]]
) -> list[NDArray[np.bool_]]:
    """Codes of each record's patient's admissions begun by the record's time."""
    first = np.searchsorted(patient, np.arange(patient.max() + 2))
    results = []
    for who, when in records:
        history = np.zeros((len(who), codes.shape[1]), dtype=bool)
        for turn in range(int(np.diff(first).max())):
            place = first[who] + turn
            rows = np.flatnonzero(place < first[who + 1])
            rows = rows[time[place[rows]] <= when[rows]]
            history[rows] |= codes[place[rows]]
        results.append(history)
    return results


def _draw_drugs(conditions: Floats, course: Floats, looks: _Looks, rng: np.random.Generator) -> NDArray[np.bool_]:
    given = rng.random((len(conditions), NUM_DRUGS)) < 0.02 + 0.2 * (course @ looks.drug_of_course > 2.5)
    for column in looks.drug_of_condition.T:
        treated = (conditions > 0) & (rng.random(conditions.shape) < 0.5)
        rows, which = np.nonzero(treated)
        given[rows, column[which]] = True
    return given


def _draw_demographics(signature: Floats, looks: _Looks, rng: np.random.Generator) -> Floats:
    return signature @ looks.demographics + 0.25 * rng.normal(size=(len(signature), NUM_DEMOGRAPHICS))


def _draw_readings(
    conditions: Floats, signature: Floats, course: Floats, looks: _Looks, rng: np.random.Generator
) -> Readings:
    """Level by signature and conditions, drift by the course of the admission; three cells in four are there."""
    num_stays = 1 + (rng.random(len(conditions)) < 0.25)
    record = np.repeat(np.arange(len(conditions)), num_stays)
    level = (signature @ looks.level["signature"] + conditions @ looks.level["conditions"])[record]
    drift = (course @ looks.level["course"])[record]
    hours = np.linspace(-1, 1, NUM_BINS)
    values = level[:, None, :] + drift[:, None, :] * hours[None, :, None]
    values = values + 0.5 * rng.normal(size=values.shape)
    there = rng.random(values.shape) < 0.75
    _, bins, feature = np.nonzero(there)
    cells = there.sum(axis=(1, 2))
    return Readings(
        np.concatenate([[0], np.cumsum(num_stays)]),
        np.concatenate([[0], np.cumsum(cells)]),
        bins,
        feature,
        values[there],
    )


def _grades(values: Floats, first: int, rng: np.random.Generator) -> Ints:
    """A word for each number, by its noisy grade."""
    noisy = values + GRADE_NOISE * rng.normal(size=values.shape)
    grade = np.digitize(noisy, [-0.84, -0.25, 0.25, 0.84])
    return first + GRADES * np.arange(values.shape[1]) + grade


def _condition_words(mentioned: NDArray[np.bool_], rng: np.random.Generator) -> Ints:
    """One of two synonyms for each condition that is mentioned, else -1."""
    synonym = rng.integers(0, 2, size=mentioned.shape)
    return np.where(mentioned, FIRST_WORD + 2 * np.arange(mentioned.shape[1]) + synonym, -1)


def _as_texts(columns: Sequence[Ints], rng: np.random.Generator) -> tuple[Ints, Ints]:
    """(offsets, tokens) of texts whose words stand in columns, -1 for none, in random order between CLS and SEP."""
    words = np.concatenate(columns, axis=1)
    order = np.argsort(rng.random(words.shape), axis=1)
    words = np.take_along_axis(words, order, axis=1)
    ends = np.full((len(words), 1), CLS), np.full((len(words), 1), SEP)
    words = np.concatenate([ends[0], words, ends[1]], axis=1)
    there = words >= 0
    return np.concatenate([[0], np.cumsum(there.sum(axis=1))]), words[there]


def _write_reports(
    conditions: Floats, signature: Floats, numbers: Floats, looks: _Looks, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Visible conditions, five numbers of the signature and those of the study."""
    chance = np.where(conditions > 0, 0.8, 0.01) * np.isin(np.arange(NUM_CONDITIONS), looks.visible)
    mentioned = rng.random(conditions.shape) < chance
    columns = [
        _condition_words(mentioned, rng),
        _grades(signature[:, :5], SIGNATURE_WORDS, rng),
        _grades(numbers, STUDY_WORDS, rng),
    ]
    return _as_texts(columns, rng)


def _write_notes(conditions: Floats, course: Floats, rng: np.random.Generator) -> tuple[Ints, Ints]:
    mentioned = rng.random(conditions.shape) < np.where(conditions > 0, 0.5, 0.01)
    other = rng.integers(OTHER_WORDS, NUM_WORDS, size=(len(conditions), 2))
    return _as_texts([_condition_words(mentioned, rng), _grades(course, COURSE_WORDS, rng), other], rng)


def _draw_pixels(
    cxr: Records, signature: Floats, numbers: Floats, looks: _Looks, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Patterns added up, squashed to grey values, with noise on every pixel."""
    view = rng.normal(size=(len(signature), NUM_VIEW))
    latents = np.concatenate([1.5 * cxr.conditions[:, looks.visible], signature, numbers, view], axis=1)
    patterns = looks.patterns.astype(np.float32)
    pixels = np.empty((len(latents), IMAGE_SIZE * IMAGE_SIZE), dtype=np.uint8)
    for start in range(0, len(latents), 8192):
        part = latents[start : start + 8192].astype(np.float32) @ patterns
        part += np.float32(PIXEL_NOISE) * rng.standard_normal(part.shape, dtype=np.float32)
        pixels[start : start + 8192] = (110 + 40 * part).clip(0, 255)
    return pixels.reshape(-1, IMAGE_SIZE, IMAGE_SIZE)


def find_links(s: Records, t: Records) -> tuple[Ints, Ints, Floats]:
    """Pairs of records of one patient at most 30 days apart: rows of s, rows of t, days between."""
    first = np.searchsorted(t.patient, s.patient)
    counts = np.searchsorted(t.patient, s.patient, side="right") - first
    left = np.repeat(np.arange(len(s.patient)), counts)
    right = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    gap = np.abs(s.time[left] - t.time[right])
    kept = gap <= THETA_DAYS
    return left[kept], right[kept], gap[kept]
