"""The fourteen observations that CheXpert's and NegBio's labelers look for in a report or an image."""

import dataframely as dy

from data_contracts.base import Contract


def observation(name: str) -> dy.Int8:
    """Return the column of one observation."""
    return dy.Int8(nullable=True, is_in=[-1, 0, 1], description=f"{name}: 1 present, 0 absent, -1 uncertain.")


class Observations(Contract):
    """One row of labels; null where the observation is not mentioned."""

    no_finding = observation("No Finding")
    enlarged_cardiomediastinum = observation("Enlarged Cardiomediastinum")
    cardiomegaly = observation("Cardiomegaly")
    lung_opacity = observation("Lung Opacity")
    lung_lesion = observation("Lung Lesion")
    edema = observation("Edema")
    consolidation = observation("Consolidation")
    pneumonia = observation("Pneumonia")
    atelectasis = observation("Atelectasis")
    pneumothorax = observation("Pneumothorax")
    pleural_effusion = observation("Pleural Effusion")
    pleural_other = observation("Pleural Other")
    fracture = observation("Fracture")
    support_devices = observation("Support Devices")
