"""There is something to learn, a linear reader finds it on unseen subjects, and no shortcut leads there.

Everything is fitted on linked subjects and measured on subjects without EHR, at the default size.
"""

import itertools
import re

import cv2
import numpy as np
import pytest

from pipelines.synthetic import SyntheticSettings, report_text
from pipelines.synthetic.conditions import SIGNATURE
from pipelines.synthetic.latent import draw_admissions, draw_subjects, severity_at
from pipelines.synthetic.measurements import LABS
from pipelines.synthetic.note_text import write_note
from pipelines.synthetic.radiograph import draw_films
from pipelines.synthetic.randomness import generator
from pipelines.synthetic.readings import values_of
from pipelines.synthetic.report_text import Shape, write_report
from pipelines.synthetic.studies import FINDINGS, draw_studies

# Words of a report that say nothing of what is seen and may stand in a note as well.
PLAIN = {
    "a", "and", "at", "by", "for", "from", "in", "is", "no", "of", "on", "or", "the", "there", "to", "with",
}  # fmt: skip


class Sources:
    """The default cohort at 64 pixels: images as the JPG release renders them, reports, notes, and the truth."""

    def __init__(self) -> None:
        settings = SyntheticSettings(image_size=64)
        self.subjects = draw_subjects(settings)
        self.admissions = draw_admissions(self.subjects, seed=0)
        self.studies = studies = draw_studies(self.subjects, self.admissions, settings=settings)
        lateral = np.array([view == "LATERAL" for view in studies.view])
        films = draw_films(
            studies.findings[studies.study], lateral=lateral, dicom_id=studies.dicom_id, image_size=64, seed=0
        )
        grey = [np.uint8(255 * (film - film.min()) / (film.max() - film.min())) for film in films]
        self.pixels = np.stack([cv2.resize(cv2.equalizeHist(film), (32, 32)) for film in grey]).reshape(len(films), -1)
        self.pixels = self.pixels / 255
        self.reports = [
            write_report(findings, views=["AP"], shape=Shape(), random=generator(0, "report", row))
            for row, findings in enumerate(studies.findings)
        ]
        self.fitted = self.subjects.has_ehr[studies.subject]
        spread = studies.findings[self.fitted]
        self.truth = (studies.findings - spread.mean(0)) / spread.std(0)


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources()


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def _bags(documents: list[list[str]], fitted: np.ndarray) -> np.ndarray:
    counted = [documents[row] for row in np.flatnonzero(fitted)]
    place = {word: at for at, word in enumerate(sorted({word for words in counted for word in words}))}
    bags = np.zeros((len(documents), len(place)))
    for row, words in enumerate(documents):
        for word in words:
            if word in place:
                bags[row, place[word]] += 1
    return bags


def _ridge(inputs: np.ndarray, targets: np.ndarray, fitted: np.ndarray, penalty: float) -> np.ndarray:
    """Predict targets of the rows that were not fitted."""
    middle, level = inputs[fitted].mean(0), targets[fitted].mean(0)
    centred = inputs[fitted] - middle
    weights = np.linalg.solve(centred @ centred.T + penalty * np.eye(len(centred)), targets[fitted] - level)
    return (inputs[~fitted] - middle) @ (centred.T @ weights) + level


def _explained(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return 1 - ((predicted - truth) ** 2).mean(0) / truth.var(0)


def _recall_at_10(scores: np.ndarray, relevant: np.ndarray) -> float:
    top = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    return float((np.take_along_axis(relevant, top, axis=1).sum(1) / relevant.sum(1)).mean())


def _relevant(sources: Sources) -> np.ndarray:
    """Which held-out image belongs to which held-out study."""
    of_image = sources.studies.study[~sources.fitted[sources.studies.study]]
    return of_image[None] == np.flatnonzero(~sources.fitted)[:, None]


def test_the_default_size_is_the_promised_one(sources: Sources) -> None:
    studies, has_ehr = sources.studies, sources.subjects.has_ehr
    gallery = ~sources.fitted[studies.study]
    assert has_ehr.sum() == 300
    assert (has_ehr & sources.subjects.has_cxr).sum() == 120
    assert (~has_ehr).sum() == 250
    assert 900 <= len(studies.dicom_id) <= 1100
    assert gallery.sum() >= 400


def test_a_linear_reader_matches_unseen_reports_and_images(sources: Sources) -> None:
    study = sources.studies.study
    seen = _ridge(sources.pixels, sources.truth[study], sources.fitted[study], 3.0)
    clear = np.clip(_explained(seen, sources.truth[study][~sources.fitted[study]]), 0, 1)
    documents = [_words(text) for text in sources.reports]
    documents = [words + [" ".join(pair) for pair in itertools.pairwise(words)] for words in documents]
    read = _ridge(_bags(documents, sources.fitted), sources.truth, sources.fitted, 10.0)
    assert clear.mean() > 0.5, dict(zip(FINDINGS, clear.round(2), strict=True))
    assert clear.min() > 0.2, dict(zip(FINDINGS, clear.round(2), strict=True))
    queries, gallery = read * clear, seen * clear
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    assert _recall_at_10(queries @ gallery.T, _relevant(sources)) >= 0.5


@pytest.mark.parametrize("rare_words_count_more", [False, True])
def test_nearest_report_then_nearest_pixels_does_not_get_there(sources: Sources, rare_words_count_more: bool) -> None:
    study, fitted = sources.studies.study, sources.fitted
    bags = _bags([_words(text) for text in sources.reports], fitted)
    if rare_words_count_more:
        bags = bags * np.log(fitted.sum() / (1 + (bags[fitted] > 0).sum(0)))
    bags /= np.linalg.norm(bags, axis=1, keepdims=True)
    nearest = np.flatnonzero(fitted)[np.argmax(bags[~fitted] @ bags[fitted].T, axis=1)]
    stand_in = sources.pixels[np.searchsorted(study, nearest)]
    gallery = sources.pixels[~fitted[study]]
    nearness = 2 * stand_in @ gallery.T - (gallery**2).sum(1)  # the squared distance but for the query's own length
    assert _recall_at_10(nearness, _relevant(sources)) <= 0.12


def test_notes_and_reports_of_a_patient_share_no_words_that_help(sources: Sources) -> None:
    subjects, admissions, studies = sources.subjects, sources.admissions, sources.studies
    linked = np.flatnonzero((subjects.has_ehr & subjects.has_cxr)[admissions.subject])
    severity = severity_at(subjects, admissions, subject=admissions.subject[linked], time=admissions.admit[linked])
    notes = [
        _words(write_note(much, subjects.signature[row], female=False, random=generator(0, "note", at)))
        for at, (much, row) in enumerate(zip(severity, admissions.subject[linked].tolist(), strict=True))
    ]
    reports = [_words(sources.reports[row]) for row in np.flatnonzero(sources.fitted)]
    bags = _bags(notes + reports, np.ones(len(notes) + len(reports), bool))
    bags /= np.linalg.norm(bags, axis=1, keepdims=True)
    relevant = admissions.subject[linked][:, None] == studies.subject[sources.fitted][None]
    recall = _recall_at_10(bags[: len(notes)] @ bags[len(notes) :].T, relevant)
    assert recall < 2 * 10 / len(reports)


def test_no_word_of_a_finding_stands_in_a_note() -> None:
    saying: set[str] = set()
    for table in (report_text.GRADED, report_text.ONE_SIDED, report_text.DEVICES):
        for grades in table.values():
            saying |= {word for grade in grades for wording in grade for word in _words(wording.format(side="left"))}
    saying |= {word for grade in report_text.EDEMA for wording in grade for word in _words(wording)}
    noted: set[str] = set()
    for at in range(400):
        random = generator(0, "vocabulary", at)
        severity, signature = random.random(10), random.normal(0, 1.5, len(SIGNATURE))
        noted |= set(_words(write_note(severity, signature, female=True, random=random)))
    assert saying & noted <= PLAIN


def test_what_a_report_says_follows_the_findings_alone(sources: Sources) -> None:
    findings = sources.studies.findings[3]
    wordings = {write_report(findings, views=["AP"], shape=Shape(), random=generator(0, at)) for at in range(20)}
    assert len(wordings) == 20
    for text in wordings:
        flat = " ".join(text.split()).lower()
        for name, grades in report_text.GRADED.items():
            said = [any(wording.lower() in flat for wording in grade) for grade in grades]
            level = int(np.searchsorted(report_text.GRADES, findings[FINDINGS.index(name)]))
            assert said == [at == level for at in range(3)], name


def test_both_sources_tell_the_same_signature(sources: Sources) -> None:
    """Means of laboratory results on one side and of images on the other both predict it for unseen subjects."""
    subjects, admissions, studies = sources.subjects, sources.admissions, sources.studies
    rows = np.flatnonzero(subjects.has_ehr)
    fitted = rows % 2 == 0
    random = generator(0, "laboratory")
    means = np.array(
        [
            [values_of(item, severity_of, subjects.signature[row], random).mean() for item in LABS]
            for row in rows.tolist()
            for severity_of in [_severities(subjects, admissions, row)]
        ]
    )
    means = (means - means.mean(0)) / means.std(0)
    truth = subjects.signature[rows]
    from_labs = _explained(_ridge(means, truth, fitted, 3.0), truth[~fitted])
    assert from_labs.mean() > 0.5 and from_labs.min() > 0.2, from_labs

    study, owner = studies.study, studies.subject[studies.study]
    half = sources.fitted[study]
    from_images = _explained(
        _ridge(sources.pixels, subjects.signature[owner], half, 10.0), subjects.signature[owner][~half]
    )
    assert from_images.mean() > 0.3 and from_images.min() > 0.1, from_images


def _severities(subjects, admissions, row: int) -> np.ndarray:
    time = admissions.admit[admissions.subject == row]
    time = np.concatenate([time + np.timedelta64(hours, "h") for hours in range(0, 96, 12)])
    return severity_at(subjects, admissions, subject=np.full(len(time), row), time=time)
