"""Prediction: every task at every cohort, in the form of the paper's Figures 5 and 6 with what they do not show.

What lives here: which figures and tables stand where. What does not: what each says (`prediction_figures`,
`prediction_tables`, `prediction_differences`), who is evaluated (`cohorts`), and any metric.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from data_contracts.labels import COHORT_NOTES
from lake import Lake
from pipelines.report import curves
from pipelines.report.cohorts import TASKS as TASK_TITLES
from pipelines.report.content import Fold, GroupedBars, KeyNumber, Note, Part, Section
from pipelines.report.formats import count
from pipelines.report.prediction_curves import Curves, curves_fold
from pipelines.report.prediction_differences import comparison_tables, transfer_table
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
    numbers_table,
    subgroup_table,
    unavailable_table,
)

TABLES = (COMPARISONS, METHODS)
TASKS = (*CRITICALITY, *AT_DISCHARGE)
READMITTED = {"readmission": "To the ICU", "readmission_any": "Of any kind"}
BESIDE = 2
"""Charts that stand beside each other."""
Band = tuple[Part, ...]


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What was published: rows of `metrics`, of `prediction_comparisons`, of `prediction_methods` and of `curves`."""

    numbers: Numbers
    compared: Sequence[Row]
    methods: Sequence[Row]
    curves: Curves

    def compared_at(self, place: Place) -> list[Row]:
        """Differences in a place, those of models of another cohort left out."""
        return [row for row in self.compared if _is_at(row, place) and not Mode.of(row["mode"]).is_transfer]

    def num_positive(self, place: Place, task: str, mode: Mode) -> int:
        """Positives that train; 0 where no method says so."""
        here = (row for row in self.methods if _is_at(row, place) and row["task"] == f"{PREFIX}{task}")
        found = (row["num_train_positive"] for row in here if Mode.of(row["mode"]) == mode)
        return max((number for number in found if number is not None), default=0)


def _is_at(row: Row, place: Place) -> bool:
    return (row["dataset"], row["cohort"], Mode.of(row["mode"]).space) == (place.dataset, place.cohort, place.space)


def predictions_section(lake: Lake) -> Section:
    """Draw every evaluation of the prediction tasks, cohort by cohort."""
    run = _Run(
        numbers=read_numbers(lake),
        compared=read_rows(lake, COMPARISONS),
        methods=read_rows(lake, METHODS),
        curves=curves.read_curves(lake),
    )
    places = run.numbers.places()
    moved = comparison_tables([row for row in run.compared if Mode.of(row["mode"]).is_transfer])
    parts: list[Part | None] = [
        None if places else Note(text="No prediction task was evaluated in this run.", tone="missing"),
        _not_run(places, run.methods),
        _paper_note(run.numbers),
        *(_fold(run, place, is_open=place == places[0]) for place in places),
        transfer_table(run.numbers),
        *moved,
        unavailable_table(run.methods),
    ]
    return Section(
        name="predictions",
        title="Prediction",
        lead="Ours is the pre-trained model, fine-tuned; beside it stands what the profile names of the same network "
        "from scratch, published baselines and simple references. Who trains, chooses and is tested is the same for "
        "all of them. Cohorts stand apart, each with what has to be said of it.",
        num_rows=len(run.numbers.rows) + len(run.compared) + len(run.methods),
        bands=tuple((part,) for part in parts if part is not None),
        key_numbers=_key_numbers(run.numbers, places),
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


def _fold(run: _Run, place: Place, *, is_open: bool) -> Fold:
    """Everything of one cohort: figures, differences, curves, then what is folded away."""
    numbers = run.numbers
    tasks = [task for task in TASKS if numbers.modes(place, task)]
    main = [(task, numbers.modes(place, task)[0]) for task in tasks]
    declared, few, others = comparison_tables(run.compared_at(place))
    drawn = curves_fold(numbers, run.curves, place, main, is_open=is_open)
    efficiency = _in_pairs(
        label_efficiency(numbers, place, task, mode, num_positive=run.num_positive(place, task, mode))
        for task, mode in main
    )
    benefits = _in_pairs(net_benefit(numbers, place, task, mode) for task, mode in main)
    tables = [
        numbers_table(numbers, place, tasks),
        calibration_table(numbers, place, tasks),
        _net_fold(benefits) if benefits else None,
        subgroup_table(numbers, place, tasks),
        others,
    ]
    bands = [*_figures(numbers, place), *_bands(declared, few, drawn), *efficiency, *_bands(*tables)]
    return Fold(caption=place.words, badge=place.badge, note=place.note, bands=tuple(bands), is_open=is_open)


def _figures(numbers: Numbers, place: Place) -> list[Band]:
    """Figure 5, with a fold for every further horizon, and Figure 6."""
    first, *later = [charts for charts in (_figure_5(numbers, place, name) for name in HORIZONS) if charts] or [()]
    readmission: list[Group] = [
        (f"{READMITTED[task]}, {'with' if mode.has_codes else 'without'} ICD codes", task, mode)
        for task in AT_DISCHARGE
        for mode in numbers.modes(place, task)
    ]
    folds = (Fold(caption=charts[0].caption.partition(":")[0], bands=(charts,)) for charts in later)
    bands = (first, *_bands(*folds), bar_charts(numbers, place, readmission, figure="Figure 6, readmission"))
    return [band for band in bands if band]


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


def _bands(*parts: Part | None) -> list[Band]:
    return [(part,) for part in parts if part is not None]


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
