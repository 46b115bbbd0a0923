"""The ablation: bars of every variant with intervals, how far the recipe lies above each, and what each training was.

Reads what the ablation published; computes no metric.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from lake import Lake
from pipelines.report.cells import FEW_SEEDS
from pipelines.report.charts import nice_ticks
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
from pipelines.report.formats import count, plain
from pipelines.report.methods import in_order, metric_title, role, title
from pipelines.report.prediction_numbers import ends, read_rows, share

TABLE, COMPARISONS, TRIALS = "ablation", "ablation_comparisons", "ablation_trials"
TABLES = (TABLE, COMPARISONS, TRIALS)
GROUNDS = {"pretrain_corpus": "training corpus", "planted": "planted records"}
MODES = {"text_to_image": "reports search images", "ehr_to_cxr": "admissions search X-rays"}
SETS = {"zero_shot_covid19": "COVID-19 against normal films"}
"""What is classified, by split."""
MARKS = {"f1": ("all_positive", "all films called positive")}
"""What a measure is read beside, where that is not chance."""
CHANCE = ("chance", "chance")
REFERENCES = ("chance", "all_positive")
"""Methods that are no training."""
ROLES: tuple[tuple[Role, str], ...] = (
    ("ours", "the recipe"),
    ("own", "parts left out"),
    ("baseline", "one repair undone"),
)
FEW = ("few seeds",)
Found = dict[str, Any]


def ablation_section(lake: Lake) -> Section:
    """Draw every ground and measure."""
    numbers = read_rows(lake, TABLE, pl.col("seed") < 0)
    compared, trials = read_rows(lake, COMPARISONS), read_rows(lake, TRIALS)
    grounds = [name for name in GROUNDS if any(row["dataset"] == name for row in numbers)]
    parts: list[tuple[Part, ...]] = [
        tuple(_chart(numbers, ground, metric) for metric in _metrics(numbers, ground)) for ground in grounds
    ]
    parts += [(table,) for table in (_differences(compared), _trainings(trials)) if table.rows]
    made = lake.manifest(TABLE)
    extra = made.extra if made else {}
    if not grounds:
        reason = extra.get("not_available", "no variant was trained")
        parts = [(Note(text=f"There is no ablation: {reason}.", tone="missing"),)]
    if reason := extra.get("not_measured", {}).get("zero_shot"):
        parts.append((Note(text=f"F1 of Figure 7 is not measured: {reason}.", tone="missing"),))
    return Section(
        name="ablation",
        title="Ablation",
        lead="What each part of the recipe brings: the same steps, batches and learning rate for every variant, "
        "measured on subjects that none was trained on. A: L_A alone; P and D add L_P and L_D. F1 of COVID-19 against "
        "normal films is what the paper’s Figure 7 shows; one near that of calling every film positive says nothing.",
        num_rows=len(numbers) + len(compared) + len(trials),
        bands=tuple(parts),
    )


def _metrics(numbers: Sequence[Found], ground: str) -> list[str]:
    return sorted({row["metric"] for row in numbers if row["dataset"] == ground}, reverse=True)


def _chart(numbers: Sequence[Found], ground: str, metric: str) -> GroupedBars:
    """One group of bars for each way that the measure was taken."""
    rows = [row for row in numbers if (row["dataset"], row["metric"]) == (ground, metric)]
    mark, mark_words = MARKS.get(metric, CHANCE)
    groups = tuple(_group(rows, mode, mark) for mode in sorted({row["mode"] for row in rows}, reverse=True))
    name = metric_title(metric, max(row["k"] for row in rows))
    values = [
        end for group in groups for bar in group.bars for end in (bar.value, bar.low, bar.high) if end is not None
    ]
    values += [group.mark for group in groups if group.mark is not None]
    roles = {bar.role for group in groups for bar in group.bars}
    return GroupedBars(
        caption=f"{name}, {GROUNDS[ground]}",
        description="; ".join(f"{group.title}: {', '.join(bar.text for bar in group.bars)}" for group in groups) + ".",
        x=Axis(label=name, ticks=tuple(nice_ticks(min(0.0, *values), max(0.01, *values), most=5))),
        groups=groups,
        start=0.0,
        roles=tuple((each, words) for each, words in ROLES if each in roles),
        mark=mark_words,
        note="Intervals hold seeds and subjects; of one seed the subjects alone.",
    )


def _group(rows: Sequence[Found], mode: str, mark: str) -> BarGroup:
    of_mode = {row["method"]: row for row in rows if row["mode"] == mode}
    trained = [method for method in in_order(of_mode) if method not in REFERENCES]
    most = max((row["n"] for row in of_mode.values()), default=0)
    return BarGroup(
        title=_question(next(iter(of_mode.values()))),
        detail=f"n = {count(most)}",
        bars=tuple(_reading(of_mode[method]) for method in trained),
        mark=of_mode[mark]["value"] if mark in of_mode else None,
    )


def _question(row: Found) -> str:
    """What is searched or told apart."""
    mode: str = row["mode"]
    return SETS.get(row["split"]) or MODES.get(mode, mode.replace("_", " "))


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


def _differences(rows: Sequence[Found]) -> Table:
    order = {method: index for index, method in enumerate(in_order(row["other"] for row in rows))}
    ordered = sorted(rows, key=lambda row: (row["dataset"], row["mode"], row["metric"], order[row["other"]]))
    everywhere = FEW if rows and all(_is_few(row) for row in rows) else ()
    return Table(
        caption="How far the recipe lies above each variant",
        badges=everywhere,
        head="Variant",
        columns=(
            Column(label="Measure", is_number=False),
            Column(label="Difference"),
            Column(label="95 % interval"),
            Column(label="Seeds"),
            Column(label="n"),
        ),
        rows=tuple(
            Row(
                label=title(row["other"]),
                detail=GROUNDS[row["dataset"]],
                badges=FEW if _is_few(row) and not everywhere else (),
                cells=(
                    Cell(text=f"{metric_title(row['metric'], row['k'])}, {_question(row)}"),
                    Cell(text=share(row["difference"])),
                    Cell(text=ends(row["ci_low"], row["ci_high"])),
                    Cell(text=count(row["num_seeds"])),
                    Cell(text=count(row["n"])),
                ),
            )
            for row in ordered
        ),
        note="Paired by seed and subject. Nothing is adjusted for the number of rows.",
    )


def _is_few(row: Found) -> bool:
    return bool(row["num_seeds"] < FEW_SEEDS)


def _trainings(rows: Sequence[Found]) -> Table:
    order = {method: index for index, method in enumerate(in_order(row["method"] for row in rows))}
    return Table(
        caption=f"Trainings ({count(len(rows))})",
        head="Variant",
        columns=(
            Column(label="Seed"),
            Column(label="Steps"),
            Column(label="Batch"),
            Column(label="Pairs a batch"),
            Column(label="Weight of L_P"),
            Column(label="Weight of L_D"),
        ),
        rows=tuple(
            Row(
                label=title(row["method"]),
                detail=GROUNDS[row["dataset"]],
                cells=(
                    *(Cell(text=count(row[name])) for name in ("seed", "steps", "batch_size")),
                    Cell(text=plain(row["pairs_per_batch"])),
                    *(Cell(text=plain(row[name], 4)) for name in ("weight_p", "weight_d")),
                ),
            )
            for row in sorted(rows, key=lambda row: (row["dataset"], order[row["method"]], row["seed"]))
        ),
        note="The weight of L_D is its setting times the mean mass of its targets, held the same for all rows.",
        is_folded=True,
    )
