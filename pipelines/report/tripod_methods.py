"""Items 3 to 19 of TRIPOD+AI: what was done, as sentences that are true of this run."""

from collections.abc import Iterator, Sequence

import polars as pl

from pipelines.report.cells import FEW_SEEDS
from pipelines.report.cohorts import HORIZONS, REASONS
from pipelines.report.cohorts import TASKS as TASK_TITLES
from pipelines.report.formats import count, ratio, release
from pipelines.report.prediction_numbers import (
    FOLDS,
    LOGISTIC,
    METHOD_TITLES,
    SCRATCH,
    TREES,
    in_order,
    task_title,
    title,
)
from pipelines.report.tripod_study import CHECKPOINTS, FEATURES, Study, database_of, listed

OUTCOMES = {
    "arf": "the first PEEP setting or ventilation, invasive or not",
    "shock": "the first vasopressor that runs (dobutamine and milrinone are none)",
    "mortality": "a death in the same admission, in the unit or after it",
    "aki": "a creatinine 0.3 mg/dL above the lowest of the 48 h before, or 1.5 times the lowest of the 7 days before",
    "readmission": "the next admission with an ICU stay",
    "readmission_any": "the next admission of any kind, where the database holds them",
}
MOMENTS = {"icu_48h": "48 h into an ICU stay", "discharge": "at discharge"}
INPUT_WORDS = {
    "series": "hourly readings",
    "demographics": "demographics",
    "summary": "discharge summary",
    "drugs": "drugs",
    "diagnoses": "ICD codes",
}
FITTED = {
    "train": ", fitted on pre-training patients alone",
    "all": ", fitted on all MIMIC-IV patients, as in FIDDLE",
}
FLAG_WORDS = {"coded_after_discharge": "coded after discharge", "stored_after_discharge": "stored after discharge"}


def objectives(study: Study) -> Iterator[str]:
    """What is predicted, and what for."""
    methods = {row["method"] for row in study.numbers.rows}
    beside = ["training from scratch"] * (SCRATCH in methods)
    beside += ["published methods"] * any(METHOD_TITLES[name][1] == "baseline" for name in in_order(methods))
    beside += ["simple references"] * bool({TREES, LOGISTIC} & methods)
    compared = f", to compare pre-training across medical sources with {listed(beside)}" if beside else ""
    yield (
        f"Predict {listed(TASK_TITLES[name] for name in study.names)}{compared}. Development and internal validation."
    )
    if study.numbers.transfers():
        yield "Transfer between two clinical systems of one hospital stands beside."


def sources(study: Study) -> Iterator[str]:
    """Where the data of each cohort come from."""
    for cohort in study.cohorts:
        database = database_of(cohort)
        known = study.ancestry.releases.get(database, "")
        yield f"{cohort}: {release(database)}{f', release {known}' if known else ''}."
    if study.is_synthetic:
        yield "Written by this project in the publishers' layout: they hold no patient."


def dates(study: Study) -> Iterator[str]:
    """When patients were seen."""
    if study.is_synthetic:
        yield "Invented, as if shifted by patient."
    else:
        yield "Shifted by patient, so that no period of accrual can be told from the data."


def eligibility(study: Study) -> Iterator[str]:
    """Who is an example."""
    rules = {task["task"]: (task["unit"], tuple(task["exclusions"])) for task in study.tasks}
    for unit, names in dict.fromkeys(rules.values()):
        alike = [TASK_TITLES[task] for task, rule in rules.items() if rule == (unit, names)]
        reasons = "; ".join(REASONS[name] for name in names)
        yield f"{_capital(listed(alike))}: one example per {unit}, excluded in this order: {reasons}."


def preparation(study: Study) -> Iterator[str]:
    """What was done to the data before."""
    manifest = study.ancestry.manifests["series_features"]
    fitted = FITTED.get(str(manifest.settings.get("fit_on")), "")
    yield f"The same steps for every cohort and group: typed and checked rows, hourly features{fitted}."
    yield "Rows that break a rule are kept aside and counted (section Data)."


def outcomes(study: Study) -> Iterator[str]:
    """What is predicted, and when it counts."""
    for name in study.names:
        tasks = [row for row in study.tasks if row["task"] == name]
        counted = listed(dict.fromkeys(HORIZONS[row["horizon"]] for row in tasks))
        moment = MOMENTS[tasks[0]["index_event"]]
        yield f"{task_title(name)}: {OUTCOMES[name]}; predicted {moment}, counted {counted} after."
    yield "Outcomes are read from charted and recorded events, by one query for all cohorts, apart from predictors."


def predictors(study: Study) -> Iterator[str]:
    """What may be read, and what was kept back."""
    for event, task in {row["index_event"]: row for row in study.tasks}.items():
        flagged = zip(task["inputs"], task["flags"], strict=True)
        named = (INPUT_WORDS[name] + (f" ({FLAG_WORDS[flag]})" if flag else "") for name, flag in flagged)
        yield f"{_capital(MOMENTS[event])}: {listed(named)}."
    late = _inputs(study).select(pl.col("num_late_rows").sum()).collect().item()
    made = listed(f"{count(study.rows(FEATURES[space]))} features in the {space} space" for space in study.spaces)
    yield (
        f"Hourly readings make {made}, and what is known "
        f"when a stay begins makes {count(study.rows('static_features'))}. A row is read only if it was known before "
        f"the index time: {count(late or 0)} rows of these examples were kept back because they became known too late."
    )


def sample_size(study: Study) -> Iterator[str]:
    """How many examples and events."""
    yield "None was calculated beforehand: every example of a cohort is used."
    first = {name: next(row["horizon"] for row in study.tasks if row["task"] == name) for name in study.names}
    for row in sorted(study.events, key=lambda row: list(TASK_TITLES).index(row["task"])):
        if row["cohort"] in study.cohorts and first.get(row["task"]) == row["horizon"] and row["num_examples"]:
            numbers = f"{count(row['num_events'])} events in {count(row['num_examples'])} examples"
            where = f"{task_title(row['task'])}, {HORIZONS[row['horizon']]}, {row['cohort']}"
            yield f"{where}: {numbers}, {count(row['num_test_events'])} of the events tested."


def missing(study: Study) -> Iterator[str]:
    """What is missing, and what is done about it."""
    of_example = _inputs(study).group_by("index_event", "input", "stay_id")
    per_example = of_example.agg(has_any=pl.col("num_rows").sum() > 0)
    shares = per_example.group_by("index_event", "input").agg(n=pl.len(), present=pl.col("has_any").sum())
    found: dict[str, list[str]] = {}
    for event, name, n, present in shares.collect().sort("index_event", "input").rows():
        found.setdefault(event, []).append(f"{INPUT_WORDS[name]} for {ratio(n - present, n)}")
    for event in (name for name in MOMENTS if name in found):
        yield f"{_capital(MOMENTS[event])}, examples lack {listed(found[event])}."
    yield (
        "A missing input is masked. Of hourly readings, frequent numbers are filled forward within a stay with a mask "
        "beside them; any other reading that is missing has no indicator. Nothing else is imputed."
    )


def analysis(study: Study) -> Iterator[str]:
    """Who trains, chooses and is tested."""
    people = study.examples().group_by("split").agg(pl.col("subject_id").n_unique()).collect()
    train, validation, test = (dict(people.iter_rows()).get(name, 0) for name in ("train", "validation", "test"))
    yield (
        "A patient stands in one part for all tasks and cohorts, drawn by a seeded hash: of those with an example "
        f"{count(train)} train, {count(validation)} choose settings, {count(test)} are tested."
    )
    if any(row["split"] == FOLDS for row in study.numbers.rows):
        yield "Folds of the cross-validation are drawn apart, by patient too."


def models(study: Study) -> Iterator[str]:
    """Methods, and how their settings are chosen."""
    yield f"Methods: {listed(title(name) for name in in_order(row['method'] for row in study.numbers.rows))}."
    sweep = study.settings.get("sweep", {})
    if sweep:
        seeds, monitor = len(sweep["seeds"]), sweep["monitor"].replace("_", " ").replace("auroc", "AUROC")
        sizes, rates = (_searched(name, sweep[name]) for name in ("batch_sizes", "learning_rates"))
        yield (
            f"Networks search {sizes} and {rates}; validation alone chooses, by "
            f"{monitor}. A training ends "
            f"{count(sweep['patience'])} epochs after the best one, after {count(sweep['max_epochs'])} at the latest."
        )
        yield f"The chosen point is trained with {count(seeds)} {'seed' if seeds == 1 else 'seeds'}."


def measures(study: Study) -> Iterator[str]:
    """What is measured, and how intervals and tests are made."""
    draws = study.settings.get("sweep", {}).get("num_draws")
    yield "AUROC and average precision; calibration slope, intercept, Brier score and calibration error; net benefit."
    yield (
        f"Intervals are percentiles over {count(draws) + ' ' if draws else ''}draws of patients, each with all their "
        "records, and of trainings, where a method has several."
    )
    declared = [row for row in study.compared if row["is_declared"]]
    others = listed(title(name) for name in in_order(row["other"] for row in declared))
    tested = sum(row["p_holm"] is not None for row in declared)
    yield (
        f"Three comparisons were declared beforehand{f', here those with {others}' if others else ''}. "
        f"{count(tested)} of their {count(len(declared))} differences here are tested, with Holm's correction within a "
        f"task, cohort, mode and split: those of {FEW_SEEDS} trainings each or more."
    )


def imbalance(study: Study) -> Iterator[str]:
    """What was done about rare events."""
    yield "Nothing: classes are neither weighted nor resampled."


def fairness(study: Study) -> Iterator[str]:
    """Groups that are looked at, and what was done for them."""
    splits = {row["split"] for row in study.numbers.rows if "=" in row["split"]}
    divisions = sorted({split.partition("/")[2].partition("=")[0].replace("_", " ") for split in splits})
    if divisions:
        yield f"Measured by {listed(divisions)}."
    yield "Nothing was done to even out performance between groups."


def output(study: Study) -> Iterator[str]:
    """What a model says."""
    yield "A risk between 0 and 1. No threshold is proposed."


def development(study: Study) -> Iterator[str]:
    """How those who are evaluated differ from those of pre-training."""
    yield "Our model was pre-trained on EHR of MIMIC-IV patients outside ehr_holdout."
    yield from dict.fromkeys(place.note for place in study.places)


def open_science(study: Study) -> Iterator[str]:
    """What can be looked up, and what this page does not know."""
    used = [study.ancestry.manifests[CHECKPOINTS[space]] for space in study.spaces]
    named = listed(f"{made.table}, version {made.version}" for made in used)
    yield (
        f"{'Checkpoint' if len(used) == 1 else 'Checkpoints'}: {named}. Code, settings and raw files of every number "
        "are in the section Where each number came from. Not known to this page, to be added by whoever publishes: "
        "ethical approval, funding, conflicts of interest, a registered protocol, involvement of patients."
    )


def _searched(name: str, values: Sequence[float]) -> str:
    words = name.replace("_", " ")
    return f"{words if len(values) > 1 else words.removesuffix('s')} {listed(f'{value:g}' for value in values)}"


def _inputs(study: Study) -> pl.LazyFrame:
    """Rows of `prediction_inputs` of the examples of this study."""
    inputs = study.lake.scan("prediction_inputs").with_columns(pl.col("index_event", "input").cast(pl.String))
    examples = study.examples().select(pl.col("index_event").cast(pl.String), "stay_id").unique()
    return inputs.join(examples, on=["index_event", "stay_id"], how="semi")


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
