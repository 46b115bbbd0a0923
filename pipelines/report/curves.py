"""ROC and precision-recall curves: a few methods over one pair of axes each, drawn as the steps that were published.

Reads the `curves` table; areas are the published ones. Not here: which methods a page draws (`prediction_curves`,
`zero_shot_curves`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lake import Lake
from pipelines.report.cells import FEW_SEEDS
from pipelines.report.content import Axis, Line, LineChart, Point
from pipelines.report.formats import count
from pipelines.report.prediction_numbers import read_rows, share

TABLE = "curves"
LineRole = Literal["main", "first", "second", "third", "fourth"]
ROLES: tuple[LineRole, ...] = ("main", "first", "second", "third", "fourth")
"""How the curves of a chart are drawn, ours first; it holds no more."""
TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
SAID_AT = (0.25, 0.5, 0.75)
"""Shares of positives at which a curve is put in words."""
TOO_FEW = "fewer than ten positives or fewer than ten negatives were tested"
Row = Mapping[str, Any]
Place = tuple[str, str, str, str]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Both curves of one method, with what its legend says.

    Attributes:
        name: the method, and what has to be said of it.
        role: how it is drawn.
        rows: of `curves`, by point.
        auroc, auprc: its areas as published; None where its task has none.
    """

    name: str
    role: LineRole
    rows: Sequence[Row]
    auroc: float | None
    auprc: float | None


def read_curves(lake: Lake) -> dict[Place, dict[str, list[Row]]]:
    """Points of every curve by task, data set, cohort and mode, then by method."""
    found: dict[Place, dict[str, list[Row]]] = {}
    for row in read_rows(lake, TABLE):
        place = (row["task"], row["dataset"], row["cohort"], row["mode"])
        found.setdefault(place, {}).setdefault(row["method"], []).append(row)
    return found


def curve_charts(curves: Sequence[Curve], *, what: str, how: str = "") -> tuple[LineChart, LineChart]:
    """Draw the ROC and the precision-recall curve of some methods on the same examples.

    Args:
        curves: at least one, ours first.
        what: the task, for the captions.
        how: what more has to be said of it, a sentence for the first note.
    """
    rows = [row for curve in curves for row in curve.rows]
    prevalence = rows[0]["num_positive"] / rows[0]["n"]
    said = ("synthetic", any(row["synthetic"] for row in rows)), ("few seeds", _num_seeds(rows) < FEW_SEEDS)
    badges = tuple(word for word, holds in said if holds)
    coin = _line("Chance", "chance", [(0.0, 0.0), (1.0, 1.0)])
    shares = _line("Prevalence", "chance", [(0.0, prevalence), (1.0, prevalence)], area=prevalence)
    roc = LineChart(
        caption=f"{what}: ROC curve",
        description=_in_words(curves, "false_positive_rate", "false positive rate"),
        x=Axis(label="false positive rate", ticks=TICKS),
        y=Axis(label="true positive rate", ticks=TICKS),
        lines=(*(_line(c.name, c.role, _upright(c.rows), area=c.auroc) for c in curves), coin),
        note=f"Beside a name: AUROC. {_basis(rows)} {how}".strip(),
        badges=badges,
    )
    precision = LineChart(
        caption=f"{what}: precision and recall",
        description=_in_words(curves, "precision", "precision"),
        x=Axis(label="recall (true positive rate)", ticks=TICKS),
        y=Axis(label="precision", ticks=TICKS),
        lines=(*(_line(c.name, c.role, _level(c.rows), area=c.auprc) for c in curves), shares),
        note="Beside a name: average precision, the area of the steps; nothing is interpolated between them.",
        badges=badges,
    )
    return roc, precision


def _num_seeds(rows: Sequence[Row]) -> int:
    return min(int(row["num_seeds"]) for row in rows)


def _basis(rows: Sequence[Row]) -> str:
    """How many were tested, how coarse that leaves a step, and over how many trainings the curves are averaged."""
    first, seeds = rows[0], _num_seeds(rows)
    each = first["num_positive"] // max(row["point"] for row in rows)
    words = f"{count(first['num_positive'])} of {count(first['n'])} are positive; a step is the mean of {count(each)} "
    words += f"positives or more{f' and of {count(seeds)} trainings' if seeds > 1 else ''}."
    return words


def _upright(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """A ROC curve that rises at each cell's mean false positive rate."""
    points, found = [(0.0, 0.0)], 0.0
    for row in rows:
        points += [(row["false_positive_rate"], found), (row["false_positive_rate"], row["recall"])]
        found = row["recall"]
    return [*points, (1.0, 1.0)]


def _level(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """Precision that is level over each cell."""
    points, found = [], 0.0
    for row in rows:
        points += [(found, row["precision"]), (row["recall"], row["precision"])]
        found = row["recall"]
    return points


def _line(
    name: str, role: LineRole | Literal["chance"], points: Sequence[tuple[float, float]], *, area: float | None = None
) -> Line:
    words = name if area is None else f"{name} {share(area)}"
    return Line(name=words, role=role, points=tuple(Point(x=x, y=y) for x, y in points))


def _in_words(curves: Sequence[Curve], column: str, words: str) -> str:
    """What each curve is at a few shares of the positives, for who does not see it."""
    told = []
    for curve in curves:
        cells = {part: curve.rows[math.ceil(part * len(curve.rows)) - 1] for part in SAID_AT}
        told.append(
            f"{curve.name}: "
            + "; ".join(f"{words} {share(row[column])} at recall {part:g}" for part, row in cells.items())
        )
    return f"{'. '.join(told)}."
