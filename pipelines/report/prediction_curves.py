"""Curves of the prediction tasks: ours, from scratch, simple references, the best published baseline of each task."""

from collections.abc import Mapping, Sequence

from pipelines.report.content import Fold, Note, Part
from pipelines.report.curves import TOO_FEW, Curve, LineRole, curve_charts
from pipelines.report.curves import Place as CurvePlace
from pipelines.report.curves import Row as CurveRow
from pipelines.report.prediction_figures import LINE_ROLES
from pipelines.report.prediction_numbers import (
    LOGISTIC,
    METHOD_TITLES,
    OURS,
    PREFIX,
    SCRATCH,
    TREES,
    Mode,
    Numbers,
    Place,
    in_order,
    task_title,
    title,
)

ALWAYS = (OURS, SCRATCH, TREES, LOGISTIC)
BEST: LineRole = "second"
"""How the best published baseline is drawn, whichever it is."""
Curves = Mapping[CurvePlace, Mapping[str, Sequence[CurveRow]]]


def curves_fold(
    numbers: Numbers, curves: Curves, place: Place, headlines: Sequence[tuple[str, Mode]], *, is_open: bool
) -> Fold | None:
    """Draw both curves of every task at its headline, and name the tasks that have none.

    Args:
        numbers: of prediction tasks, whose areas stand in the legends.
        curves: points, as `read_curves` gives them.
        place: where.
        headlines: tasks, each with its first horizon.
        is_open: whether the fold is.
    """
    bands: list[tuple[Part, ...]] = []
    lacking = []
    for task, mode in headlines:
        found = curves.get((f"{PREFIX}{task}", place.dataset, place.cohort, mode.name), {})
        drawn = _drawn(numbers, found, place, task, mode)
        if drawn:
            bands.append(curve_charts(drawn, what=task_title(task)))
        elif numbers.at(place, task, mode, "auroc"):
            lacking.append(task_title(task))
    if lacking:
        bands.append((Note(text=f"No curve of {', '.join(lacking)}: {TOO_FEW}.", tone="missing"),))
    note = "Of the test part at the first horizon, of ours, the simple references and the published baseline with the "
    note += (
        "largest AUROC; the table curves holds every method. Curves are means over trainings at the same recall, so "
    )
    note += "that their areas are the means reported above."
    return (
        Fold(caption="ROC and precision-recall curves", bands=tuple(bands), note=note, is_open=is_open)
        if bands
        else None
    )


def _drawn(
    numbers: Numbers, found: Mapping[str, Sequence[CurveRow]], place: Place, task: str, mode: Mode
) -> list[Curve]:
    """At most five curves, in the order in which methods stand."""
    areas = {
        metric: {row["method"]: float(row["value"]) for row in numbers.at(place, task, mode, metric)}
        for metric in ("auroc", "auprc")
    }
    published = [name for name in in_order(found) if METHOD_TITLES[name][1] == "baseline"]
    best = max(published, key=lambda name: areas["auroc"].get(name, 0.0), default="")
    return [
        Curve(
            name=title(name),
            role=BEST if name == best else LINE_ROLES[name],
            rows=found[name],
            auroc=areas["auroc"].get(name),
            auprc=areas["auprc"].get(name),
        )
        for name in in_order(found)
        if name in (*ALWAYS, best)
    ]
