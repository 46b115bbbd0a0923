"""What prediction is learned and evaluated on: how many events there are, and what lies in the task folders."""

import dataframely as dy

from data_contracts import labels
from data_contracts.base import Contract
from data_contracts.corpus import CorpusContents

OBSTACLES = [
    "no_example",
    "no_event",
    "no_other",
    "one_class_in_train",
    "one_class_in_validation",
    "one_class_in_test",
    "fewer_subjects_than_folds",
    "one_class_in_fold",
]
"""Why a task cannot be learned or evaluated."""
SPACES = ["native", "shared"]


def _obstacle(of: str) -> dy.Enum:
    return dy.Enum(OBSTACLES, nullable=True, description=f"Why {of} cannot be evaluated; null: it can.")


class PredictionEvents(Contract):
    """One task with one horizon in one cohort: examples and events of each part, and what stands in the way."""

    table = "prediction_events"
    layer = "labels"
    key = ("task", "horizon", "cohort")

    task = labels.task()
    horizon = labels.horizon()
    cohort = labels.cohort()
    num_examples = dy.Int64(min=0, description="Examples.")
    num_subjects = dy.Int64(min=0, description="Their subjects.")
    num_events = dy.Int64(min=0, description="Examples with the event.")
    num_competing = dy.Int64(min=0, description="Examples that died without it.")
    num_train = dy.Int64(min=0, description="Examples that train.")
    num_train_events = dy.Int64(min=0, description="Those with the event.")
    num_validation = dy.Int64(min=0, description="Examples that choose settings.")
    num_validation_events = dy.Int64(min=0, description="Those with the event.")
    num_test = dy.Int64(min=0, description="Examples that are tested.")
    num_test_events = dy.Int64(min=0, description="Those with the event.")
    num_folds = dy.Int64(min=0, description="Folds that hold examples of both classes.")
    split_obstacle = _obstacle("the one split")
    fold_obstacle = _obstacle("the cross-validation")


class _TaskFolders(CorpusContents):
    """One modality of the examples in one feature space, or their labels."""

    key = ("space", "source", "modality")

    space = dy.Enum(SPACES, description="native: series_features; shared: shared_series_features.")


class CriticalCareCorpus(_TaskFolders):
    """One modality of the stays that are predicted 48 h after they began, in one feature space, or their labels."""

    table = "critical_care_corpus"


class DischargeCorpus(_TaskFolders):
    """One modality of the admissions that are predicted at discharge, in one feature space, or their labels."""

    table = "discharge_corpus"
