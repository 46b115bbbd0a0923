"""Curves of the classifications by prompts: ours beside the models with the largest areas, as each harness ran them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from pipelines.report.content import Fold, Note, Part
from pipelines.report.curves import ROLES, TOO_FEW, Curve, Place, curve_charts
from pipelines.report.curves import Row as CurveRow
from pipelines.report.methods import in_order

OURS = "medcsp"
Found = Mapping[str, Any]
Band = tuple[Part, ...]


def curve_bands(
    rows: Sequence[Found],
    curves: Mapping[Place, Mapping[str, Sequence[CurveRow]]],
    *,
    what: str,
    name: Callable[[str], str],
) -> list[Band]:
    """Draw both curves of one task by the headline prompts; what the released harness gave is folded away.

    Args:
        rows: of `metrics`, of the task.
        curves: points, as `read_curves` gives them.
        what: the task, for captions.
        name: what a method is called, with what has to be said of it.
    """
    bands: list[Band] = []
    task = rows[0]["task"]
    for place in sorted(place for place in curves if place[0] == task):
        base, _, harness = place[3].partition("/")
        drawn = list(_drawn(rows, curves[place], place, name))
        charts = curve_charts(drawn, what=what, how=f"Prompts: {base.replace('_', ' ')}.")
        caption = f"{what}: curves in the released harness"
        bands.append((Fold(caption=caption, bands=(charts,)),) if harness else charts)
    if not bands and any(row["metric"] == "auroc" for row in rows):
        bands.append((Note(text=f"No curve of {what}: {TOO_FEW}.", tone="missing"),))
    return bands


def _drawn(
    rows: Sequence[Found], found: Mapping[str, Sequence[CurveRow]], place: Place, name: Callable[[str], str]
) -> Iterator[Curve]:
    """Ours and the largest areas, in the order in which methods stand."""
    areas = {(row["metric"], row["method"]): row["value"] for row in rows if row["mode"] == place[3]}
    others = sorted(found.keys() - {OURS}, key=lambda method: (-areas.get(("auroc", method), 0.0), method))
    chosen: Collection[str] = {OURS, *others[: len(ROLES) - 1]}
    methods = [method for method in in_order(found) if method in chosen]
    for method, role in zip(methods, ROLES, strict=False):
        yield Curve(
            name=name(method),
            role=role,
            rows=found[method],
            auroc=areas.get(("auroc", method)),
            auprc=areas.get(("auprc", method)),
        )
