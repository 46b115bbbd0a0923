"""Same-patient pairs: how many, how far apart, and how much of each source they reach."""

import math

import polars as pl

from lake import Lake
from pipelines.report.content import (
    Axis,
    Bar,
    Cell,
    Column,
    Histogram,
    KeyNumber,
    Note,
    Part,
    Row,
    Section,
    Table,
    mean_cell,
)
from pipelines.report.formats import count, median, percent, plain, ratio

TABLE = "same_patient_pairs"
NUM_BARS = 15


def pairs_section(lake: Lake) -> Section:
    """Draw the gaps of the pairs inside the window."""
    manifest = lake.manifest(TABLE)
    assert manifest is not None, "the tables of the page were looked up before"
    theta = manifest.settings.get("theta_days")
    pairs = lake.scan(TABLE).with_columns(pl.col("source", "other_source").cast(pl.String)).collect()
    window = f"within {plain(theta)} days" if theta is not None else "within the window"
    return Section(
        name="linked_pairs",
        title="Linked pairs",
        lead=f"Two records of one patient from two sources, {window} of each other: what ties the sources together "
        "in pre-training.",
        num_rows=pairs.height,
        bands=(_parts(lake, pairs, theta),),
        key_numbers=(
            KeyNumber(
                label="Same-patient pairs",
                value=count(pairs.height),
                detail=f"of {count(pairs['subject_id'].n_unique())} patients, {window}",
            ),
        ),
    )


def _parts(lake: Lake, pairs: pl.DataFrame, theta: float | None) -> tuple[Part, ...]:
    if not pairs.height:
        return (
            Note(
                text="There are no pairs: no patient has records of two sources inside the window. L_P has nothing to "
                "learn from, and the sources stay apart.",
                tone="missing",
            ),
        )
    return _histogram(pairs["gap_days"], theta), _reach(lake, pairs)


def _histogram(gaps: pl.Series, theta: float | None) -> Histogram:
    end = max(theta or 0.0, float(gaps.max() or 0.0)) or 1.0  # type: ignore[arg-type]
    width = max(1, math.ceil(end / NUM_BARS))
    num_bars = math.ceil(end / width)
    inside = int((gaps == 0).sum())
    index = ((gaps.filter(gaps > 0) / width).ceil() - 1).cast(pl.Int64).clip(0, num_bars - 1)
    found = dict(index.value_counts().iter_rows())
    bars = [Bar(low=0, high=0, count=inside, text=f"0 days: {count(inside)} pairs", is_point=True)]
    for i in range(num_bars):
        low, high, num = i * width, (i + 1) * width, int(found.get(i, 0))
        words = f"more than {low}, at most {high} days: {count(num)} pairs"
        bars.append(Bar(low=low, high=high, count=num, text=words))
    return Histogram(
        caption="Days between the two records of a pair",
        description=f"Histogram of {count(gaps.len())} pairs. {count(inside)} have no gap; the others are counted in "
        f"steps of {width} {'day' if width == 1 else 'days'} up to {num_bars * width}.",
        x=Axis(label="gap (days)"),
        y=Axis(label="pairs"),
        bars=tuple(bars),
        note="The bar at 0 stands apart: with gaps taken from the admission’s interval, these X-rays were taken during "
        f"the admission. n = {count(gaps.len())} pairs.",
    )


def _reach(lake: Lake, pairs: pl.DataFrame) -> Table:
    ends = pl.concat(
        [
            pairs.select("source", "record_id"),
            pairs.select(source="other_source", record_id="other_record_id"),
        ]
    )
    linked = ends.group_by("source", "record_id").len()
    can_have = pl.col("source").is_in(linked["source"].unique().to_list()), pl.col("split") != "mimic_iii"
    records = dict(lake.scan("cohort_split").filter(*can_have).group_by("source").len().collect().iter_rows())
    gaps = pairs["gap_days"].to_list()
    inside = sum(gap == 0 for gap in gaps)
    rows = [
        Row(label="Pairs", cells=(Cell(text=count(pairs.height)),)),
        Row(label="Patients with a pair", cells=(Cell(text=count(pairs["subject_id"].n_unique())),)),
        Row(
            label="Pairs per patient, mean",
            cells=(mean_cell(pairs.group_by("subject_id").len()["len"].to_list()),),
        ),
        Row(label="Gap of 0 days", cells=(Cell(text=count(inside), detail=percent(inside / pairs.height)),)),
        Row(label="Median gap", cells=(Cell(text=f"{plain(median(gaps))} days"),)),
    ]
    for source, total in sorted(records.items()):
        num = linked.filter(pl.col("source") == source).height
        rows.append(
            Row(
                label=f"{source.upper()} records with a pair",
                detail=f"of {count(total)}",
                cells=(Cell(text=count(num), detail=ratio(num, total), bar=num / total if total else 0.0),),
            )
        )
    return Table(caption="What the pairs reach", head="Measure", columns=(Column(label="Number"),), rows=tuple(rows))
