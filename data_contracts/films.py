"""Films: X-ray images of one release as CXR records, one table per release. Their union is in `records`.

A release gives its films and, where its reports are not whole texts already, its texts. Ids are unique over all
releases: where one numbers its reports from 1, its numbers are raised far above those of the others.
"""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract


class Films(Contract):
    """One chest X-ray image."""

    layer = "records"
    key = ("source", "record_id")

    source = fields.source()
    database = fields.text("Release that it comes from, for instance mimic_cxr.", nullable=False)
    record_id = fields.record_id()
    subject_id = fields.subject_id()
    study_id = fields.study_id()
    record_time = fields.time("When it was taken; null where the release has no dates", nullable=True)
    view_position = fields.text("View, for instance PA.")
    path = fields.text("File below the root of its release.", nullable=False)


class _FilmTexts(Contract):
    """One report as one text."""

    layer = "records"
    key = ("study_id",)

    subject_id = fields.subject_id()
    study_id = fields.study_id()
    text = dy.String(min_length=1, description="The report, its sections under their headers.")


class MimicCxrFilms(Films):
    """One image of MIMIC-CXR with a report and a time; its patients are those of MIMIC-IV."""

    table = "mimic_cxr_films"


class OpenIFilms(Films):
    """One image of Open-I with a report; subject and study are 900,000,000 and the report's number, and it has no time.

    The release names no patients: each report counts as one of its own.
    """

    table = "open_i_films"


class Covid19Films(Films):
    """One image of the COVID-19 Radiography Database, class COVID or Normal; it has no report, no time and no patient.

    Each image counts as a subject and a study of its own, numbered from 910,000,001: nothing tells who is on two films.
    """

    table = "covid19_films"


class ChexpertFilms(Films):
    """One image of CheXpert's validation part; it has no report and no time.

    The subject is 920,000,000 and the patient's number, the study 920,000,000 and 100 times that and the study's.
    """

    table = "chexpert_films"


class OpenITexts(_FilmTexts):
    """One report of Open-I, its sections under their headers."""

    table = "open_i_texts"
