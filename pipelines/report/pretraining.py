"""Pre-training: the curves of a checkpoint. What the losses are: `medcsp_model.losses`."""

from typing import Any, Literal

import polars as pl

from lake import Lake
from pipelines.report.content import (
    Axis,
    Cell,
    Column,
    KeyNumber,
    Line,
    LineChart,
    Note,
    Part,
    Point,
    Row,
    Section,
    Table,
)
from pipelines.report.formats import count, decimal, digest, plain

TABLE = "pretrain_checkpoint"
MOST_POINTS, FEW_POINTS = 400, 2
LOSSES: tuple[tuple[str, str, str, Literal["main", "first", "second", "third"]], ...] = (
    ("loss", "total", "L_A + λ_P L_P + λ_D L_D", "main"),
    ("loss_a", "L_A", "modalities agree with their record", "first"),
    ("loss_p", "L_P", "records of one patient agree across sources", "second"),
    ("loss_d", "L_D", "records agree as their diagnosis histories do", "third"),
)


def pretraining_section(lake: Lake, table: str = TABLE, *, name: str = "pre_training") -> Section:
    """Draw the total loss and its three parts, how far positives stand from negatives, and the validation subjects.

    Args:
        lake: where the checkpoint is published.
        table: the checkpoint.
        name: of the section.
    """
    curve = lake.scan(table).sort("step").collect()
    done = batches_parts(_done(lake, table))
    bands = (_parts(curve), _further_charts(curve), done) if curve.height else (_parts(curve),)
    return Section(
        name=name,
        title="Pre-training",
        lead="One model over both sources. Modalities of a record are drawn together (L_A), then records of one "
        "patient (L_P), then records with similar diagnosis histories (L_D).",
        num_rows=curve.height,
        bands=tuple(band for band in bands if band),
        key_numbers=_key_numbers(curve),
    )


def _parts(curve: pl.DataFrame) -> tuple[Part, ...]:
    if not curve.height:
        return (Note(text="There is no training curve: the checkpoint has no logged step.", tone="missing"),)
    return _chart(curve), _table(curve)


def _chart(curve: pl.DataFrame) -> LineChart:
    shown = _thinned(curve)
    lines = [_line(name, role, shown, pl.col(column)) for column, name, _, role in LOSSES]
    first, last = curve.row(0, named=True), curve.row(-1, named=True)
    thinned = (
        f" {count(shown.height)} of {count(curve.height)} logged steps are drawn."
        if shown.height < curve.height
        else ""
    )
    return LineChart(
        caption="Loss by optimiser step",
        description=f"The total loss goes from {decimal(first['loss'], 2)} at step {count(first['step'])} to "
        f"{decimal(last['loss'], 2)} at step {count(last['step'])}.",
        x=Axis(label="optimiser step"),
        y=Axis(label="loss (nats)"),
        lines=tuple(lines),
        note=f"Losses of training batches, unweighted, as logged.{thinned}",
    )


def _done(lake: Lake, table: str) -> dict[str, Any]:
    manifest = lake.manifest(table)
    return manifest.extra.get("training", {}) if manifest else {}


def batches_parts(done: dict[str, Any]) -> tuple[Part, ...]:
    """What met in the batches: linked pairs beside those of independent draws, and how often records were drawn.

    Args:
        done: what the trainer said at its end; nothing where it said nothing of batches.
    """
    if "draws_histogram" not in done:
        return ()
    pairs = {int(number): batches for number, batches in done["linked_pairs_histogram"].items()}
    mean = sum(number * batches for number, batches in pairs.items()) / sum(pairs.values())
    rows = [
        Row(label="Linked pairs in a batch, mean", cells=(Cell(text=decimal(mean, 2)),)),
        Row(label="Linked pairs in a batch, least", cells=(Cell(text=count(min(pairs))),)),
        Row(label="Independent draws would hold", cells=(Cell(text=decimal(done["random_linked_pairs"], 2)),)),
    ]
    met = Table(caption="Linked pairs in batches", head="Batches", columns=(Column(label="Pairs"),), rows=tuple(rows))
    draws = {
        name: {int(times): records for times, records in numbers.items()}
        for name, numbers in done["draws_histogram"].items()
    }
    spans = ((0, 0, "never"), (1, 1, "once"), (2, 4, "2 to 4 times"), (5, 16, "5 to 16 times"), (17, 1 << 62, "more"))
    drawn = Table(
        caption="Draws of a record in an epoch",
        head="Drawn",
        columns=tuple(Column(label=name) for name in draws),
        rows=tuple(
            Row(
                label=label,
                cells=tuple(
                    Cell(text=count(sum(records for times, records in numbers.items() if low <= times <= high)))
                    for numbers in draws.values()
                ),
            )
            for low, high, label in spans
        ),
        note="Records of the first epoch; the source that is passed over has each record once.",
    )
    return met, drawn


def _further_charts(curve: pl.DataFrame) -> tuple[Part, ...]:
    shown = _thinned(curve)
    gaps = [
        _line(name, role, shown, pl.col(f"logit_{column[-1]}_positive") - pl.col(f"logit_{column[-1]}_negative"))
        for column, name, _, role in LOSSES[1:]
    ]
    charts: list[Part] = [
        LineChart(
            caption="Positives above negatives",
            description="Mean logit of positives less that of negatives, for each of the three losses.",
            x=Axis(label="optimiser step"),
            y=Axis(label="difference of mean logits"),
            lines=tuple(line for line in gaps if line.points),
            note="A logit is a cosine over the temperature. L_A: a modality's own record and others; L_P: linked "
            "records and other patients'; L_D: records with a diagnosis in common and without. Of the last step a line "
            "tells of.",
        ),
        LineChart(
            caption="Gradient norm",
            description=f"The gradient norm ends at {decimal(curve.row(-1, named=True)['grad_norm'], 2)}.",
            x=Axis(label="optimiser step"),
            y=Axis(label="gradient norm"),
            lines=(_line("gradient norm", "main", shown, pl.col("grad_norm")),),
            note="Of all parameters, before clipping; mean since the line before.",
        ),
    ]
    # thinned apart: most steps have none
    recall = _line("R@10", "main", _thinned(curve.drop_nulls("recall_at_10")), pl.col("recall_at_10"))
    if recall.points:
        charts.append(
            LineChart(
                caption="Retrieval on validation subjects while training",
                description=f"Text-to-image recall at 10 ends at {decimal(recall.points[-1].y, 3)}.",
                x=Axis(label="optimiser step"),
                y=Axis(label="R@10", is_percent=True),
                lines=(recall,),
                note="Reports of subjects held out of training searched among their images, mean over sources; "
                "fewer candidates than in the evaluation, so not to be compared with it.",
            )
        )
    return tuple(chart for chart in charts if isinstance(chart, LineChart) and chart.lines)


def _line(name: str, role: Literal["main", "first", "second", "third"], curve: pl.DataFrame, value: pl.Expr) -> Line:
    rows = curve.select("step", value.alias("value")).filter(pl.col("value").is_finite())
    points = tuple(Point(x=step, y=value) for step, value in rows.iter_rows())
    return Line(name=name, role=role, points=points, has_marks=len(points) < FEW_POINTS)


def _thinned(curve: pl.DataFrame) -> pl.DataFrame:
    """At most `MOST_POINTS` rows at even distances, the first and the last among them."""
    if curve.height <= MOST_POINTS:
        return curve
    last = curve.height - 1
    return curve[[round(i * last / (MOST_POINTS - 1)) for i in range(MOST_POINTS)]]


def _table(curve: pl.DataFrame) -> Table:
    first, last = curve.row(0, named=True), curve.row(-1, named=True)
    rows = [
        Row(
            label=name,
            detail=words,
            cells=(Cell(text=decimal(first[column], 3)), Cell(text=decimal(last[column], 3))),
        )
        for column, name, words, _ in LOSSES
    ]
    rows += [
        Row(label=label, detail=words, cells=tuple(Cell(text=decimal(row[column], places)) for row in (first, last)))
        for label, words, column, places in (
            ("Linked pairs per batch", "mean since the line before", "num_linked", 1),
            ("Gradient norm", "before clipping", "grad_norm", 2),
        )
    ]
    rows.append(
        Row(
            label="Learning rate",
            detail=f"highest {first_digits(curve['learning_rate'].to_list())}",
            cells=tuple(Cell(text=f"{row['learning_rate']:.1e}") for row in (first, last)),
        )
    )
    steps = [f"Step {count(row['step'])}" for row in (first, last)]
    return Table(
        caption="First and last logged step",
        head="Loss",
        columns=tuple(Column(label=label) for label in steps),
        rows=tuple(rows),
        note=f"{plain(last['epoch'])} passes over the images; weights sha256 {digest(last['model_sha256'], 16)}.",
    )


def first_digits(rates: list[float]) -> str:
    """The highest of some rates, with two digits."""
    return f"{max(rates):.1e}"


def _key_numbers(curve: pl.DataFrame) -> tuple[KeyNumber, ...]:
    if not curve.height:
        return ()
    first, last = curve.row(0, named=True), curve.row(-1, named=True)
    return (
        KeyNumber(
            label="Training loss",
            value=decimal(last["loss"], 2),
            detail=f"nats, from {decimal(first['loss'], 2)}, after {count(last['step'])} steps",
        ),
    )
