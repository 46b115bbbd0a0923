"""Who is evaluated: the flow of each cohort, events of each task, and both beside what others published.

What does not belong here: how a cohort or label is defined (`sql/labels/`), and any result of a model.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from data_contracts.labels import COHORT_NOTES
from lake import Lake
from pipelines.report.content import Cell, Column, Flow, Note, Out, Part, Row, Section, Stage, Table
from pipelines.report.formats import NONE, count, ratio
from pipelines.report.paper_numbers import FIDDLE_ADULTS, FIDDLE_COHORTS, FIDDLE_STAYS, TABLE_1_COHORTS

TABLES = ("cohort_flow", "prediction_events")
MIMIC_III = ("mimic_iii", "mimic_iii_carevue")
WHOLE = 0.9
"""Share of FIDDLE's stays from which a lake is said to hold the whole of MIMIC-III."""
BADGES = {
    "metavision": "leaks",
    "carevue": "leak-free",
    "carevue_filtered": "residual overlap",
    "ehr_holdout": "held out",
}
EVENTS = {
    "icu_48h": ("48 h into the stay", ("arf", "shock", "mortality", "aki")),
    "discharge": ("discharge", ("readmission", "readmission_any")),
}
TASKS = {
    "arf": "acute respiratory failure",
    "shock": "shock",
    "mortality": "death in hospital",
    "aki": "acute kidney injury",
    "readmission": "readmission to the ICU",
    "readmission_any": "readmission of any kind",
}
HORIZONS = {"unbounded": "at any time", "48h": "within 48 h", "30d": "within 30 days"}
REASONS = {
    "outside_cohort": "outside the cohort",
    "beyond_max_stays": "beyond the stays that are kept",
    "not_last_stay": "not the last stay of the admission",
    "under_18": "under 18, or of unknown age",
    "dead_before_index": "died before 48 h",
    "left_before_index": "left the ICU before 48 h",
    "died_in_hospital": "died in hospital",
    "admissions_not_held": "the database holds ICU admissions alone",
    "onset_before_index": "onset before 48 h",
    "onset_earlier_in_admission": "onset before this ICU stay",
    "kidney_failure_known": "kidney failure known before",
    "no_creatinine_before_index": "no creatinine before 48 h",
    "no_creatinine_after_index": "no creatinine after 48 h",
}
OBSTACLES = {
    "no_example": "no example",
    "no_event": "no event",
    "no_other": "nobody without the event",
    "one_class_in_train": "one class trains",
    "one_class_in_validation": "one class validates",
    "one_class_in_test": "one class is tested",
    "fewer_subjects_than_folds": "fewer patients than folds",
    "one_class_in_fold": "one class in a fold",
}
PARTS = ("train", "validation", "test")
Steps = list[dict[str, Any]]


def cohorts_section(lake: Lake, *, synthetic_sources: Collection[str]) -> Section:
    """Lay out who is evaluated on the prediction tasks.

    Args:
        lake: where `TABLES` are published.
        synthetic_sources: raw sources that the graph wrote itself: their counts are compared with nothing.
    """
    flow, events = (_read(lake, name) for name in TABLES)
    steps = {
        (cohort, task): flow.filter((pl.col("cohort") == cohort) & (pl.col("task") == task))
        .sort("step_index")
        .to_dicts()
        for cohort in COHORT_NOTES
        for task in TASKS
    }
    flows = [part for cohort in COHORT_NOTES for part in _flows(cohort, steps)]
    compared = _published(steps, synthetic=bool(set(MIMIC_III) & set(synthetic_sources)))
    return Section(
        name="cohorts",
        title="Who is evaluated",
        lead="Every cohort of the prediction tasks from all stays of its clinical system to the examples that are "
        "left, and the events that a model can learn from.",
        num_rows=flow.height + events.height,
        bands=(*((part,) for part in flows), (_events(events),), *((part,) for part in compared)),
    )


def _read(lake: Lake, name: str) -> pl.DataFrame:
    rows = lake.scan(name)
    names = [column for column, dtype in rows.collect_schema().items() if isinstance(dtype, pl.Enum)]
    return rows.with_columns(pl.col(names).cast(pl.String)).collect()


def _flows(cohort: str, steps: Mapping[tuple[str, str], Steps]) -> list[Part]:
    """Return the diagrams of one cohort, one per moment of prediction; a sentence where there is nobody."""
    title = f"{cohort}: {COHORT_NOTES[cohort]}"
    found = [steps[cohort, task] for task in TASKS if steps[cohort, task]]
    if not any(rows[0]["num_stays"] for rows in found):
        return [Note(text=f"Cohort {title}. Not available: no stay of its clinical system is here.", tone="missing")]
    moments = {
        moment: {task: steps[cohort, task] for task in tasks if steps[cohort, task]}
        for moment, tasks in EVENTS.values()
    }
    return [_flow(cohort, moment, there) for moment, there in moments.items() if there]


def _flow(cohort: str, moment: str, steps: Mapping[str, Steps]) -> Flow:
    rules = {task: _of_kind(rows, "start", "exclusion") for task, rows in steps.items()}
    shared = _num_shared(list(rules.values()))
    first = next(iter(rules.values()))
    return Flow(
        caption=f"{cohort}, predicted at {moment}",
        badge=BADGES[cohort],
        note=f"Cohort {cohort}: {COHORT_NOTES[cohort]}.",
        trunk=(
            Stage(title="Candidates", text=_people(first[0]), outs=()),
            Stage(title="In every task", text=_people(first[shared - 1]), outs=_outs(first[1:shared])),
        ),
        branches=tuple(
            Stage(
                title=TASKS[task],
                text=_people(rows[-1]),
                outs=_outs(rows[shared:]),
                ends=_ends(_of_kind(steps[task], "outcome"), rows[-1]),
            )
            for task, rows in rules.items()
        ),
        is_folded=(cohort, moment) != ("metavision", EVENTS["icu_48h"][0]),
    )


def _of_kind(steps: Steps, *kinds: str) -> Steps:
    return [step for step in steps if step["kind"] in kinds]


def _num_shared(rules: Sequence[Steps]) -> int:
    """Return how many of the first steps are the same in all tasks."""
    names = [[step["step"] for step in rows] for rows in rules]
    return next(
        (n for n, here in enumerate(zip(*names, strict=False)) if len(set(here)) > 1), min(map(len, names), default=0)
    )


def _outs(steps: Steps) -> tuple[Out, ...]:
    return tuple(Out(number=count(step["num_excluded"]), reason=REASONS[step["step"]]) for step in steps)


def _people(step: Mapping[str, Any]) -> str:
    return f"{count(step['num_stays'])} stays of {count(step['num_subjects'])} patients"


def _ends(outcomes: Steps, examples: Mapping[str, Any]) -> tuple[str, ...]:
    ends = []
    for step in outcomes:
        what, _, horizon = step["step"].rpartition(" in ")
        number = step["num_stays"]
        share = ratio(number, examples["num_stays"])
        who = f"{'event' if number == 1 else 'events'} ({share})" if what == "event" else "died without it"
        ends.append(f"{count(number)} {who} {HORIZONS[horizon]}")
    return tuple(ends)


def _events(rows: pl.DataFrame) -> Part:
    if rows.is_empty():
        return Note(text="No prediction task is declared.", tone="missing")
    order = {name: index for index, name in enumerate((*TASKS, *HORIZONS, *COHORT_NOTES))}
    ranks = [pl.col(name).replace_strict(order, return_dtype=pl.Int64) for name in ("task", "horizon", "cohort")]
    labels = ("Examples", "Patients", "Events", "Train", "Validation", "Test")
    columns = (*(Column(label=label) for label in labels), Column(label="Stands in the way", is_number=False))
    return Table(
        caption="Events of each task, horizon and cohort",
        head="Task and cohort",
        columns=columns,
        rows=tuple(_events_row(row) for row in rows.sort(ranks).iter_rows(named=True)),
        note="Parts hold events of examples. One patient stands in one part, the same for every task and cohort. What "
        "stands in the way of the one split or of the cross-validation is not evaluated, and said so.",
        is_folded=True,
        anchor="prediction-events",
    )


def _events_row(row: Mapping[str, Any]) -> Row:
    parts = [f"{count(row[f'num_{part}_events'])} of {count(row[f'num_{part}'])}" for part in PARTS]
    ways = {"split": row["split_obstacle"], "folds": row["fold_obstacle"]}
    obstacles = "; ".join(f"{name}: {OBSTACLES[value]}" for name, value in ways.items() if value is not None)
    return Row(
        label=f"{row['task']}, {HORIZONS[row['horizon']]}, {row['cohort']}",
        badge="not available" if row["split_obstacle"] and row["fold_obstacle"] else BADGES[row["cohort"]],
        cells=(
            Cell(text=count(row["num_examples"])),
            Cell(text=count(row["num_subjects"])),
            Cell(text=count(row["num_events"]), detail=ratio(row["num_events"], row["num_examples"])),
            *(Cell(text=part) for part in parts),
            Cell(text=obstacles),
        ),
        is_muted=row["num_examples"] == 0,
    )


def _published(steps: Mapping[tuple[str, str], Steps], *, synthetic: bool) -> list[Part]:
    """Return our metavision counts beside the paper's Table 1 and FIDDLE's, and what has to be said of a difference."""
    ours = {task: steps["metavision", task] for task in TASKS if steps["metavision", task]}
    if not ours:
        return []
    stays = {task: {step["step"]: step["num_stays"] for step in rows} for task, rows in ours.items()}
    examples = {task: _of_kind(rows, "exclusion")[-1]["num_stays"] for task, rows in ours.items()}
    events = {task: _of_kind(rows, "outcome")[0]["num_stays"] for task, rows in ours.items()}
    any_task = next(iter(stays.values()))
    rows = [
        _published_row("MetaVision stays", any_task["candidates"], None, None, _said((FIDDLE_STAYS, None, None))),
        _published_row("of adults", any_task["under_18"], None, None, _said((FIDDLE_ADULTS, None, None))),
        *(
            _published_row(TASKS[task], examples[task], events[task], TABLE_1_COHORTS.get(task), _fiddle(task))
            for task in TASKS
            if task in ours and (task in TABLE_1_COHORTS or task in FIDDLE_COHORTS)
        ),
    ]
    table = Table(
        caption="The paper's cohort beside the published counts",
        head="MetaVision",
        columns=(
            *(Column(label="Here"), Column(label="Events")),
            *(Column(label="Paper, Table 1", is_muted=True), Column(label="Events", is_muted=True)),
            Column(label="FIDDLE", is_number=False, is_muted=True),
        ),
        rows=tuple(rows),
        note="The paper has no mortality row; its readmission row has the size of FIDDLE's own mortality cohort at "
        "48 h. Both take an onset at any time after 48 h, and neither looks for one before the ICU stay, as we do; "
        "readmission here stands for admissions that end alive, not for ICU stays.",
        anchor="published-cohorts",
    )
    return [table, _difference(any_task["candidates"], examples, events, synthetic=synthetic)]


def _published_row(label: str, ours: int, events: int | None, paper: tuple[int, int] | None, fiddle: Cell) -> Row:
    theirs = tuple(count(number) for number in paper) if paper else (NONE, NONE)
    return Row(
        label=label,
        cells=(
            Cell(text=count(ours)),
            Cell(text=NONE if events is None else count(events)),
            *(Cell(text=text) for text in theirs),
            fiddle,
        ),
    )


def _fiddle(task: str) -> Cell:
    return _said(*FIDDLE_COHORTS[task]) if task in FIDDLE_COHORTS else Cell(text=NONE)


def _said(*published: tuple[int, int | None, int | None]) -> Cell:
    texts = []
    for number, events, hours in published:
        known = "" if hours is None else f", {'events not printed' if events is None else f'{count(events)} events'}"
        texts.append(f"{count(number)}{known}" + (f" at {hours} h" if hours is not None else ""))
    return Cell(text="; ".join(texts))


def _difference(num_stays: int, examples: Mapping[str, int], events: Mapping[str, int], *, synthetic: bool) -> Note:
    """Say whether the counts can be compared, and which differ."""
    if synthetic:
        return Note(text="MIMIC-III is synthetic here: its counts are not to be compared with published ones.")
    if num_stays < WHOLE * FIDDLE_STAYS:
        return Note(
            text=f"This is not the whole of MIMIC-III ({count(num_stays)} MetaVision stays of about "
            f"{count(FIDDLE_STAYS)}): its counts are not to be compared with published ones."
        )
    differing = [
        f"{TASKS[task]} {count(examples[task])} with {count(events[task])} events for {count(n)} with {count(k)}"
        for task, (n, k) in TABLE_1_COHORTS.items()
        if task in examples and (examples[task], events[task]) != (n, k)
    ]
    if not differing:
        return Note(text="On the whole of MIMIC-III the counts are those of the paper's Table 1.")
    return Note(text=f"On the whole of MIMIC-III counts differ from Table 1: {'; '.join(differing)}.", tone="warning")
