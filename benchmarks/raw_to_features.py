"""What the series benchmarks share: a MIMIC-IV tree made into hourly features by the graph's steps, in one process.

raw csv.gz -> typed tables -> records -> readings -> counts -> fit -> cells, each made and published as a run of the
graph does it. Tables that the tree lacks, and those of other sources, are empty. Features are fitted on all stays.
"""

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_contracts import CONTRACTS
from lake import Measurement, measured
from pipelines.assets.glue import build_and_publish
from pipelines.assets.graph import STEPS
from pipelines.features.series import SeriesSettings
from pipelines.profiles import default
from pipelines.resources import Sources, Workspace
from pipelines.sources import TABLES
from pipelines.sources.files_below import find_below

SERIES = "ehr_series"
NUM_SHARDS = 16


def in_own_process(root: Path, table: str) -> dict[str, Any]:
    """Return rows of the raw table, cells, CPU seconds and peak memory of a process that does nothing else."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run, root, table).result()


def run(root: Path, table: str) -> dict[str, Any]:
    """Make the features of a tree below `root`; `table` is the raw table whose rows are counted."""
    with tempfile.TemporaryDirectory() as home, measured() as usage:
        profile = replace(default(), num_shards=NUM_SHARDS, series=SeriesSettings(fit_on="all"))
        workspace = Workspace(home=Path(home), profile=profile, sources=Sources(roots={"mimic_iv": root}))
        stages = {}
        for name in needed_for(SERIES):
            with measured() as stage:
                make(name, workspace)
            stages[name] = stage
        lake = workspace.lake
        found = {name: lake.manifest(name) for name in (table, "ehr_readings", SERIES)}
        counts = {name: manifest.rows for name, manifest in found.items() if manifest is not None}
        # each publish looks at the peak of its own and sets it back
        peaks = [*(lake.timing(name)["peak_mb"] for name in stages), *(stage.peak_mb for stage in stages.values())]
    return {
        "rows": counts[table],
        "readings": counts["ehr_readings"],
        "cells": counts[SERIES],
        "cpu_seconds": round(usage.cpu_seconds, 2),
        "peak_mb": round(max(usage.peak_mb, *peaks), 1),
        "stages": dearest(stages),
    }


def needed_for(table: str) -> list[str]:
    """Return the steps that a table is made from, and its own, in the order of the graph."""
    needed, waiting = set(), [table]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += STEPS[name].inputs
    return [name for name in STEPS if name in needed]


def make(name: str, workspace: Workspace) -> None:
    """Build and publish one table; one whose files the tree lacks is empty."""
    step, raw_table = STEPS[name], TABLES.get(name)
    root = None if raw_table is None else workspace.sources.roots.get(raw_table.source)
    if raw_table is not None and (root is None or not all(find_below(root, file) for file in raw_table.files)):
        workspace.lake.publish(CONTRACTS[name], raw_table.empty(), code_version="", inputs={}, settings={})
        return
    build_and_publish(step, workspace, step.input_versions(workspace), log=lambda line: None)


def dearest(stages: dict[str, Measurement]) -> dict[str, float]:
    """Return the CPU seconds of the steps that took most, and of all others together."""
    seconds = {name: stage.cpu_seconds for name, stage in stages.items()}
    first = dict(sorted(seconds.items(), key=lambda item: -item[1])[:8])
    rest = sum(seconds.values()) - sum(first.values())
    return {name: round(value, 2) for name, value in {**first, "others": rest}.items()}
