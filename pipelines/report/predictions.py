"""Prediction: every task at every cohort, in the form of the paper's Figures 5 and 6 with what they do not show.

What lives here: which figures and tables stand where. What does not: what each says (`prediction_figures`,
`prediction_tables`), who is evaluated (`cohorts`), and any metric.
"""

from collections.abc import Iterable, Sequence

from data_contracts.labels import COHORT_NOTES
from lake import Lake
from pipelines.report.cohorts import TASKS as TASK_TITLES
from pipelines.report.content import Fold, GroupedBars, KeyNumber, Note, Part, Section
from pipelines.report.formats import count
from pipelines.report.prediction_figures import Group, bar_charts, label_efficiency, net_benefit
from pipelines.report.prediction_numbers import (
    AT_DISCHARGE,
    COMPARISONS,
    CRITICALITY,
    HORIZONS,
    METHODS,
    OURS,
    PREFIX,
    TREES,
    Mode,
    Numbers,
    Place,
    Row,
    ends,
    one,
    read_numbers,
    read_rows,
    share,
    task_title,
)
from pipelines.report.prediction_tables import (
    calibration_table,
    comparison_tables,
    numbers_table,
    subgroup_table,
    transfer_table,
    unavailable_table,
)

TABLES = (COMPARISONS, METHODS)
TASKS = (*CRITICALITY, *AT_DISCHARGE)
READMITTED = {"readmission": "To the ICU", "readmission_any": "Of any kind"}
BESIDE = 2
"""Charts that stand beside each other."""
Band = tuple[Part, ...]


def predictions_section(lake: Lake) -> Section:
    """Draw every evaluation of the prediction tasks, cohort by cohort."""
    numbers = read_numbers(lake)
    compared, methods = read_rows(lake, COMPARISONS), read_rows(lake, METHODS)
    places = numbers.places()
    folds = [_fold(numbers, place, methods, is_open=place == places[0]) for place in places]
    declared, few, others = comparison_tables(compared)
    unavailable, transfer = unavailable_table(methods), transfer_table(numbers)
    parts: list[Part | None] = [
        None if places else Note(text="No prediction task was evaluated in this run.", tone="missing"),
        _not_run(places, methods),
        _paper_note(numbers),
        declared,
        few,
        *folds,
        transfer,
        others,
        unavailable,
    ]
    return Section(
        name="predictions",
        title="Prediction",
        lead="Ours is the pre-trained model, fine-tuned; beside it stand the same network from scratch, published "
        "baselines and two simple references. Who trains, chooses and is tested is the same for all of them. Cohorts "
        "stand apart, because some hold patients of pre-training under other ids.",
        num_rows=len(numbers.rows) + len(compared) + len(methods),
        bands=tuple((part,) for part in parts if part is not None),
        key_numbers=_key_numbers(numbers, places),
    )


def _not_run(places: Sequence[Place], methods: Sequence[Row]) -> Part | None:
    """Name the tasks and cohorts that nobody asked for; what was asked and has no number has a reason instead."""
    asked = {row["cohort"] for row in methods} | {place.cohort for place in places}
    done = {row["task"].removeprefix(PREFIX) for row in methods}
    cohorts = [name for name in COHORT_NOTES if name not in asked]
    tasks = [TASK_TITLES[task] for task in TASKS if task not in done]
    said = [f"{name} {', '.join(found)}" for name, found in (("cohorts", cohorts), ("tasks", tasks)) if found]
    return Note(text=f"Not run in this profile: {'; '.join(said)}.", tone="missing") if places and said else None


def _paper_note(numbers: Numbers) -> Part | None:
    if not numbers.rows or any(row["paper_value"] is not None for row in numbers.rows):
        return None
    return Note(text="The paper's Figures 5 and 6 are bars; no value of theirs is on record here to stand beside ours.")


def _fold(numbers: Numbers, place: Place, methods: Sequence[Row], *, is_open: bool) -> Fold:
    tasks = [task for task in TASKS if numbers.modes(place, task)]
    bands: list[Band] = []
    figures = [charts for charts in (_figure_5(numbers, place, horizon) for horizon in HORIZONS) if charts]
    later = [Fold(caption=charts[0].caption.partition(":")[0], bands=(charts,)) for charts in figures[1:]]
    readmission: list[Group] = [
        (f"{READMITTED[task]}, {'with' if mode.has_codes else 'without'} ICD codes", task, mode)
        for task in AT_DISCHARGE
        for mode in numbers.modes(place, task)
    ]
    bands += [
        *figures[:1],
        *((fold,) for fold in later),
        bar_charts(numbers, place, readmission, figure="Figure 6, readmission"),
    ]
    main = [(task, numbers.modes(place, task)[0]) for task in tasks]
    positives = {
        (row["task"].removeprefix(PREFIX), row["mode"]): row["num_train_positive"] for row in _of(methods, place)
    }
    curves = [
        label_efficiency(numbers, place, task, mode, num_positive=_positives(positives, task, mode))
        for task, mode in main
    ]
    bands += _in_pairs(curves)
    tables = [make(numbers, place, tasks) for make in (numbers_table, calibration_table, subgroup_table)]
    benefits = _in_pairs(net_benefit(numbers, place, task, mode) for task, mode in main)
    net = _net_fold(benefits) if benefits else None
    bands += [(part,) for part in (*tables[:2], net, *tables[2:]) if part is not None]
    return Fold(
        caption=place.words,
        badge=place.badge,
        note=place.note,
        bands=tuple(band for band in bands if band),
        is_open=is_open,
    )


def _net_fold(bands: Sequence[Band]) -> Fold:
    return Fold(
        caption="Net benefit of treating by predicted risk",
        bands=tuple(bands),
        note="True positives less false ones, weighed by the odds of the risk from which one treats. A model is of use "
        "where it stands above treating everybody and above treating nobody.",
    )


def _figure_5(numbers: Numbers, place: Place, horizon: str) -> tuple[GroupedBars, ...]:
    modes = {task: _with_codes(numbers, place, task, horizon) for task in CRITICALITY}
    groups = [(task_title(task), task, mode) for task, mode in modes.items() if mode is not None]
    return bar_charts(numbers, place, groups, figure=f"Figure 5, onset {HORIZONS[horizon]}")


def _with_codes(numbers: Numbers, place: Place, task: str, horizon: str) -> Mode | None:
    return next((mode for mode in numbers.modes(place, task) if mode.horizon == horizon and mode.has_codes), None)


def _of(methods: Sequence[Row], place: Place) -> list[Row]:
    return [
        row
        for row in methods
        if (row["dataset"], row["cohort"]) == (place.dataset, place.cohort) and row["num_train_positive"] is not None
    ]


def _positives(positives: dict[tuple[str, str], int], task: str, mode: Mode) -> int:
    return max((n for (name, text), n in positives.items() if name == task and Mode.of(text) == mode), default=0)


def _in_pairs(charts: Iterable[Part | None]) -> list[Band]:
    drawn = [chart for chart in charts if chart is not None]
    return [tuple(drawn[first : first + BESIDE]) for first in range(0, len(drawn), BESIDE)]


def _key_numbers(numbers: Numbers, places: Sequence[Place]) -> tuple[KeyNumber, ...]:
    """Ours on the task with the most events of the first cohort."""
    found = [
        (row, task, mode, place)
        for place in places[:1]
        for task in TASKS
        for mode in numbers.modes(place, task)[:1]
        for row in numbers.at(place, task, mode, "auroc", method=OURS)
    ]
    if not found:
        return ()
    row, task, mode, place = max(found, key=lambda item: item[0]["num_positive"] or 0)
    around = ends(row["ci_low"], row["ci_high"])
    trees = one(numbers.at(place, task, mode, "auroc"), method=TREES)
    details = [
        f"95 % interval {around}" if around else "",
        f"boosted trees {share(trees['value'])}" if trees else "",
        f"{count(row['num_positive'] or 0)} events of {count(row['n'])}; {place.cohort}",
    ]
    return (
        KeyNumber(
            label=f"AUROC, {TASK_TITLES[task]}",
            value=share(row["value"]),
            detail="; ".join(detail for detail in details if detail),
            badge="synthetic data" if row["synthetic"] else "",
        ),
    )
