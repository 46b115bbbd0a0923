"""Curves: gathers the points that the processes of predictions and classifications wrote. Not here: how one is made."""

import polars as pl

from data_contracts import Contract, evaluation
from pipelines.assets import predictions, radiology
from pipelines.assets.step import Build, Made, gathering, step

BY_PROMPTS = "zero_shot"
TASKS: tuple[type[Contract], ...] = (
    *evaluation.PREDICTIONS,
    *(task.contract for task in radiology.TASKS.values() if task.kind == BY_PROMPTS),
)
"""Tasks that have curves."""


@step(evaluation.Curves, **gathering(*TASKS))
def curves(build: Build) -> Made:
    """Gather the curves of every task that has any, or say why none has."""
    rows = pl.concat([predictions.gather(build, "curves"), radiology.gather(build, "curves", kinds=(BY_PROMPTS,))])
    if not rows.is_empty():
        return Made(rows)
    has_numbers = any(not build.scan(contract).head(1).collect().is_empty() for contract in TASKS)
    too_few = "every task was measured on fewer than ten positives or negatives"
    return Made(rows, extra={"not_available": too_few if has_numbers else "no task has a number, and says why itself"})


STEPS = (curves,)
