"""Every setting of model, losses, batches, training, evaluation and studies, and the three recipes.

What lives here: frozen dataclasses and their strict JSON form. What does not: anything that needs torch. What trains
imports its own module below, so that a new setting of an evaluation makes no training another.
"""

from medcsp_model.settings.evaluation import (
    PredictionEvaluation,
    RadiologyEvaluation,
    RetrievalSettings,
    SmallModels,
    demo_prediction,
)
from medcsp_model.settings.llm import LlmSettings
from medcsp_model.settings.plain import read_settings, to_plain
from medcsp_model.settings.studies import (
    FULL,
    REPAIRS,
    ROWS,
    VARIANTS,
    AblationSettings,
    CaseStudySettings,
    Variant,
)
from medcsp_model.settings.sweep import SweepSettings
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
    "FULL",
    "REPAIRS",
    "ROWS",
    "VARIANTS",
    "AblationSettings",
    "Augmentation",
    "BatchSettings",
    "CaseStudySettings",
    "ImageTower",
    "LlmSettings",
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
    "Variant",
    "default",
    "demo",
    "demo_prediction",
    "paper",
    "read_settings",
    "to_plain",
]
