"""From the data of a chart to positions on paper: scales, ticks and paths, rounded to be the same everywhere.

What does not belong here: colours and type (the template's), and what the numbers mean.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.report.content import Axis, GroupedBars, Histogram, Line, LineChart, Role, Scatter
from pipelines.report.formats import plain, true_minus
from pipelines.report.scatter import Plate, draw_scatter

WIDTH, HEIGHT = 440, 280
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 46
GAP = 1.5  # between two bars
NAMES, VALUES = 138, 50  # room for the names left of lying bars, and for their values right of them
ROW, THICK, HEAD = 20, 11, 34  # a lying bar with its gap, the bar, and the line above a group
SMALLEST = 1e-9  # what is smaller is drawn as nothing


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A dot with what it says when pointed at."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A drawn line: its path, the path of its interval, its dots."""

    name: str
    role: str
    path: str
    band: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, kw_only=True)
class Box:
    """A drawn bar."""

    x: float
    y: float
    width: float
    height: float
    text: str
    is_point: bool


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Everything the template needs to write one chart as SVG."""

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    traces: tuple[Trace, ...] = ()
    boxes: tuple[Box, ...] = ()
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True, kw_only=True)
class Strip:
    """A drawn lying bar: its name left, its interval over it, its value right."""

    label: str
    role: Role
    x: float
    y: float
    width: float
    whisker: str
    value: str
    text: str


@dataclass(frozen=True, kw_only=True)
class StripGroup:
    """A drawn group of lying bars: the line above it, its bars, and the marked value across them."""

    title: str
    detail: str
    at: float
    strips: tuple[Strip, ...]
    mark: str


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Everything the template needs to write groups of lying bars as SVG."""

    x_ticks: tuple[Tick, ...]
    groups: tuple[StripGroup, ...]
    start: float
    height: int
    width: int = WIDTH
    left: int = NAMES
    right: int = WIDTH - VALUES
    thick: int = THICK


class Scale:
    """A map from values to positions, linear or logarithmic."""

    def __init__(self, low: float, high: float, start: float, end: float, *, is_log: bool = False) -> None:
        assert high > low, "a scale needs two different ends"
        self._is_log = is_log
        self._low, self._high = (math.log(low), math.log(high)) if is_log else (low, high)
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        """Position of a value, to a hundredth."""
        value = math.log(value) if self._is_log else value
        share = (value - self._low) / (self._high - self._low)
        return round(self._start + share * (self._end - self._start), 2)


def draw(chart: LineChart | Histogram | GroupedBars | Scatter) -> Drawing | Sheet | Plate:
    """Lay a chart out on a sheet of `WIDTH` by `HEIGHT`; lying bars take the height they need, scatters a square.

    Raises:
        ValueError: the chart holds no data; say so in words instead of drawing it.
    """
    if isinstance(chart, GroupedBars):
        return _draw_strips(chart)
    if isinstance(chart, Scatter):
        return draw_scatter(chart)
    return _draw_lines(chart) if isinstance(chart, LineChart) else _draw_histogram(chart)


def nice_ticks(low: float, high: float, most: int = 6) -> tuple[float, ...]:
    """Round numbers from at or below `low` to at or above `high`, at most `most` steps apart."""
    span = next(size for size in (high - low, abs(high), 1.0) if size > SMALLEST)
    magnitude = 10.0 ** math.floor(math.log10(span / most))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10, 20) if span / (m * magnitude) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(step * i, 10) for i in range(first, max(last, first + 1) + 1))


def _draw_lines(chart: LineChart) -> Drawing:
    points = [point for line in chart.lines for point in line.points]
    if not points:
        raise ValueError(f"chart {chart.caption!r} has no points")
    ys = [value for p in points for value in (p.y, p.low, p.high) if value is not None]
    x_ticks = chart.x.ticks or nice_ticks(min(p.x for p in points), max(p.x for p in points))
    y_ticks = chart.y.ticks or nice_ticks(min(0.0, *ys) if chart.y.starts_at_zero else min(ys), max(ys))
    if chart.y.is_percent and max(ys) <= 1:
        y_ticks = tuple(tick for tick in y_ticks if tick <= 1)
    x = _x_scale(chart.x, x_ticks)
    y = Scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    return Drawing(
        x_ticks=_ticks(chart.x, x_ticks, x),
        y_ticks=_ticks(chart.y, y_ticks, y),
        traces=tuple(_trace(line, x, y) for line in chart.lines if line.points),
    )


def _x_scale(axis: Axis, ticks: Sequence[float]) -> Scale:
    low, high = ticks[0], ticks[-1]
    if low == high:
        low, high = (low / 2, high * 2) if axis.is_log else (low - 1, high + 1)
    return Scale(low, high, LEFT, WIDTH - RIGHT, is_log=axis.is_log)


def _ticks(axis: Axis, values: Sequence[float], scale: Scale) -> tuple[Tick, ...]:
    unit = 100 if axis.is_percent else 1
    return tuple(Tick(at=scale(value), label=true_minus(plain(value * unit, 4))) for value in values)


def _trace(line: Line, x: Scale, y: Scale) -> Trace:
    middle = [(x(p.x), y(p.y)) for p in line.points]
    banded = [p for p in line.points if p.low is not None and p.high is not None]
    around = [(x(p.x), y(p.high)) for p in banded if p.high is not None]
    around += [(x(p.x), y(p.low)) for p in reversed(banded) if p.low is not None]
    marks = tuple(Mark(x=x(p.x), y=y(p.y), text=p.text) for p in line.points) if line.has_marks else ()
    band = _path(around) + "Z" if len(banded) > 1 else ""
    return Trace(name=line.name, role=line.role, path=_path(middle), band=band, marks=marks)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points)


def _draw_histogram(chart: Histogram) -> Drawing:
    if not any(bar.count for bar in chart.bars):
        raise ValueError(f"chart {chart.caption!r} has no counts")
    ranges = [bar for bar in chart.bars if not bar.is_point]
    num_points = len(chart.bars) - len(ranges)
    slot = (WIDTH - RIGHT - LEFT) / (len(ranges) + 1.4 * num_points)
    x_ticks = chart.x.ticks or nice_ticks(min(b.low for b in chart.bars), max(b.high for b in chart.bars))
    x = Scale(ranges[0].low, ranges[-1].high, LEFT + 1.4 * num_points * slot, WIDTH - RIGHT)
    y_ticks = nice_ticks(0, max(bar.count for bar in chart.bars), most=5)
    y = Scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    boxes, at = [], float(LEFT)
    for bar in chart.bars:
        left, width = (at, slot) if bar.is_point else (x(bar.low), x(bar.high) - x(bar.low))
        at += 1.4 * slot if bar.is_point else 0
        top = y(bar.count)
        boxes.append(
            Box(
                x=round(left + GAP / 2, 2),
                y=top,
                width=round(max(width - GAP, 1), 2),
                height=round(HEIGHT - BOTTOM - top, 2),
                text=bar.text,
                is_point=bar.is_point,
            )
        )
    points = tuple(
        Tick(at=round(box.x + box.width / 2, 2), label=plain(bar.low))
        for bar, box in zip(chart.bars, boxes, strict=True)
        if bar.is_point
    )
    visible = [value for value in x_ticks if ranges[0].low < value <= ranges[-1].high]
    return Drawing(
        x_ticks=(*points, *_ticks(chart.x, visible, x)), y_ticks=_ticks(chart.y, y_ticks, y), boxes=tuple(boxes)
    )


def _draw_strips(chart: GroupedBars) -> Sheet:
    bars = [bar for group in chart.groups for bar in group.bars]
    if not bars:
        raise ValueError(f"chart {chart.caption!r} has no bars")
    ends = [value for bar in bars for value in (bar.value, bar.low, bar.high) if value is not None]
    ends += [chart.start, *(group.mark for group in chart.groups if group.mark is not None)]
    ticks = chart.x.ticks or nice_ticks(min(ends), max(ends), most=5)
    x = Scale(ticks[0], ticks[-1], NAMES, WIDTH - VALUES)
    groups, y = [], 0
    for group in (group for group in chart.groups if group.bars):
        first = y + HEAD
        y = first + ROW * len(group.bars)
        strips = []
        for at, bar in enumerate(group.bars):
            low, high = sorted((x(chart.start), x(bar.value)))
            strips.append(
                Strip(
                    label=bar.label,
                    role=bar.role,
                    x=low,
                    y=first + ROW * at + (ROW - THICK) / 2,
                    width=round(max(high - low, 1), 2),
                    whisker=_whisker(x, bar.low, bar.high, first + ROW * at + ROW / 2),
                    value=true_minus(f"{bar.value:.3f}"),
                    text=bar.text,
                )
            )
        mark = "" if group.mark is None else f"M{x(group.mark):g},{first}V{y}"
        groups.append(StripGroup(title=group.title, detail=group.detail, at=first - 9, strips=tuple(strips), mark=mark))
    return Sheet(x_ticks=_ticks(chart.x, ticks, x), groups=tuple(groups), start=x(chart.start), height=y + BOTTOM)


def _whisker(x: Scale, low: float | None, high: float | None, y: float) -> str:
    """The path of an interval with its two ends; nothing where there is none."""
    if low is None or high is None:
        return ""
    return f"M{x(low):g},{y - 3:g}v6M{x(low):g},{y:g}H{x(high):g}M{x(high):g},{y - 3:g}v6"
