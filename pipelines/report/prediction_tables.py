"""Tables of the prediction tasks: all numbers, calibration, subgroups, and what could not be measured.

What does not belong here: figures (`prediction_figures`), differences (`prediction_differences`), and any computation
of a metric: spreads over seeds are the lowest and the highest of what is published.
"""

from collections import defaultdict
from collections.abc import Sequence

from pipelines.report.content import Cell, Column, Row, Table
from pipelines.report.formats import NONE, count, percent
from pipelines.report.prediction_numbers import (
    CHANCE,
    FOLDS,
    OURS,
    PREFIX,
    TEST,
    TREES,
    Mode,
    Numbers,
    Place,
    ends,
    in_order,
    is_one_training,
    one,
    share,
    task_title,
    title,
)
from pipelines.report.prediction_numbers import Row as Number

CALIBRATION = {
    "calibration_slope": "Slope",
    "calibration_intercept": "Intercept",
    "brier": "Brier score",
    "ece": "ECE",
}
GROUP_WORDS = {
    "under_45": "under 45",
    "45_to_64": "45 to 64",
    "65_to_79": "65 to 79",
    "80_and_over": "80 and over",
    "F": "female",
    "M": "male",
}
FEW = 10
"""Events of a subgroup below which its numbers stand back, and examples below which none is told."""


def numbers_table(numbers: Numbers, place: Place, tasks: Sequence[str]) -> Table | None:
    """Areas of every method on the test part and over five folds, and the spread over seeds."""
    rows = [
        Row(
            label=title(method),
            detail=f"{task_title(task)}, {mode.words}",
            cells=_areas(numbers, place, task, mode, method),
        )
        for task in tasks
        for mode in numbers.modes(place, task)
        for method in in_order(row["method"] for row in numbers.at(place, task, mode, split=_is_whole))
    ]
    chances = [
        Row(
            label="Random order",
            detail=f"{task_title(task)}, {mode.words}",
            cells=_areas(numbers, place, task, mode, CHANCE),
        )
        for task in tasks
        for mode in numbers.modes(place, task)
        if numbers.at(place, task, mode, "auprc", method=CHANCE)
    ]
    heads = ("AUROC", "Over seeds", "AUPR", "AUPR by trapezoids", "AUROC, five-fold", "AUPR, five-fold")
    return _folded(
        f"All methods and tasks ({count(len(rows))})",
        "Method",
        tuple(Column(label=head) for head in heads),
        [*rows, *chances] if rows else [],
        note="Means over seeds with 95 % intervals, trainings and patients resampled, of one training the patients "
        "alone; beside them the lowest and the highest of single trainings. AUPR is the average precision, beside it "
        "that by trapezoids, as the released code computed it. Five-fold numbers are those of the methods of the "
        "declared comparisons, where they were asked for. A random order has an AUPR above the prevalence, the more "
        "the fewer examples there are in the test part or a fold: its own stand last.",
    )


def _is_whole(split: str) -> bool:
    return split in (TEST, FOLDS)


def _areas(numbers: Numbers, place: Place, task: str, mode: Mode, method: str) -> tuple[Cell, ...]:
    def cell(metric: str, split: str) -> Cell:
        return value_cell(one(numbers.at(place, task, mode, metric, split=split), method=method))

    single = numbers.at(place, task, mode, "auroc", seed=is_one_training, method=method)
    values = sorted(row["value"] for row in single)
    spread = Cell(text=NONE)
    if len(values) > 1:
        spread = Cell(text=f"{values[0]:.3f} to {values[-1]:.3f}", detail=f"{count(len(values))} seeds")
    return (
        cell("auroc", TEST),
        spread,
        cell("auprc", TEST),
        cell("auprc_trapezoid", TEST),
        cell("auroc", FOLDS),
        cell("auprc", FOLDS),
    )


def calibration_table(numbers: Numbers, place: Place, tasks: Sequence[str]) -> Table | None:
    """Calibration of every method."""
    rows = []
    for task in tasks:
        for mode in numbers.modes(place, task):
            found = numbers.at(place, task, mode, *CALIBRATION)
            rows += [
                Row(
                    label=title(method),
                    detail=f"{task_title(task)}, {mode.words}",
                    cells=tuple(value_cell(one(found, method=method, metric=metric)) for metric in CALIBRATION),
                )
                for method in in_order(row["method"] for row in found)
            ]
    return _folded(
        "Calibration",
        "Method",
        tuple(Column(label=label) for label in CALIBRATION.values()),
        rows,
        note="Slope: 1 is right, below 1 risks are too extreme. Intercept: 0 is right, above 0 risks are too low in "
        "the mean. Brier score: mean squared distance of risk and outcome. ECE: mean distance of predicted and "
        "observed shares over ten bins; it is biased upwards, the more the fewer examples, and so has no interval: "
        "risks that are right have one above 0 too. 95 % intervals below; a dash where there is no finite value.",
    )


def subgroup_table(numbers: Numbers, place: Place, tasks: Sequence[str]) -> Table | None:
    """Areas of ours and of boosted trees by age, sex, race group and insurance."""
    rows = []
    for task in tasks:
        for mode in numbers.modes(place, task)[:1]:
            found = numbers.at(place, task, mode, split=_is_subgroup)
            groups = sorted({row["split"] for row in found}, key=_subgroup_order)
            rows += [_subgroup_row(task, group, [row for row in found if row["split"] == group]) for group in groups]
    methods = [title(method) for method in (OURS, TREES)]
    heads = ("Events", "Prevalence", *(f"{name}, {method}" for name in ("AUROC", "AUPR") for method in methods))
    return _folded(
        "Subgroups",
        "Group and task",
        tuple(Column(label=head) for head in heads),
        rows,
        note="95 % intervals below, trainings and patients of the group resampled. Of groups with fewer than "
        f"{FEW} events or examples without one, which stand back, only these numbers are told, and those of fewer than "
        f"{FEW} examples are only named: so few would be told one by one.",
    )


def _is_subgroup(split: str) -> bool:
    return split.startswith(f"{TEST}/")


def _subgroup_order(split: str) -> tuple[str, int, str]:
    division, _, group = split.partition("/")[2].partition("=")
    return division, list(GROUP_WORDS).index(group) if group in GROUP_WORDS else len(GROUP_WORDS), group


def _subgroup_row(task: str, split: str, rows: Sequence[Number]) -> Row:
    division, _, group = split.partition("/")[2].partition("=")
    largest = max(rows, key=lambda row: row["n"])
    positive = largest["num_positive"] or 0
    measured = [one(rows, metric=metric, method=method) for metric in ("auroc", "auprc") for method in (OURS, TREES)]
    is_told, is_few = largest["n"] >= FEW, min(positive, largest["n"] - positive) < FEW
    events = f"{count(positive)} of {count(largest['n'])}" if is_told else f"of fewer than {FEW}"
    return Row(
        label=f"{division.replace('_', ' ')}: {GROUP_WORDS.get(group, group.replace('_', ' '))}",
        detail=task_title(task),
        cells=(
            Cell(text=events),
            Cell(text=percent(positive / largest["n"]) if is_told else NONE),
            *(value_cell(None if is_few else row) for row in measured),
        ),
        is_muted=is_few,
    )


def unavailable_table(rows: Sequence[Number]) -> Table | None:
    """Which methods have no number on which tasks, and why.

    Args:
        rows: of `prediction_methods`.
    """
    by_reason: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for row in rows:
        if row["reason"] is not None:
            by_reason[row["task"], row["cohort"], row["mode"], row["reason"]].append(row["method"])
    found = [
        Row(
            label=f"{task_title(task.removeprefix(PREFIX))}, {Mode.of(mode).words}",
            detail=cohort,
            badge="not available",
            cells=(Cell(text=", ".join(title(name) for name in in_order(methods)) or NONE), Cell(text=reason)),
        )
        for (task, cohort, mode, reason), methods in sorted(by_reason.items())
    ]
    columns = (Column(label="Methods", is_number=False), Column(label="Why", is_number=False))
    return _folded("Not available, and why", "Task and cohort", columns, found, note="")


def value_cell(row: Number | None) -> Cell:
    """Return a number with its interval below; a dash where there is none."""
    return (
        Cell(text=NONE) if row is None else Cell(text=share(row["value"]), detail=ends(row["ci_low"], row["ci_high"]))
    )


def _folded(caption: str, head: str, columns: tuple[Column, ...], rows: Sequence[Row], *, note: str) -> Table | None:
    if not rows:
        return None
    return Table(caption=caption, head=head, columns=columns, rows=tuple(rows), note=note, is_folded=True)
