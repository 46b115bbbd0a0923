"""Items 20 to 27 of TRIPOD+AI: what came of it and what limits it, as sentences that are true of this run."""

from collections.abc import Iterator

import polars as pl

from pipelines.report.formats import count, plain, ratio
from pipelines.report.prediction_numbers import AT_DISCHARGE, OURS, TEST, TREES, Row, ends, one, share, task_title
from pipelines.report.prediction_tables import FEW
from pipelines.report.tripod_study import Study


def participants(study: Study) -> Iterator[str]:
    """Who the examples are."""
    examples = study.examples().select("cohort", "hadm_id").unique()
    people = examples.join(study.lake.scan("ehr_demographics"), on="hadm_id").group_by("cohort")
    is_female = pl.col("gender").cast(pl.String) == "F"
    found = people.agg(n=pl.len(), age=pl.col("age_years").median(), women=is_female.sum()).collect()
    by_cohort = {row["cohort"]: row for row in found.iter_rows(named=True)}
    for cohort in study.cohorts:
        if row := by_cohort.get(cohort):
            age = "age unknown" if row["age"] is None else f"median age {plain(round(row['age'], 1))} years"
            women = ratio(row["women"], row["n"])
            yield f"{cohort}: {count(row['n'])} admissions with an example, {age}, {women} female."
    yield "Who is excluded at each step is drawn in the section Who is evaluated."


def development_numbers(study: Study) -> Iterator[str]:
    """How much was trained, and what could not be."""
    done = [row for row in study.methods if row["reason"] is None]
    trials = sum(row["num_trials"] for row in done)
    yield f"{count(trials)} trainings stand behind {count(len(done))} pairs of a method and a task in a cohort."
    if lacking := len(study.methods) - len(done):
        yield f"{count(lacking)} more pairs have no number, for the reasons listed in the section Prediction."


def performance(study: Study) -> Iterator[str]:
    """AUROC of ours with its interval, boosted trees beside it."""
    for place, task, mode in study.main():
        found = study.numbers.at(place, task, mode, "auroc")
        ours, trees = (one(found, method=name) for name in (OURS, TREES))
        if ours is not None:
            around = ends(ours["ci_low"], ours["ci_high"])
            text = f"{share(ours['value'])}{f' ({around})' if around else ''}"
            beside = f", boosted trees {share(trees['value'])}" if trees else ""
            yield f"{task_title(task)}, {mode.words}, {place.cohort}: AUROC {text}{beside}."


def between_groups(study: Study) -> Iterator[str]:
    """How far AUROC of ours differs between groups that have enough events."""
    for place, task, mode in study.main():
        found = study.numbers.at(place, task, mode, "auroc", method=OURS, split=_is_subgroup)
        values = [row["value"] for row in found if _is_told(row)]
        if len(values) > 1:
            lowest, highest, number = share(min(values)), share(max(values)), count(len(values))
            yield (
                f"{task_title(task)}, {place.cohort}: AUROC of MedCSP from {lowest} to {highest} over {number} groups "
                f"with at least {FEW} events and {FEW} examples without one."
            )


def _is_told(row: Row) -> bool:
    """Whether a group has enough of both classes for its area to stand on a page."""
    positive = row["num_positive"] or 0
    return min(positive, row["n"] - positive) >= FEW


def _is_subgroup(split: str) -> bool:
    return "=" in split


def limitations(study: Study) -> Iterator[str]:
    """What stands between these numbers and a conclusion."""
    if study.is_synthetic:
        yield "Cohorts are synthetic: numbers show that the machinery works and say nothing of patients."
    elif any(row["synthetic"] for row in study.numbers.rows):
        yield "Some of what stands behind the numbers is synthetic: they say little of patients."
    badges = dict.fromkeys((place.cohort, place.badge) for place in study.places if not study.is_synthetic)
    for cohort, badge in badges:
        if badge == "leaks":
            yield f"{cohort} leaks: MIMIC-IV, on which our model was pre-trained, holds its patients under other ids."
        elif badge == "residual overlap":
            yield f"{cohort} may hold some patients of pre-training under other ids."
    whole = ("auroc", OURS, TEST, 0)
    ours = [
        row for row in study.numbers.rows if tuple(row[name] for name in ("metric", "method", "split", "k")) == whole
    ]
    widths = [row["ci_high"] - row["ci_low"] for row in ours if row["ci_low"] is not None]
    if widths:
        yield f"Intervals of our AUROC on the test part are up to {share(max(widths))} wide."
    if set(study.names) & set(AT_DISCHARGE):
        yield "ICD codes are assigned after discharge, so a readmission predicted with them is predicted too late."
    yield f"{'They imitate' if study.is_synthetic else 'All data come from'} the intensive care units of one hospital."


def usability(study: Study) -> Iterator[str]:
    """Whether it can be used."""
    yield "For research alone: nothing was tested at a bedside. A risk is given whatever input is missing."
