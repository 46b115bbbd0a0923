"""From points without a unit to positions on paper: both axes to one scale, so that distances are kept.

What does not belong here: colours and shapes (the template's), and what the points are of.
"""

from dataclasses import dataclass

from pipelines.report.content import Scatter

SIDE, MARGIN = 300, 12


@dataclass(frozen=True, kw_only=True)
class Dots:
    """Drawn points of one colour and shape: a path of strokes of no length, which round or square ends make dots."""

    name: str
    role: str
    is_square: bool
    path: str


@dataclass(frozen=True, kw_only=True)
class Plate:
    """Everything the template needs to write a scatter chart as SVG."""

    dots: tuple[Dots, ...]
    side: int = SIDE


def draw_scatter(chart: Scatter) -> Plate:
    """Lay points out on a square, the middle of their extent in its middle.

    Raises:
        ValueError: the chart holds no point; say so in words instead of drawing it.
    """
    points = [point for cloud in chart.clouds for point in cloud.points]
    if not points:
        raise ValueError(f"chart {chart.caption!r} has no points")
    spans = [(min(values), max(values)) for values in zip(*points, strict=True)]
    widest = max(high - low for low, high in spans) or 1.0
    scale = (SIDE - 2 * MARGIN) / widest
    middles = [(low + high) / 2 for low, high in spans]

    def at(x: float, y: float) -> str:
        across, down = SIDE / 2 + scale * (x - middles[0]), SIDE / 2 - scale * (y - middles[1])
        return f"M{across:.1f},{down:.1f}h0"

    return Plate(
        dots=tuple(
            Dots(name=c.name, role=c.role, is_square=c.is_square, path="".join(at(*point) for point in c.points))
            for c in chart.clouds
        )
    )
