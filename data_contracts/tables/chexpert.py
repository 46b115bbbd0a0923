"""CheXpert: images with their labels, and the labels of two later labelers."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract
from data_contracts.tables.observations import Observations


class _Image(Contract):
    """The image that labels belong to."""

    image_id = fields.text(
        "Path without its first folder, for instance valid/patient64541/study1/view1_frontal.jpg.", nullable=False
    )


class _View(_Image):
    """Where an image is and what it shows."""

    split = dy.Enum(["test", "train", "valid"], description="Part of the release.")
    patient_id = dy.Int64(min=1, description="Patient: the number in patient64541.")
    study = dy.Int64(min=1, description="Study of the patient: the number in study1.")
    path = fields.text("File below the root; null where it is not there.")
    sex = dy.Enum(["Female", "Male", "Unknown"], nullable=True, description="Sex; null in the test part.")
    age = dy.Int16(nullable=True, min=0, max=120, description="Age in years; 0 is unknown, 90 is 90 or more.")
    frontal_lateral = dy.Enum(["Frontal", "Lateral"], nullable=True, description="View.")
    ap_pa = fields.text("Projection of a frontal image: AP, PA, LL or RL.")


class ChexpertImages(_View, Observations):
    """One image of CheXpert with its labels: from the report (train), by three or five radiologists (valid, test)."""

    table = "chexpert__images"
    layer = "tables"
    key = ("image_id",)


class ChexpertChexbert(_Image, Observations):
    """One training image's labels, by CheXbert from the report."""

    table = "chexpert__chexbert"
    layer = "tables"
    key = ("image_id",)


class ChexpertVisualChexbert(_Image, Observations):
    """One training image's labels, by VisualCheXbert: what an image of such a report would show."""

    table = "chexpert__visual_chexbert"
    layer = "tables"
    key = ("image_id",)
