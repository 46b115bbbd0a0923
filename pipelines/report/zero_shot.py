"""Zero-shot classification: what each model is worth by prompts, prompt set by prompt set, and the controls.

Reads what was published; computes no metric. Curves of the headline prompts: `zero_shot_curves`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import polars as pl

from lake import Lake
from pipelines.report.content import (
    Axis,
    BarGroup,
    Cell,
    Column,
    GroupedBars,
    Note,
    Part,
    Reading,
    Role,
    Row,
    Section,
    Table,
)
from pipelines.report.curves import read_curves
from pipelines.report.efforts import Effort, beside, read_efforts, trained_here
from pipelines.report.formats import capital, count, release
from pipelines.report.methods import in_order, metric_title, role, title
from pipelines.report.prediction_numbers import ends, read_rows, share
from pipelines.report.prediction_tables import FEW, GROUP_WORDS
from pipelines.report.zero_shot_curves import curve_bands

PREFIX = "zero_shot_"
TITLES = {"zero_shot_covid19": "COVID-19 against normal", "zero_shot_chexpert": "enlarged cardiomediastinum"}
SHOWN = ("auroc", "auprc", "f1", "precision", "recall", "balanced_accuracy", "mcc")
IN_GROUPS = ("positive_rate", *SHOWN)
ROLES: tuple[tuple[Role, str], ...] = (
    ("ours", "this run"),
    ("own", "its variants"),
    ("baseline", "baselines"),
    ("simple", "sees no image"),
)
CONTROLS = {"lung_only": "all but the lungs black", "border_only": "all but the border black"}
MEAN, CONSTANT = "mean", "constant"
Found = dict[str, Any]
Efforts = Mapping[str, Effort]


def zero_shot_section(lake: Lake) -> Section:
    """Draw AUROC of every method, then every number by prompt set."""
    rows = read_rows(lake, "metrics", pl.col("task").str.starts_with(PREFIX))
    whole = [row for row in rows if "/" not in row["split"]]
    curves, trained = read_curves(lake), read_efforts(lake)
    seen = {(row["method"], row["dataset"]) for row in read_rows(lake, "exposure", pl.col("is_contaminated"))}
    bands: list[tuple[Part, ...]] = []
    for task in TITLES:
        here = [row for row in whole if row["task"] == task]
        if here:
            charts = _charts(task, here, trained)
            bands += [charts] if charts else []
            asked = _prompts(lake, task)
            bands += [(_means(task, here, trained, asked),)]
            bands += curve_bands(here, curves, what=capital(TITLES[task]), name=partial(_name, seen, trained, here))
            tables = (
                _by_prompts(task, here, trained, asked),
                _controls(task, here, trained),
                _groups(task, rows, trained),
            )
            bands += [(table,) for table in tables]
        else:
            bands.append((Note(text=f"{task} is empty: no number of {TITLES[task]}.", tone="missing"),))
    return Section(
        name="zero_shot",
        title="Zero-shot classification",
        lead="An image is held against two sentences; the nearer one is the answer. How the sentences are put decides "
        "much, so every set of prompts has its own numbers, and the mean over those that ask for the label’s own "
        "finding stands first.",
        num_rows=len(rows),
        bands=tuple(tuple(part for part in band if not isinstance(part, Table) or part.rows) for band in bands),
    )


def _name(seen: Collection[tuple[str, str]], trained: Efforts, rows: Sequence[Found], method: str) -> str:
    """What a curve is called: contaminated and small models say so where they are named."""
    effort = beside(method, trained)
    words = ["contaminated"] * ((method, rows[0]["dataset"]) in seen) + [effort] * bool(effort)
    return f"{title(method)} ({'; '.join(words)})" if words else title(method)


def _charts(task: str, rows: Sequence[Found], trained: Efforts) -> tuple[GroupedBars, ...]:
    found = [_chart(task, rows, trained, metric=metric) for metric in ("auroc", "auprc")]
    return tuple(chart for chart in found if chart.groups)


def _chart(task: str, rows: Sequence[Found], trained: Efforts, *, metric: str) -> GroupedBars:
    groups = []
    for mode, words in ((MEAN, "mean over prompts"), (f"{MEAN}/paper", "the same, released harness")):
        of_mode = {r["method"]: r for r in rows if (r["mode"], r["metric"]) == (mode, metric)}
        coin = next((r["value"] for r in rows if (r["method"], r["metric"]) == ("chance", metric)), None)
        bars = tuple(_reading(of_mode[method]) for method in in_order(of_mode))
        if bars:
            any_row = next(iter(of_mode.values()))
            detail = f"{count(any_row['num_positive'] or 0)} of {count(any_row['n'])} positive"
            groups.append(BarGroup(title=words, detail=detail, bars=bars, mark=coin))
    roles = {bar.role for group in groups for bar in group.bars}
    name = metric_title(metric)
    said = "; ".join(bar.text for group in groups for bar in group.bars)
    return GroupedBars(
        caption=f"{name}: {TITLES[task]}",
        description=f"{said}.",
        x=Axis(label=name, ticks=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        groups=tuple(groups),
        start=0.0,
        roles=tuple((each, words) for each, words in ROLES if each in roles),
        mark="chance",
        note=trained_here({row["method"] for row in rows}, trained),
    )


def _reading(row: Found) -> Reading:
    interval = ends(row["ci_low"], row["ci_high"])
    return Reading(
        label=title(row["method"]),
        role=role(row["method"]),
        value=row["value"],
        low=row["ci_low"],
        high=row["ci_high"],
        text=f"{title(row['method'])} {share(row['value'])}{f' ({interval})' if interval else ''}",
    )


def _prompts(lake: Lake, task: str) -> Sequence[Found]:
    """What each prompt set of a task asks for, and whether it is in the mean."""
    made = lake.manifest(task)
    return made.extra.get("prompts", ()) if made else ()


def _in_the_mean(asked: Sequence[Found]) -> str:
    """What the mean over prompt sets holds, and what it leaves out."""
    held = [each["name"].replace("_", " ") for each in asked if each["is_averaged"]]
    others = [f"{each['name'].replace('_', ' ')} ({each['finding']})" for each in asked if not each["is_averaged"]]
    if not asked:
        return ""
    left_out = f" Left out, since they ask for another finding: {', '.join(others)}." if others else ""
    return f"The mean is over {len(held)} of {len(asked)} prompt sets: {', '.join(held)}.{left_out}"


def _means(task: str, rows: Sequence[Found], trained: Efforts, asked: Sequence[Found]) -> Table:
    shown = [row for row in rows if row["mode"].split("/")[0] in (MEAN, CONSTANT)]
    words: dict[str, str] = {MEAN: "", f"{MEAN}/paper": "released harness", CONSTANT: "sees no image"}
    return _table(
        f"{release(shown[0]['dataset']) if shown else task}, {TITLES[task]}: mean over prompt sets",
        shown,
        trained,
        key=lambda row: (row["method"], words.get(str(row["mode"]), str(row["mode"]))),
        note=_in_the_mean(asked),
    )


def _by_prompts(task: str, rows: Sequence[Found], trained: Efforts, asked: Sequence[Found]) -> Table:
    bases, finding = (MEAN, CONSTANT), {each["name"]: each["finding"] for each in asked}

    def words(mode: str) -> str:
        name, _, harness = mode.partition("/")
        parts = (name.replace("_", " "), f"asks for {finding[name]}" if name in finding else "")
        return ", ".join(filter(None, (*parts, "released harness" if harness else "")))

    shown = [r for r in rows if r["mode"].split("/")[0] not in bases and not set(r["mode"].split("/")) & set(CONTROLS)]
    return _table(
        f"{capital(TITLES[task])}: every prompt set",
        shown,
        trained,
        key=lambda row: (row["method"], words(row["mode"])),
        is_folded=True,
    )


def _controls(task: str, rows: Sequence[Found], trained: Efforts) -> Table:
    shown = [row for row in rows if set(row["mode"].split("/")) & set(CONTROLS)]
    return _table(
        f"{capital(TITLES[task])}: controls",
        shown,
        trained,
        key=lambda row: (
            row["method"],
            ", ".join(CONTROLS.get(part, part.replace("_", " ")) for part in row["mode"].split("/")),
        ),
        note="What is told apart by the border alone is no finding: classes come from different collections.",
        is_folded=True,
    )


def _groups(task: str, rows: Sequence[Found], trained: Efforts) -> Table:
    """One row for each method, group and harness: how many positives, then what may be told of so few."""
    groups: dict[tuple[str, str, str], dict[str, Found]] = {}
    for row in rows:
        if row["task"] == task and "/" in row["split"]:
            harness = "released harness" if row["mode"].endswith("/paper") else ""
            groups.setdefault((row["method"], row["split"].split("/", 1)[1], harness), {})[row["metric"]] = row
    order = {method: index for index, method in enumerate(in_order(method for method, _, _ in groups))}
    return Table(
        caption=f"{capital(TITLES[task])}: subgroups",
        head="Method",
        columns=(Column(label="Positives"), *(Column(label=metric_title(metric)) for metric in IN_GROUPS)),
        rows=tuple(
            _group_row(place, groups[place], trained) for place in sorted(groups, key=lambda at: (order[at[0]], at[1:]))
        ),
        note=f"95 % intervals below, patients of the group resampled. Of groups with fewer than {FEW} positives or "
        f"negatives, which stand back, only the share that is called positive is told, and of those with fewer than "
        f"{FEW} films nothing: so few would be told one by one. A number without an interval: too many draws of "
        "patients lack one of the classes.",
        is_folded=True,
    )


def _group_row(place: tuple[str, str, str], found: Mapping[str, Found], trained: Efforts) -> Row:
    method, group, harness = place
    any_row = next(iter(found.values()))
    n, positive = any_row["n"], any_row["num_positive"] or 0
    is_few = min(positive, n - positive) < FEW
    told = {"positive_rate"} if is_few else {*IN_GROUPS}
    division, _, value = group.partition("=")
    words = f"{division.replace('_', ' ')}: {GROUP_WORDS.get(value, value.replace('_', ' '))}"
    return Row(
        label=title(method),
        detail="; ".join(filter(None, (words, harness, beside(method, trained)))),
        cells=(
            Cell(text=f"{count(positive)} of {count(n)}" if n >= FEW else f"of fewer than {FEW}"),
            *(_cell(found.get(metric) if metric in told and n >= FEW else None) for metric in IN_GROUPS),
        ),
        is_muted=is_few,
    )


def _table(
    caption: str,
    rows: Sequence[Found],
    trained: Efforts,
    *,
    key: Callable[[Found], tuple[str, str]],
    note: str = "",
    is_folded: bool = False,
) -> Table:
    """One row for each method and whatever else the key says, a column for each metric; empty without numbers."""
    cells = {(key(row), row["metric"]): row for row in rows}
    order = {method: index for index, method in enumerate(in_order(row["method"] for row in rows))}
    names = sorted({key(row) for row in rows if row["metric"] in SHOWN}, key=lambda name: (order[name[0]], name[1]))
    return Table(
        caption=caption,
        head="Method",
        columns=tuple(Column(label=metric_title(metric)) for metric in SHOWN),
        rows=tuple(
            Row(
                label=title(method),
                detail="; ".join(filter(None, (words, beside(method, trained)))),
                cells=tuple(_cell(cells.get(((method, words), metric))) for metric in SHOWN),
            )
            for method, words in names
        ),
        note=note,
        is_folded=is_folded,
    )


def _cell(row: Found | None) -> Cell:
    if row is None:
        return Cell()
    return Cell(text=share(row["value"]), detail=ends(row["ci_low"], row["ci_high"]))
