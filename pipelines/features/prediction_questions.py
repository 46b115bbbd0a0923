"""What is asked of the prediction methods: every task, horizon and cohort, in the feature space that its cohort needs.

A question is what `medcsp_model.evaluation.prediction_report` answers. Not here: how, or who is evaluated.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import medcsp_model.settings as recipes
from pipelines.features.prediction_corpus import MODALITIES, SPACES
from pipelines.features.tasks import TASKS, Task

MODES = {"unbounded": "unbounded", "48h": "within_48h", "30d": "within_30d"}
"""What `metrics` calls a horizon."""
DATASETS = {"ehr_holdout": "mimic_iv"}
"""Data set of a cohort; all others are MIMIC-III's."""
TRANSFER = ("metavision", "carevue")
"""Who trains and who tests where a model is carried over."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Which predictions are evaluated, and what is measured of them.

    Attributes:
        tasks: of `prediction_tasks`; a table none of whose tasks is named is published empty.
        horizons: of `prediction_tasks`.
        cohorts: where they are evaluated.
        is_transferred: whether what MetaVision trained is tested on CareVue too.
        without_codes: whether predictions at discharge are made without the ICD codes too, which come after it.
        text_encoder: folder under MEDCSP_WEIGHTS that the baselines' text encoder starts from; empty: a random one.
        measured: methods, training and measures.
    """

    tasks: tuple[str, ...] = tuple(TASKS)
    horizons: tuple[str, ...] = tuple(MODES)
    cohorts: tuple[str, ...] = ("ehr_holdout", "metavision", "carevue", "carevue_filtered")
    is_transferred: bool = True
    without_codes: bool = True
    text_encoder: str = "text_encoder"
    measured: recipes.PredictionEvaluation = field(default_factory=recipes.PredictionEvaluation)

    def __post_init__(self) -> None:
        for name, known in (("tasks", TASKS), ("horizons", MODES), ("cohorts", SPACES["shared"].cohorts)):
            if unknown := sorted(set(getattr(self, name)) - set(known)):
                raise ValueError(f"evaluation.{name} names {unknown[0]!r}; known: {', '.join(known)}")

    @property
    def shared_cohorts(self) -> tuple[str, ...]:
        """Cohorts that are evaluated in the shared feature space."""
        cohorts = {cohort for cohort in self.cohorts if space_of(cohort) == "shared"}
        return tuple(sorted(cohorts | ({TRANSFER[1]} if self.is_transferred else set())))

    @property
    def spaces(self) -> tuple[str, ...]:
        """Feature spaces that the cohorts need."""
        return tuple(SPACES) if self.shared_cohorts else ("native",)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a question finds what it needs.

    Attributes:
        folders: of the task folders, by feature space.
        checkpoints, corpora: of our model and of what it was trained on, by feature space.
        towers, text_encoder: weights; empty where there are none.
    """

    folders: Mapping[str, Path]
    checkpoints: Mapping[str, Path]
    corpora: Mapping[str, Path]
    towers: str = ""
    text_encoder: str = ""


def space_of(cohort: str) -> str:
    """Return the feature space that a cohort is evaluated in: the native one where it can be."""
    return "native" if cohort in SPACES["native"].cohorts else "shared"


def questions(tasks: tuple[str, ...], settings: EvaluationSettings, places: Places) -> list[dict[str, Any]]:
    """Return every question about some tasks that the settings ask for."""
    asked = [TASKS[name] for name in tasks if name in settings.tasks]
    return [question for task in asked for question in _about(task, settings, places)]


def _about(task: Task, settings: EvaluationSettings, places: Places) -> Iterator[dict[str, Any]]:
    late = tuple(MODALITIES[item.name] for item in task.index_event.inputs if item.flag == "coded_after_discharge")
    horizons = [horizon for horizon in task.horizons if horizon in settings.horizons]
    cohorts = [(cohort, "") for cohort in settings.cohorts if cohort in task.cohorts]
    cohorts += [TRANSFER] if settings.is_transferred else []
    for horizon in horizons:
        for cohort, tested_on in cohorts:
            for without in ((), late) if late and settings.without_codes else ((),):
                space = "shared" if tested_on else space_of(cohort)
                is_first = horizon == horizons[0] and not without and not tested_on
                yield {
                    "labels": {
                        "task": f"prediction_{task.name}",
                        "dataset": DATASETS.get(cohort, "mimic_iii"),
                        "cohort": tested_on or cohort,
                        "mode": _mode(horizon, is_without=bool(without), space=space, is_transfer=bool(tested_on)),
                    },
                    "folder": str(places.folders[space]),
                    "task": task.name,
                    "horizon": horizon,
                    "cohort": cohort,
                    "tested_on": tested_on,
                    "without": list(without),
                    "checkpoint": str(places.checkpoints[space]),
                    "corpus": str(places.corpora[space]),
                    "towers_folder": places.towers,
                    "text_folder": places.text_encoder,
                    "is_whole": is_first,
                }


def _mode(horizon: str, *, is_without: bool, space: str, is_transfer: bool) -> str:
    parts = [MODES[horizon], "without_codes" * is_without, "shared" * (space == "shared"), "transfer" * is_transfer]
    return "/".join(part for part in parts if part)
