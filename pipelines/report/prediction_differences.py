"""How methods of the prediction tasks differ: what was declared and tested, what was not, and transfer.

What does not belong here: the methods' own numbers (`prediction_tables`), and any computation of a difference.
"""

from collections.abc import Sequence

from pipelines.report.cells import FEW_SEEDS
from pipelines.report.content import Cell, Column, Row, Table
from pipelines.report.formats import NONE, count
from pipelines.report.prediction_numbers import (
    AT_DISCHARGE,
    CRITICALITY,
    FOLDS,
    METHOD_TITLES,
    OURS,
    PREFIX,
    PROBE,
    SCRATCH,
    Mode,
    Numbers,
    in_order,
    one,
    task_title,
    title,
)
from pipelines.report.prediction_numbers import Row as Number
from pipelines.report.prediction_tables import value_cell

FEW = ("few seeds",)


def comparison_tables(rows: Sequence[Number]) -> tuple[Table | None, Table | None, Table | None]:
    """Differences of methods in a cohort: declared ones, pre-training against scratch by positives, and all others.

    Args:
        rows: of `prediction_comparisons`.
    """
    declared = [row for row in rows if row["is_declared"]]
    few = [row for row in rows if not row["is_declared"] and row["k"] and _is_pretraining(row)]
    others = [row for row in rows if row not in declared and row not in few]
    columns = tuple(Column(label=label) for label in ("Difference", "95 % interval", "Trainings", "Events"))
    return (
        _table(
            "Comparisons declared beforehand",
            (*columns, Column(label="p"), Column(label="p, Holm")),
            declared,
            has_p=True,
            note="Differences of AUROC. Patients and trainings are drawn with replacement, the same for both methods. "
            "Of one training each the interval holds the patients alone: a difference is then of these two networks "
            f"and not of the methods. Fewer than {FEW_SEEDS} do not tell how far trainings spread, and have no p. "
            "Holm's p values are adjusted over the declared comparisons within a task, cohort, horizon (with or "
            "without codes) and split, and not across these; a difference counts where that p stays below 0.05.",
        ),
        _table(
            "What pre-training brings when few positives are known",
            columns,
            few,
            note="The pre-trained network less the same network from scratch, trained on so many positives; a training "
            "is one draw of them, the same for both, and is resampled with the patients. Not declared beforehand: "
            "intervals, no tests.",
        ),
        _table(
            f"Other differences ({count(len(others))})",
            columns,
            others,
            note="Intervals alone: these were not declared beforehand, so they are not tested.",
            is_folded=True,
        ),
    )


def _is_pretraining(row: Number) -> bool:
    return row["method"] in (OURS, PROBE) and row["other"] == SCRATCH


def _table(
    caption: str,
    columns: tuple[Column, ...],
    rows: Sequence[Number],
    *,
    note: str,
    has_p: bool = False,
    is_folded: bool = False,
) -> Table | None:
    if not rows:
        return None
    everywhere = FEW if all(_is_few(row) for row in rows) else ()
    ordered = sorted(rows, key=_comparison_order)
    return Table(
        caption=caption,
        badges=everywhere,
        head="Difference and task",
        columns=columns,
        rows=tuple(_difference(row, has_p=has_p, marks_few=not everywhere) for row in ordered),
        note=note,
        is_folded=is_folded,
    )


def _comparison_order(row: Number) -> tuple[str, ...]:
    order = list(METHOD_TITLES)
    others = [f"{order.index(name):02d}" if name in order else name for name in (row["method"], row["other"])]
    later = [str(int(is_later)) for is_later in (row["split"] == FOLDS, row["metric"] != "auroc")]
    tasks = [*CRITICALITY, *AT_DISCHARGE]
    task = row["task"].removeprefix(PREFIX)
    place = f"{tasks.index(task):02d}" if task in tasks else task
    return (place, row["cohort"], row["mode"], later[0], f"{row['k']:06d}", later[1], *others)


def _is_few(row: Number) -> bool:
    return bool(row["num_seeds"] < FEW_SEEDS)


def _difference(row: Number, *, has_p: bool, marks_few: bool) -> Row:
    task = row["task"].removeprefix(PREFIX)
    folds = ", five-fold" if row["split"] == FOLDS else ""
    positives = f", {count(row['k'])} positives" if row["k"] else ""
    words = f"{task_title(task)}, {Mode.of(row['mode']).words}{folds}{positives}"
    metric = "" if row["metric"] == "auroc" else ", AUPR"
    cells = [
        Cell(text=_signed(row["difference"])),
        Cell(text=NONE if row["ci_low"] is None else f"{_signed(row['ci_low'])} to {_signed(row['ci_high'])}"),
        Cell(text=count(row["num_seeds"])),
        Cell(text=f"{count(row['num_positive'])} of {count(row['n'])}"),
    ]
    if has_p:
        cells += [Cell(text=NONE if row[name] is None else _p(row[name])) for name in ("p_value", "p_holm")]
    return Row(
        label=f"{title(row['method'])} less {title(row['other'])}{metric}",
        detail=words,
        badges=FEW if marks_few and _is_few(row) else (),
        cells=tuple(cells),
    )


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _p(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def transfer_table(numbers: Numbers) -> Table | None:
    """What MetaVision trained and CareVue tests, beside what each cohort's own patients trained."""
    rows = []
    for task, place, mode in numbers.transfers():
        own = Mode.of(mode.name.replace("/transfer", ""))
        moved, stayed = (numbers.at(place, task, each, "auroc", "auprc") for each in (mode, own))
        rows += [
            Row(
                label=title(method),
                detail=f"{task_title(task)}, {own.words}; {place.cohort}",
                cells=tuple(
                    value_cell(one(found, metric=metric, method=method))
                    for found in (moved, stayed)
                    for metric in ("auroc", "auprc")
                ),
            )
            for method in in_order(row["method"] for row in moved)
        ]
    if not rows:
        return None
    heads = ("AUROC, transferred", "AUPR, transferred", "AUROC, trained there", "AUPR, trained there")
    return Table(
        caption="Transfer from MetaVision to CareVue",
        head="Method and task",
        columns=tuple(Column(label=head) for head in heads),
        rows=tuple(rows),
        note="Trained on MetaVision patients and tested on those of the cohort, in the shared feature space; beside it "
        "the same method trained on the cohort's own patients.",
    )
