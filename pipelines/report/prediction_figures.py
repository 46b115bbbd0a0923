"""Figures of the prediction tasks: bars in the form of the paper's Figures 5 and 6, label efficiency, net benefit.

What does not belong here: numbers in tables (`prediction_tables`), and how anything is drawn (`charts`, `templates/`).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from pipelines.report.content import Axis, BarGroup, GroupedBars, Line, LineChart, Point, Reading, Role
from pipelines.report.formats import count, plain
from pipelines.report.prediction_numbers import (
    ALL_POSITIVE,
    CHANCE,
    EXPECTED,
    LOGISTIC,
    METHOD_TITLES,
    OURS,
    PROBE,
    SCRATCH,
    TREES,
    Mode,
    Numbers,
    Place,
    Row,
    ends,
    in_order,
    is_one_training,
    one,
    share,
    task_title,
    title,
)

BY_CHANCE = "A random order has more than the prevalence, the more the fewer examples there are."
MEASURES = {"auroc": ("AUROC", 0.5), "auprc": ("AUPR (average precision)", 0.0)}
"""What figures show, and where its bars begin: at what a coin would give, or at nothing."""
ROLE_WORDS: dict[Role, str] = {
    "ours": "ours",
    "own": "ours, other training",
    "baseline": "published baselines",
    "simple": "simple references",
}
LINE_ROLES: dict[str, Literal["main", "first", "second", "third", "fourth"]] = {
    OURS: "main",
    SCRATCH: "first",
    PROBE: "second",
    TREES: "third",
    LOGISTIC: "fourth",
}
"""Methods that are drawn as lines: what pre-training brings, and what is simple."""
NOT_ASKED, REFUSED = "Not run in this profile", "Not available, for reasons given below"
MOST_TENTHS = 7
"""Tenths of an axis of areas that are each a tick; of more, every second is."""
APART = 1.35
"""Ratio from which two ticks of a logarithmic axis do not touch."""
Group = tuple[str, str, Mode]


def bar_charts(numbers: Numbers, place: Place, groups: Sequence[Group], *, figure: str) -> tuple[GroupedBars, ...]:
    """Draw AUROC and AUPR of some groups, each (its title, task, mode); nothing where nothing was measured."""
    found = (_bars(numbers, place, groups, metric=metric, figure=figure) for metric in MEASURES)
    return tuple(chart for chart in found if chart is not None)


def _bars(numbers: Numbers, place: Place, groups: Sequence[Group], *, metric: str, figure: str) -> GroupedBars | None:
    name, start = MEASURES[metric]
    drawn = [_group(numbers, place, *group, metric=metric) for group in groups]
    drawn = [group for group in drawn if group.bars]
    if not drawn:
        return None
    has_mark = any(group.mark is not None for group in drawn)
    roles = {bar.role for group in drawn for bar in group.bars}
    origin = "Bars begin at 0.5, what a coin would give." if start else BY_CHANCE
    said = "; ".join(f"{group.title}: {', '.join(bar.text for bar in group.bars)}" for group in drawn)
    return GroupedBars(
        caption=f"{figure}: {name}",
        description=f"{said}.",
        x=Axis(label=name, ticks=_tenths(drawn, start)),
        groups=tuple(drawn),
        start=start,
        roles=tuple((role, words) for role, words in ROLE_WORDS.items() if role in roles),
        mark="chance" if has_mark else "",
        note=f"{origin} {_not_drawn(numbers, place, groups, metric=metric)}".strip(),
    )


def _tenths(groups: Sequence[BarGroup], start: float) -> tuple[float, ...]:
    ends = [end for group in groups for bar in group.bars for end in (bar.value, bar.low, bar.high) if end is not None]
    ends += [group.mark for group in groups if group.mark is not None]
    first, last = math.floor(10 * min(start, *ends) + 1e-9), math.ceil(10 * max(ends) - 1e-9)
    if last - first > MOST_TENTHS:
        return tuple(tenth / 10 for tenth in range(first - first % 2, last + last % 2 + 1, 2))
    return tuple(tenth / 10 for tenth in range(first, max(last, first + 1) + 1))


def _group(numbers: Numbers, place: Place, name: str, task: str, mode: Mode, *, metric: str) -> BarGroup:
    rows = numbers.at(place, task, mode, metric)
    methods = in_order(row["method"] for row in rows)
    bars = tuple(_reading(row) for method in methods for row in [one(rows, method=method)] if row is not None)
    chance = one(rows, method=CHANCE)
    largest = max(rows, key=lambda row: row["n"], default=None)
    detail = f"{count(largest['num_positive'] or 0)} events of {count(largest['n'])}" if largest else ""
    mark = chance["value"] if chance else None
    return BarGroup(title=name, detail=detail, bars=bars, mark=mark)


def _reading(row: Row) -> Reading:
    name, role = METHOD_TITLES[row["method"]]
    around = ends(row["ci_low"], row["ci_high"])
    text = f"{name} {share(row['value'])}" + (f" ({around})" if around else "")
    label = name if role == "ours" else name.removeprefix(f"{title(OURS)} ")
    return Reading(label=label, role=role, value=row["value"], low=row["ci_low"], high=row["ci_high"], text=text)


def _not_drawn(numbers: Numbers, place: Place, groups: Sequence[Group], *, metric: str) -> str:
    """Say which groups and methods have no bar: nobody asked for them, or they could not be measured."""
    measured = {name: {row["method"] for row in numbers.at(place, task, mode, metric)} for name, task, mode in groups}
    empty = [name for name, methods in measured.items() if not methods]
    lacking: dict[str, dict[str, list[str]]] = {NOT_ASKED: {}, REFUSED: {}}
    for name, task, mode in groups:
        for method in in_order(EXPECTED[task] - measured[name] if measured[name] else ()):
            why = REFUSED if numbers.is_refused(place, task, mode, method) else NOT_ASKED
            lacking[why].setdefault(method, []).append(name)
    said = [f"No numbers for {', '.join(empty)}."] if empty else []
    for why, methods in lacking.items():
        whole = [title(method) for method, names in methods.items() if len(names) == len(groups) - len(empty)]
        partly = [f"{title(m)} ({', '.join(n)})" for m, n in methods.items() if len(n) < len(groups) - len(empty)]
        said += [f"{why}: {', '.join([*whole, *partly])}."] if methods else []
    return " ".join(said)


def label_efficiency(numbers: Numbers, place: Place, task: str, mode: Mode, *, num_positive: int) -> LineChart | None:
    """Draw AUROC over the positives trained on; None where nothing was trained on fewer than all.

    Args:
        numbers: of prediction tasks.
        place: where.
        task: which task.
        mode: and which horizon.
        num_positive: positives of the whole training part.
    """
    few = [row for row in numbers.at(place, task, mode, "auroc", k=_positive) if row["k"] < num_positive]
    if not few or not num_positive:
        return None
    whole = numbers.at(place, task, mode, "auroc")
    methods = [name for name in LINE_ROLES if one(few, method=name)]
    lines = tuple(
        Line(
            name=title(name),
            role=LINE_ROLES[name],
            points=_points(
                [(row["k"], row) for row in sorted(few, key=_by_k) if row["method"] == name]
                + [(num_positive, row) for row in whole if row["method"] == name],
                name=title(name),
                at="with {} positives",
            ),
            has_marks=True,
        )
        for name in methods
    )
    single = numbers.at(place, task, mode, "auroc", k=_positive, seed=is_one_training)
    seeds = {row["seed"] for row in single}
    number = f"{count(len(seeds))} {'draw' if len(seeds) == 1 else 'draws'}"
    draws = f" Where not all positives train, the mean of {number} of them." if seeds else ""
    ticks = sorted({float(row["k"]) for row in few})
    return LineChart(
        caption=f"{task_title(task)}: label efficiency",
        description=_said(lines),
        x=Axis(
            label=f"positives trained on (all are {count(num_positive)}), logarithmic",
            ticks=(*(tick for tick in ticks if num_positive / tick >= APART), float(num_positive)),
            is_log=True,
        ),
        y=Axis(label="AUROC", starts_at_zero=False),
        lines=lines,
        note=f"Bands are 95 % intervals, patients and, where there are several, trainings resampled.{draws}",
    )


def net_benefit(numbers: Numbers, place: Place, task: str, mode: Mode) -> LineChart | None:
    """Draw net benefit over the risk from which one would treat; None where it was not measured."""
    rows = sorted(numbers.at(place, task, mode, "net_benefit", k=_positive), key=_by_k)
    drawn = {name: title(name) for name in (OURS, TREES, LOGISTIC) if one(rows, method=name)}
    if not drawn:
        return None
    highest = max(row["value"] for row in rows)
    floor = min(0.0, -0.25 * highest, *(row["value"] for row in rows if row["method"] in drawn))
    lines = [
        Line(name=name, role=LINE_ROLES[method], points=_benefits(rows, method, name), has_marks=True)
        for method, name in drawn.items()
    ]
    lines.append(
        Line(name="everybody", role="chance", points=_above(_benefits(rows, ALL_POSITIVE, "everybody"), floor))
    )
    xs = sorted({float(row["k"]) for row in rows})
    nobody = tuple(Point(x=x, y=0.0, text=f"nobody at {plain(x)} %: 0.000") for x in dict.fromkeys((xs[0], xs[-1])))
    lines.append(Line(name="nobody", role="paper", points=nobody))
    return LineChart(
        caption=f"{task_title(task)}: net benefit",
        description=_said(line for line in lines if line.points),
        x=Axis(label="predicted risk from which one treats (%)", ticks=tuple(xs)),
        y=Axis(label="net benefit per 100 patients", is_percent=True),
        lines=tuple(lines),
    )


def _benefits(rows: Iterable[Row], method: str, name: str) -> tuple[Point, ...]:
    points = _points([(row["k"], row) for row in rows if row["method"] == method], name=name, at="at {} %")
    return tuple(replace(point, low=None, high=None) for point in points)  # said, not drawn: bands would hide lines


def _above(points: Sequence[Point], floor: float) -> tuple[Point, ...]:
    """Points of a line up to where it falls below the sheet: treating everybody loses more than there is room for."""
    kept = [point for point in points if point.y >= floor]
    if 0 < len(kept) < len(points):
        before, after = kept[-1], points[len(kept)]
        part = (before.y - floor) / (before.y - after.y)
        kept.append(Point(x=before.x + part * (after.x - before.x), y=floor, text=after.text))
    return tuple(kept)


def _positive(k: int) -> bool:
    return k > 0


def _by_k(row: Row) -> int:
    return int(row["k"])


def _points(rows: Iterable[tuple[int, Row]], *, name: str, at: str) -> tuple[Point, ...]:
    return tuple(
        Point(
            x=float(x),
            y=row["value"],
            low=row["ci_low"],
            high=row["ci_high"],
            text=f"{name} {at.format(plain(x))}: {share(row['value'])}"
            + (f" ({ends(row['ci_low'], row['ci_high'])})" if row["ci_low"] is not None else ""),
        )
        for x, row in rows
    )


def _said(lines: Iterable[Line]) -> str:
    return ". ".join("; ".join(point.text for point in line.points) for line in lines) + "."
