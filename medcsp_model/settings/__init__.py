"""Every setting of model, losses, batches, training and evaluation, and the three recipes.

What lives here: frozen dataclasses and their strict JSON form. What does not: anything that needs torch.
"""

from medcsp_model.settings.evaluation import (
    PredictionEvaluation,
    RadiologyEvaluation,
    RetrievalSettings,
    SmallModels,
    SweepSettings,
    demo_prediction,
)
from medcsp_model.settings.plain import read_settings, to_plain
from medcsp_model.settings.training import (
    Augmentation,
    BatchSettings,
    ImageTower,
    LossSettings,
    ModelSettings,
    OptimiserSettings,
    RunSettings,
    Settings,
    TextTower,
    default,
    demo,
    paper,
)

__all__ = [
    "Augmentation",
    "BatchSettings",
    "ImageTower",
    "LossSettings",
    "ModelSettings",
    "OptimiserSettings",
    "PredictionEvaluation",
    "RadiologyEvaluation",
    "RetrievalSettings",
    "RunSettings",
    "Settings",
    "SmallModels",
    "SweepSettings",
    "TextTower",
    "default",
    "demo",
    "demo_prediction",
    "paper",
    "read_settings",
    "to_plain",
]
