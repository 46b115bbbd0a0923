"""Geometry and words of the report: ticks cover the data, positions lie on the sheet, numbers read as they should."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.report.ablation import _chart as ablation_chart
from pipelines.report.charts import HEIGHT, THICK, WIDTH, Sheet, draw, nice_ticks
from pipelines.report.content import (
    Axis,
    Bar,
    BarGroup,
    GroupedBars,
    Histogram,
    Line,
    LineChart,
    Point,
    Reading,
    Section,
    mean_cell,
)
from pipelines.report.formats import duration, interval, maths, median, percent, plain, ratio
from pipelines.report.prediction_figures import _tenths

VALUES = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False).map(lambda x: round(x, 3))


@given(VALUES, VALUES)
def test_ticks_cover_the_data_evenly(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    ticks = nice_ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1)
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 9
    steps = [after - before for before, after in itertools.pairwise(ticks)]
    assert all(math.isclose(step, steps[0], rel_tol=1e-6, abs_tol=1e-9) for step in steps)


def test_ticks_are_round() -> None:
    assert nice_ticks(0, 0.93) == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    assert nice_ticks(0, 300) == (0, 50, 100, 150, 200, 250, 300)
    assert nice_ticks(0, 7) == (0, 2, 4, 6, 8)


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 1)), min_size=1, max_size=20, unique_by=lambda p: p[0]))
def test_every_mark_lies_on_the_sheet(pairs: list[tuple[int, float]]) -> None:
    points = tuple(Point(x=x, y=y, low=y / 2, high=min(1, y * 2)) for x, y in sorted(pairs))
    chart = LineChart(
        caption="c",
        description="d",
        x=Axis(label="x", ticks=tuple(float(p.x) for p in points), is_log=True),
        y=Axis(label="y", is_percent=True),
        lines=(Line(name="l", role="main", points=points, has_marks=True),),
    )
    drawing = draw(chart)
    marks = drawing.traces[0].marks
    assert len(marks) == len(points)
    assert all(drawing.left <= mark.x <= drawing.right and drawing.top <= mark.y <= drawing.bottom for mark in marks)
    assert all(drawing.top <= tick.at <= drawing.bottom for tick in drawing.y_ticks)


def test_percent_axes_end_at_one_hundred() -> None:
    line = Line(name="l", role="main", points=(Point(x=1, y=0.93, low=0.9, high=1.0), Point(x=2, y=0.97)))
    chart = LineChart(
        caption="c", description="d", x=Axis(label="x"), y=Axis(label="y", is_percent=True), lines=(line,)
    )
    assert [tick.label for tick in draw(chart).y_ticks][-1] == "100"


def test_bars_are_as_high_as_their_counts() -> None:
    bars = [Bar(low=0, high=0, count=10, text="a", is_point=True)]
    bars += [Bar(low=i, high=i + 1, count=i * 5, text="b") for i in range(3)]
    drawing = draw(Histogram(caption="c", description="d", x=Axis(label="x"), y=Axis(label="y"), bars=tuple(bars)))
    first, none, half, whole = drawing.boxes
    assert (none.height, first.height, round(2 * half.height, 2)) == (0, whole.height, whole.height)
    assert first.x + first.width < none.x, "the single value stands apart"
    assert whole.x + whole.width <= WIDTH and whole.y + whole.height <= HEIGHT


def lying(*bars: Reading, mark: float | None = None) -> GroupedBars:
    groups = (BarGroup(title="a", detail="", bars=bars, mark=mark), BarGroup(title="b", detail="", bars=bars[:1]))
    return GroupedBars(caption="c", description="d", x=Axis(label="x"), groups=groups, start=0.5, roles=())


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12), st.floats(0, 1))
def test_lying_bars_keep_their_rows_and_the_sheet(values: list[tuple[float, float]], mark: float) -> None:
    bars = [Reading(label="l", role="ours", value=v, text="t", low=v * part, high=v) for v, part in values]
    sheet = draw(lying(*bars, mark=mark))
    assert isinstance(sheet, Sheet)
    first, second = sheet.groups
    assert (len(first.strips), len(second.strips)) == (len(bars), 1) and first.mark and not second.mark
    strips = [*first.strips, *second.strips]
    assert all(sheet.left <= strip.x and strip.x + strip.width <= sheet.right + 1 for strip in strips)
    assert all(after.y - before.y >= THICK for before, after in itertools.pairwise(strips))
    assert strips[len(bars) - 1].y + THICK < second.at < strips[-1].y < sheet.height - THICK


def test_an_axis_reaches_what_is_marked() -> None:
    common = {"dataset": "pretrain_corpus", "metric": "f1", "mode": "description", "k": 0, "n": 48, "split": "s"}
    rows = [{**common, "method": "a", "value": 0.3, "ci_low": 0.2, "ci_high": 0.4}]
    rows += [{**common, "method": "all_positive", "value": 0.67, "ci_low": None, "ci_high": None}]
    assert ablation_chart(rows, "pretrain_corpus", "f1").x.ticks[-1] >= 0.67
    group = BarGroup(title="t", detail="", bars=(Reading(label="l", role="ours", value=0.2, text="t"),), mark=0.44)
    assert _tenths([group], 0.0)[-1] == 0.5


def test_numbers_below_zero_have_a_true_minus() -> None:
    sheet = draw(lying(Reading(label="l", role="ours", value=-0.005, text="t", low=-0.1, high=0.1)))
    assert isinstance(sheet, Sheet)
    assert sheet.groups[0].strips[0].value == "−0.005" and all("-" not in tick.label for tick in sheet.x_ticks)


def test_a_lying_bar_begins_at_its_start() -> None:
    above, below, bare = (
        Reading(label="l", role="ours", value=value, text="t", low=low, high=low and value)
        for value, low in ((0.9, 0.7), (0.3, 0.2), (0.6, None))
    )
    sheet = draw(lying(above, below, bare))
    assert isinstance(sheet, Sheet)
    right, left, alone = sheet.groups[0].strips
    assert right.x == sheet.start and round(left.x + left.width, 2) == sheet.start
    assert right.value == "0.900" and right.whisker.count("M") == 3 and alone.whisker == ""


def test_a_chart_without_data_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no bars"):
        draw(lying())
    axis = Axis(label="x")
    with pytest.raises(ValueError, match="has no points"):
        draw(LineChart(caption="c", description="d", x=axis, y=axis, lines=(Line(name="l", role="main", points=()),)))
    with pytest.raises(ValueError, match="has no counts"):
        draw(
            Histogram(caption="c", description="d", x=axis, y=axis, bars=(Bar(low=0, high=1, count=0, text=""),)),
        )


def test_numbers_in_words() -> None:
    assert [plain(v) for v in (3.0, 3.5, 0.256, 12_345.0)] == ["3", "3.5", "0.26", "12,345"]
    assert percent(0.12345, 2) == "12.35 %" and ratio(1, 0) == "–" and ratio(1, 8) == "12.5 %"
    assert interval(0.1, 0.25) == "10.0–25.0" and interval(None, 0.25) == ""
    assert [duration(v) for v in (0.44, 723, 7500)] == ["0.4 s", "12 min 3 s", "2 h 5 min"]
    assert (median([3, 1, 2]), median([4, 1, 2, 3])) == (2.0, 2.5)
    assert (mean_cell([1, 2, 6]).text, mean_cell([1, 2, 6]).detail, mean_cell([]).text) == ("3.0", "median 2", "–")
    assert maths("L_A <b> x_L_A") == "L<sub>A</sub> &lt;b&gt; x_L_A"


def test_the_digest_follows_what_is_shown() -> None:
    section = Section(name="a", title="t", lead="l", num_rows=1, bands=())
    assert section.content_sha256 == Section(name="a", title="t", lead="l", num_rows=1, bands=()).content_sha256
    assert section.content_sha256 != Section(name="a", title="t", lead="l", num_rows=2, bands=()).content_sha256
