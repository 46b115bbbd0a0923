"""What has to be said beside numbers on X-rays: paired differences, exposure, copies, and what each model was.

Reads what the evaluation published; computes no metric.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lake import Lake
from pipelines.report.content import Cell, Column, Note, Part, Row, Section, Table
from pipelines.report.efforts import SMALL, Effort, beside, read_efforts
from pipelines.report.formats import NONE, count, release
from pipelines.report.methods import in_order, metric_title, title
from pipelines.report.prediction_numbers import ends, read_rows, share

COMPARISONS, METHODS, EXPOSURE, COPIES = (
    *("radiology_comparisons", "radiology_methods", "exposure", "radiology_duplicates"),
)
TABLES = (COMPARISONS, METHODS, EXPOSURE, COPIES, SMALL)
EXPOSURES = {
    "none_known": "none known",
    "possible": "possible",
    "same_release": "same release",
    "trained_on": "trained on it",
}
ONE_TRAINING = (
    "Patients are drawn, with all their films. A difference is of these weights: what another training of either model "
    "would change is in no interval."
)
Found = dict[str, Any]


def x_rays_section(lake: Lake) -> Section:
    """List differences, exposure, copies and models."""
    read = {name: read_rows(lake, name) for name in TABLES}
    trained = read_efforts(lake)
    tables = (
        _differences(read[COMPARISONS], trained, is_declared=True),
        _differences(read[COMPARISONS], trained, is_declared=False),
        _exposure(read[EXPOSURE]),
        _copies(read[COPIES]),
        _models(read[METHODS]),
        _small(read[SMALL]),
    )
    parts: list[Part] = [table for table in tables if table.rows]
    if not parts:
        parts = [Note(text="Nothing was published beside the numbers on X-rays.", tone="missing")]
    return Section(
        name="x_rays",
        title="Beside the numbers on X-rays",
        lead="How sure a difference is, what each model may have seen before, which images are copies, and what each "
        "model was given.",
        num_rows=sum(len(rows) for rows in read.values()),
        bands=tuple((part,) for part in parts),
    )


def _differences(rows: Sequence[Found], trained: Mapping[str, Effort], *, is_declared: bool) -> Table:
    found = [row for row in rows if row["is_declared"] == is_declared and "/" not in row["split"]]
    found.sort(key=lambda row: (row["task"], row["cohort"], row["mode"], row["metric"], row["k"], row["other"]))
    columns = [Column(label="Metric", is_number=False), Column(label="Difference"), Column(label="95 % interval")]
    columns += [Column(label="p"), Column(label="p, Holm")] if is_declared else []
    how = "declared beforehand" if is_declared else "not declared"
    return Table(
        caption=f"Differences of two models on the same films, {how} ({count(len(found))})",
        head="Models",
        columns=(*columns, Column(label="n")),
        rows=tuple(
            Row(
                label=f"{title(row['method'])} less {title(row['other'])}",
                detail=_of_difference(row, trained),
                cells=(
                    Cell(text=metric_title(row["metric"], row["k"])),
                    Cell(text=share(row["difference"])),
                    Cell(text=ends(row["ci_low"], row["ci_high"])),
                    *(_p_cell(row[name]) for name in (("p_value", "p_holm") if is_declared else ())),
                    Cell(text=count(row["n"])),
                ),
            )
            for row in found
        ),
        note=f"Holm’s p values are adjusted over the declared comparisons within a task. {ONE_TRAINING}"
        if is_declared
        else f"Intervals alone: these were not declared beforehand. {ONE_TRAINING}",
        is_folded=not is_declared,
    )


def _of_difference(row: Found, trained: Mapping[str, Effort]) -> str:
    words = f"{row['task']}, {row['cohort']}, {row['mode']}".replace("_", " ")
    effort = beside(row["other"], trained)
    return f"{words}; {title(row['other'])} {effort}" if effort else words


def _p_cell(value: float | None) -> Cell:
    return Cell(text="" if value is None else f"{value:.4f}")


def _exposure(rows: Sequence[Found]) -> Table:
    order = {method: index for index, method in enumerate(in_order(row["method"] for row in rows))}
    return Table(
        caption="What each model has seen of each set",
        head="Model",
        columns=(
            Column(label="Set", is_number=False),
            Column(label="Exposure", is_number=False),
            Column(label="Films seen"),
            Column(label="What it has seen", is_number=False),
        ),
        rows=tuple(
            Row(
                label=title(row["method"]),
                badge="contaminated" if row["is_contaminated"] else "",
                cells=(
                    Cell(text=release(row["dataset"])),
                    Cell(text=EXPOSURES[row["exposure"]]),
                    Cell(text=seen_of(row)),
                    Cell(text=row["seen"]),
                ),
            )
            for row in sorted(rows, key=lambda row: (order[row["method"]], row["dataset"]))
        ),
        is_folded=True,
    )


def seen_of(row: Found) -> str:
    """How many films of a set a model was trained on, as far as that is known."""
    return f"{'unknown' if row['num_seen'] is None else count(row['num_seen'])} of {count(row['num_films'])}"


def _copies(rows: Sequence[Found]) -> Table:
    return Table(
        caption="Copies among the images of each set",
        head="Set",
        columns=(
            Column(label="Images"),
            Column(label="Equal beyond the first"),
            Column(label="Groups across"),
            Column(label="Alike pairs"),
            Column(label="Pairs across"),
        ),
        rows=tuple(
            Row(
                label=release(row["dataset"]),
                detail=f"across one {row['grouping']} and another",
                cells=tuple(
                    Cell(text=count(row[name]))
                    for name in (
                        *("num_images", "num_exact_copies", "num_exact_across", "num_near_pairs", "num_near_across"),
                    )
                ),
            )
            for row in rows
        ),
        note="Equal: the same pixels. Alike: a perceptual hash (dHash) within a few bits. A copy across classes is a "
        "wrong label, one across patients a leak.",
        is_folded=True,
    )


def _models(rows: Sequence[Found]) -> Table:
    order = {method: index for index, method in enumerate(in_order(row["method"] for row in rows))}
    ordered = sorted(rows, key=lambda row: (row["task"], row["mode"], order[row["method"]]))
    return Table(
        caption="What each model is and was given",
        head="Model",
        columns=(
            Column(label="Images", is_number=False),
            Column(label="Texts", is_number=False),
            Column(label="Width"),
            Column(label="Context"),
            Column(label="Parameters"),
            Column(label="Why not", is_number=False),
        ),
        rows=tuple(
            Row(
                label=title(row["method"]),
                detail=f"{row['task']}, {row['mode']}".replace("_", " "),
                badge="not available" if row["reason"] else "",
                cells=(
                    Cell(text=row["pictures"] or ""),
                    Cell(text=(row["texts"] or "").replace("_", " ")),
                    *(
                        Cell(text=NONE if row[name] is None else count(row[name]))
                        for name in ("embed_dim", "context_length", "num_parameters")
                    ),
                    Cell(text=row["reason"] or ""),
                ),
            )
            for row in ordered
        ),
        is_folded=True,
    )


def _small(rows: Sequence[Found]) -> Table:
    return Table(
        caption="Small models of published families, trained here",
        head="Model",
        anchor="small-models",
        columns=(
            Column(label="Studies"),
            Column(label="Steps"),
            Column(label="Batch"),
            Column(label="Parameters"),
            Column(label="Loss, first tenth"),
            Column(label="Loss, last tenth"),
        ),
        rows=tuple(
            Row(
                label=title(row["method"]),
                cells=(
                    *(
                        Cell(text=count(row[name]))
                        for name in ("num_studies", "num_steps", "batch_size", "num_parameters")
                    ),
                    *(Cell(text=f"{row[name]:.3f}") for name in ("first_loss", "last_loss")),
                ),
            )
            for row in rows
        ),
        note="Each by its family’s own objective on the X-rays that ours learns from; not the published weights.",
        is_folded=True,
    )
