"""What each table cost: seconds and peak memory of its last build, as the lake recorded them.

The one section that is not the same for the same tables; it is part of no digest.
"""

from collections.abc import Iterable

from lake import Lake, Manifest
from pipelines.report.content import Cell, Column, Note, Part, Row, Section, Table
from pipelines.report.formats import NONE, decimal, duration


def costs_section(lake: Lake, *, manifests: Iterable[Manifest]) -> Section:
    """List seconds, CPU seconds and peak memory by table, the dearest first."""
    timed = [(manifest, lake.timing(manifest.table)) for manifest in manifests]
    timed = sorted((pair for pair in timed if pair[1]), key=lambda pair: (-pair[1]["seconds"], pair[0].table))
    part: Part = Note(text="No cost was recorded for these tables.", tone="missing")
    if timed:
        part = _table([(manifest.table, manifest.layer, timing) for manifest, timing in timed])
    return Section(
        name="costs",
        title="Costs",
        lead="Wall-clock and CPU seconds of the last build of each table, and the most memory its process held. A "
        "table that was current was not built again.",
        num_rows=len(timed),
        bands=((part,),),
    )


def _table(timed: list[tuple[str, str, dict[str, float]]]) -> Table:
    longest = max(timing["seconds"] for _, _, timing in timed) or 1.0
    largest = max(timing["peak_mb"] for _, _, timing in timed) or 1.0
    rows = [
        Row(
            label=table,
            detail=layer,
            cells=(
                Cell(text=decimal(timing["seconds"], 2), bar=timing["seconds"] / longest),
                Cell(text=decimal(timing["cpu_seconds"], 2) if timing.get("cpu_seconds") else NONE),
                Cell(text=decimal(timing["peak_mb"], 0), bar=timing["peak_mb"] / largest),
            ),
        )
        for table, layer, timing in timed
    ]
    total = sum(timing["seconds"] for _, _, timing in timed)
    return Table(
        caption=f"{len(timed)} tables in {duration(total)}, at most {decimal(largest, 0)} MB",
        head="Table",
        columns=(Column(label="Seconds"), Column(label="CPU seconds"), Column(label="Peak (MB)")),
        rows=tuple(rows),
        note="Training and evaluation run as processes of their own: their CPU seconds are added, the peak is that of "
        "the larger process.",
        is_folded=True,
    )
