"""Retrieval: precision and recall at K with their intervals, chance beside them, and the paper's own for reference.

Reads the `metrics` table; computes no metric. Other numbers of the table are listed as they are.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

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
from pipelines.report.efforts import Effort, beside, read_efforts, trained_here
from pipelines.report.formats import count, interval, percent, plain, release
from pipelines.report.methods import in_order, metric_title, title
from pipelines.report.paper_numbers import TABLE_2, TABLE_2_NUM_CANDIDATES, TABLE_2_NUM_QUERIES

TABLE, PREFIX = "metrics", "retrieval_"
TASK = "retrieval_mimic_cxr"
GALLERY = "retrieval_mimic_cxr_corpus"
OURS, CHANCE = "medcsp", "chance"
MODELS = "radiology_methods"
CURVES = {"precision_at_k": ("P", "precision at K"), "recall_at_k": ("R", "recall at K")}
GROUP = ("task", "dataset", "cohort", "mode", "split")
THIS_RUN = "MedCSP, this run"
ROLES: tuple[Literal["main", "first", "second", "third", "fourth"], ...] = (
    "main",
    "first",
    "second",
    "third",
    "fourth",
)
HEADLINE_K = 10
Efforts = Mapping[str, Effort]
Series = tuple[str, str, pl.DataFrame]


def retrieval_section(lake: Lake) -> Section:
    """Draw every retrieval of the metrics table, and list what is no curve."""
    metrics = lake.scan(TABLE).filter(pl.col("task").str.starts_with(PREFIX)).collect()
    metrics = _papers_search(metrics)
    metrics = metrics.with_columns(pl.col("method").cast(pl.String))
    curves = metrics.filter(pl.col("metric").is_in(list(CURVES)))
    bands: list[tuple[Part, ...]] = []
    trained = read_efforts(lake)
    if not curves.height:
        bands.append((Note(text="There are no retrieval numbers: the gallery is empty.", tone="missing"),))
    for group in sorted(set(curves.select(GROUP).iter_rows())):
        keys = [pl.col(name) == value for name, value in zip(GROUP, group, strict=True)]
        here = dict(zip(GROUP, group, strict=True))
        bands += _group_bands(curves.filter(*keys), group=here, gallery=_gallery(lake, here["task"]), trained=trained)
    others = metrics.filter(~pl.col("metric").is_in(list(CURVES)))
    if others.height:
        bands.append((_other_table(others),))
    return Section(
        name="retrieval",
        title="Text to image retrieval",
        lead="Each report of a patient the model has never seen searches all X-ray images of the evaluation for those "
        "of its own study. P@K: share of the first K images that are; R@K: share of its images among the first K.",
        num_rows=metrics.height,
        bands=tuple(bands),
        key_numbers=_key_numbers(curves),
    )


def _papers_search(metrics: pl.DataFrame) -> pl.DataFrame:
    """All views searched by whole reports, as the paper does; not subgroups, other directions or other measures."""
    return metrics.filter(
        ~pl.col("split").str.contains("/"),
        ~pl.col("mode").str.contains("/|image_to_text"),
        pl.col("cohort") != "frontal",
        pl.col("method").cast(pl.String) != "ceiling",
        ~pl.col("metric").is_in(["hit_at_k", "median_rank", "mrr", "map"]),
    )


def _gallery(lake: Lake, task: str) -> int:
    """Images that are searched; 0 where nobody says."""
    if task == TASK:
        images = lake.scan(GALLERY).filter(pl.col("kind") == "image").select("num_present").collect()
        return int(images["num_present"].sum())
    given = lake.scan(MODELS).filter(pl.col("task") == task).select(pl.col("num_images").max()).collect().item()
    return int(given or 0)


def _group_bands(
    rows: pl.DataFrame, *, group: dict[str, str], gallery: int, trained: Efforts
) -> list[tuple[Part, ...]]:
    is_main = group["task"] == TASK
    ks = tuple(sorted(set(rows["k"].to_list())))
    num_queries = max(rows["n"].to_list())
    searched = f" search {count(gallery)} images" if gallery else ""
    size = f"{count(num_queries)} reports{searched}"
    name = f"{release(group['dataset'])}, {group['cohort'].replace('_', ' ')}, {group['mode'].replace('_', ' ')} mode"
    charts = [
        _chart(
            rows.filter(pl.col("metric") == metric),
            metric=metric,
            ks=ks,
            size=size,
            where=release(group["dataset"]),
            has_paper=is_main,
            trained=trained,
        )
        for metric in CURVES
        if metric in rows["metric"].to_list()
    ]
    table = _table(rows, ks=ks, caption=f"Text to image on {name}: {size}", has_paper=is_main, trained=trained)
    return [tuple(charts), (table,)]


def _series(rows: pl.DataFrame) -> list[Series]:
    """`(method, name to show, its rows by k)` in the order in which methods stand; seeds apart if several."""
    found = sorted(set(rows.select("method", "seed").iter_rows()))
    order = {method: place for place, method in enumerate(in_order(method for method, _ in found))}
    found.sort(key=lambda pair: (order[pair[0]], pair[1]))
    has_seeds = {method: len([1 for m, _ in found if m == method]) > 1 for method, _ in found}
    return [
        (
            method,
            _name(method) + (f", seed {seed}" if has_seeds[method] else ""),
            rows.filter(pl.col("method") == method, pl.col("seed") == seed).sort("k"),
        )
        for method, seed in found
    ]


def _drawn(series: list[Series]) -> list[Series]:
    """What a chart shows: chance, ours and, of the others, as many as there are colours, those that find most."""
    others = [each for each in series if each[0] not in (OURS, CHANCE)]
    best = sorted(others, key=lambda each: -_headline(each[2]))[: len(ROLES) - 1]
    names = {name for _, name, _ in best}
    return [each for each in series if each[0] in (OURS, CHANCE) or each[1] in names]


def _headline(found: pl.DataFrame) -> float:
    at = found.filter(pl.col("k") == HEADLINE_K)
    return max((at if at.height else found)["value"].to_list(), default=0.0)


def _name(method: str) -> str:
    return THIS_RUN if method == OURS else title(method)


def _chart(
    rows: pl.DataFrame,
    *,
    metric: str,
    ks: tuple[int, ...],
    size: str,
    where: str,
    has_paper: bool,
    trained: Efforts,
) -> LineChart:
    letter, caption = CURVES[metric]
    series = _series(rows)
    drawn, roles = _drawn(series), iter(ROLES * rows.height)
    lines = [
        Line(
            name=name,
            role="chance" if method == CHANCE else next(roles),
            points=tuple(_point(row, letter, name) for row in found.iter_rows(named=True)),
            has_marks=method != CHANCE,
        )
        for method, name, found in drawn
    ]
    note = f"Bands are 95 % intervals, patients resampled. {size}."
    if len(drawn) < len(series):
        note = f"{note} Of other methods the {len(ROLES) - 1} that find most; the table has all."
    note = f"{note} {trained_here([method for method, _, _ in drawn], trained)}".strip()
    if has_paper:
        printed = {k: value for k, value in TABLE_2[metric].items() if k in ks}
        points = tuple(Point(x=k, y=v, text=f"{letter}@{k} in the paper: {percent(v)}") for k, v in printed.items())
        lines.append(Line(name="Paper, another gallery", role="paper", points=points, has_marks=True))
    return LineChart(
        caption=f"{where}: {caption}",
        description=". ".join(f"{line.name}: {'; '.join(p.text for p in line.points)}" for line in lines) + ".",
        x=Axis(label="K (images looked at, logarithmic)", ticks=tuple(float(k) for k in ks), is_log=True),
        y=Axis(label=f"{letter}@K (%)", is_percent=True),
        lines=tuple(lines),
        note=note,
    )


def _point(row: dict[str, object], letter: str, name: str) -> Point:
    value, low, high = (row[key] for key in ("value", "ci_low", "ci_high"))
    assert isinstance(value, float)
    low, high = (end if isinstance(end, float) else None for end in (low, high))
    ends = interval(low, high)
    words = f"{letter}@{row['k']} {percent(value)}{f' ({ends})' if ends else ''}"
    return Point(x=float(str(row["k"])), y=value, low=low, high=high, text=words)


def _table(rows: pl.DataFrame, *, ks: tuple[int, ...], caption: str, has_paper: bool, trained: Efforts) -> Table:
    wanted = [(metric, k) for metric in CURVES for k in ks]
    series = _series(rows)
    lines = [
        Row(
            label=name,
            detail="; ".join(filter(None, (_row_detail(found), beside(method, trained)))),
            badge="synthetic" if method != CHANCE and found["synthetic"].any() else "",
            cells=tuple(_value_cell(found, metric, k) for metric, k in wanted),
        )
        for method, name, found in series
    ]
    values = {(method, m, k): v for method, m, k, v in rows.select("method", "metric", "k", "value").iter_rows()}
    if any(method == OURS for method, _, _ in series) and any(method == CHANCE for method, _, _ in series):
        lines.append(Row(label="Times chance", cells=tuple(_lift_cell(values, metric, k) for metric, k in wanted)))
    note = "Percent, with 95 % intervals below. Precision at K cannot pass (images of the study) / K."
    if has_paper:
        lines.append(_paper_row(wanted))
        note += (
            f" The paper’s row searched about {count(TABLE_2_NUM_CANDIDATES)} real images with "
            f"{count(TABLE_2_NUM_QUERIES)} reports after pre-training on MIMIC-IV and MIMIC-CXR: another gallery, so "
            "its numbers are a reference and no comparison."
        )
    return Table(
        caption=caption,
        head="Method",
        columns=tuple(Column(label=f"{CURVES[metric][0]}@{k}") for metric, k in wanted),
        rows=tuple(lines),
        note=note,
    )


def _row_detail(found: pl.DataFrame) -> str:
    return f"n = {count(max(found['n'].to_list()))} reports" if found.height else ""


def _value_cell(found: pl.DataFrame, metric: str, k: int) -> Cell:
    row = found.filter(pl.col("metric") == metric, pl.col("k") == k)
    if not row.height:
        return Cell()
    value, low, high = row.select("value", "ci_low", "ci_high").row(0)
    return Cell(text=f"{100 * value:.2f}", detail=interval(low, high))


def _lift_cell(values: dict[tuple[str, str, int], float], metric: str, k: int) -> Cell:
    ours, chance = values.get((OURS, metric, k)), values.get((CHANCE, metric, k))
    return Cell(text=f"{ours / chance:.1f}") if ours is not None and chance else Cell()


def _paper_row(wanted: Iterable[tuple[str, int]]) -> Row:
    cells = (TABLE_2[metric].get(k) for metric, k in wanted)
    return Row(
        label="MedCSP, paper’s Table 2",
        detail="another gallery",
        cells=tuple(Cell() if value is None else Cell(text=f"{100 * value:.2f}") for value in cells),
        is_muted=True,
    )


def _other_table(metrics: pl.DataFrame) -> Table:
    ordered = metrics.sort("task", "dataset", "cohort", "mode", "split", "metric", "k", "method", "seed")
    rows = [
        Row(
            label=metric_title(row["metric"], row["k"]),
            detail=", ".join((release(row["dataset"]), *_plain_words(row["cohort"], row["mode"]))),
            cells=(
                Cell(text=_name(row["method"])),
                Cell(text=f"{row['value']:.4g}"),
                Cell(text="" if row["ci_low"] is None else f"{row['ci_low']:.4g}–{row['ci_high']:.4g}"),
                Cell(text=count(row["n"])),
            ),
        )
        for row in ordered.iter_rows(named=True)
    ]
    columns = (Column(label="Method", is_number=False), Column(label="Value"), Column(label="95 %"), Column(label="n"))
    return Table(caption="Other numbers", head="Metric", columns=columns, rows=tuple(rows))


def _plain_words(*names: str) -> tuple[str, ...]:
    return tuple(name.replace("_", " ") for name in names)


def _key_numbers(curves: pl.DataFrame) -> tuple[KeyNumber, ...]:
    recall = curves.filter(pl.col("metric") == "recall_at_k", pl.col("k") <= HEADLINE_K, pl.col("task") == TASK)
    ours = recall.filter(pl.col("method") == OURS).sort("k", "mode", "seed")
    if not ours.height:
        return ()
    row = ours.row(-1, named=True)
    ends = interval(row["ci_low"], row["ci_high"])
    chance = recall.filter(pl.col("method") == CHANCE, pl.col("k") == row["k"])["value"].to_list()
    times = f"{plain(round(row['value'] / chance[0], 1))}× chance; " if chance and chance[0] else ""
    return (
        KeyNumber(
            label=f"Recall at {row['k']}",
            value=percent(row["value"]),
            detail=f"{f'95 % interval {ends}; ' if ends else ''}{times}n = {count(row['n'])} reports",
            badge="synthetic data" if row["synthetic"] else "",
        ),
    )
