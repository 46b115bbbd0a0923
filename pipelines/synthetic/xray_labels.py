"""The fourteen observations that a labeler reads off a report: 1, 0, -1 (unsure) or nothing, from what was drawn."""

import numpy as np
import polars as pl

from pipelines.synthetic.studies import FINDINGS

MIMIC_ORDER = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture", "Lung Lesion",
    "Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia", "Pneumothorax", "Support Devices",
)  # fmt: skip
CHEXPERT_ORDER = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture",
    "Support Devices",
)  # fmt: skip
DEVICES = ("tube", "feeding_tube", "line", "pacemaker", "chest_tube")
# Extents at which a finding at a lung base is read as atelectasis, as an opacity, as consolidation.
OPACITY, CONSOLIDATION = 0.42, 0.7
ENLARGED = 0.45
# What a report that does not have a finding says of it: no word, or that it is not there.
DENIED_SHARE = 0.35


def observations(findings: np.ndarray, *, random: np.random.Generator, unsure: bool = True) -> pl.DataFrame:
    """Label studies by their findings.

    Args:
        findings: float64 (k, 22), columns as `FINDINGS`.
        random: draws what is denied and what is unsure.
        unsure: whether small findings may be -1; people who read the film decide.

    Returns:
        k rows, one nullable float column per observation, in MIMIC-CXR-JPG's order.
    """
    f = {name: findings[:, at] for at, name in enumerate(FINDINGS)}
    base = np.maximum(f["right_base"], f["left_base"])
    fluid = np.maximum(f["right_effusion"], f["left_effusion"])
    mass = np.maximum(f["right_upper"], f["left_upper"])
    device = np.max([np.abs(f[name]) for name in DEVICES], axis=0)
    nothing = np.zeros(len(findings))
    present = {
        "Atelectasis": np.where(base <= OPACITY, base, 0),
        "Cardiomegaly": np.maximum(f["heart_size"] - ENLARGED, 0),
        "Consolidation": np.where(base > CONSOLIDATION, base, 0),
        "Edema": f["edema"],
        "Enlarged Cardiomediastinum": np.maximum(f["aorta"] - 1.2, 0),
        "Fracture": nothing,
        "Lung Lesion": mass,
        "Lung Opacity": np.where(base > OPACITY, base, mass),
        "Pleural Effusion": fluid,
        "Pleural Other": nothing,
        "Pneumonia": np.where(base > OPACITY, base, 0),
        "Pneumothorax": nothing,
        "Support Devices": device,
    }
    columns = {}
    for name, much in present.items():
        label = np.where(much > 0, 1.0, np.where(random.random(len(much)) < DENIED_SHARE, 0.0, np.nan))
        doubtful = random.random(len(much)) < (0.5 if name == "Pneumonia" else 0.12)
        columns[name] = np.where((much > 0) & doubtful, -1.0, label) if unsure else np.where(much > 0, 1.0, 0.0)
    ill = np.max([present[name] for name in present if name != "Support Devices"], axis=0) > 0
    columns["No Finding"] = np.where(ill, np.nan if unsure else 0.0, 1.0)
    return pl.DataFrame({name: columns[name] for name in MIMIC_ORDER}).with_columns(pl.all().fill_nan(None))


def as_printed(labels: pl.DataFrame) -> pl.DataFrame:
    """Print labels as the releases do: 1.0, 0.0, -1.0 or nothing."""
    return labels.with_columns(pl.all().cast(pl.String))
