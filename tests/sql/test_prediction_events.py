"""Events of each task: counted by part, and what stands in the way of learning said for every task declared."""

from typing import Any

import polars as pl
import pytest

FILE = "labels/prediction_events.sql"
PARTS = ("train", "validation", "test")
TASK = {
    "task": "arf", "horizon": "unbounded", "index_event": "icu_48h", "unit": "stay", "cohorts": ["carevue"],
    "exclusions": [], "inputs": [], "flags": [],
}  # fmt: skip


def examples(*kinds: tuple[str, int, bool], **values: Any) -> list[dict[str, Any]]:
    """One example per (part, fold, label), each of a subject of its own."""
    return [
        {
            "task": "arf", "horizon": "unbounded", "cohort": "carevue", "subject_id": number, "stay_id": number,
            "split": split, "fold": fold, "label": label, "is_competing": not label, **values,
        }
        for number, (split, fold, label) in enumerate(kinds, start=1)
    ]  # fmt: skip


BOTH = [(split, 0, label) for split in PARTS for label in (True, False)]
FOLDS = [("train", fold, label) for fold in range(5) for label in (True, False)]


def row(database, labels: list[dict[str, Any]]) -> dict[str, Any]:
    database.fill({"prediction_tasks": [TASK], "prediction_labels": labels})
    (found,) = database.build("prediction_events", FILE).iter_rows(named=True)
    return found


def test_examples_and_events_of_each_part(database) -> None:
    labels = examples(*BOTH, ("train", 1, True))
    labels[-1]["subject_id"] = labels[0]["subject_id"]
    found = row(database, labels)
    assert {name: found[name] for name in ("num_examples", "num_subjects", "num_events", "num_competing")} == {
        "num_examples": 7, "num_subjects": 6, "num_events": 4, "num_competing": 3,
    }  # fmt: skip
    assert [(found[f"num_{part}"], found[f"num_{part}_events"]) for part in PARTS] == [(3, 2), (2, 1), (2, 1)]
    assert found["num_folds"] == 1, "fold 1 holds one class alone"


@pytest.mark.parametrize(
    ("kinds", "split", "folds"),
    [
        ([], "no_example", "no_example"),
        ([(part, fold, False) for part in PARTS for fold in (0, 1)], "no_event", "no_event"),
        ([(part, 0, True) for part in PARTS], "no_other", "no_other"),
        ([("train", 0, False), *BOTH[2:]], "one_class_in_train", "one_class_in_fold"),
        ([*BOTH[:2], *BOTH[4:], ("test", 1, True)], "one_class_in_validation", "one_class_in_fold"),
        ([*BOTH[:5], ("train", 1, False)], "one_class_in_test", "one_class_in_fold"),
        (BOTH[:4], "one_class_in_test", "fewer_subjects_than_folds"),
        ([*BOTH, *FOLDS], None, None),
        ([*BOTH, *FOLDS[:-1]], None, "one_class_in_fold"),
    ],
)
def test_what_stands_in_the_way(
    database, kinds: list[tuple[str, int, bool]], split: str | None, folds: str | None
) -> None:
    found = row(database, examples(*kinds))
    assert (found["split_obstacle"], found["fold_obstacle"]) == (split, folds)


def test_every_declared_task_has_a_row_and_no_other(database) -> None:
    declared = [
        {**TASK, "cohorts": ["carevue", "metavision"]},
        {**TASK, "task": "readmission", "horizon": "30d", "cohorts": ["metavision"]},
    ]
    database.fill({"prediction_tasks": declared, "prediction_labels": examples(*BOTH, cohort="metavision")})
    rows = database.build("prediction_events", FILE).with_columns(pl.col("task", "cohort").cast(pl.String))
    assert sorted(rows.select("task", "cohort", "num_examples").iter_rows()) == [
        ("arf", "carevue", 0),
        ("arf", "metavision", 6),
        ("readmission", "metavision", 0),
    ]
