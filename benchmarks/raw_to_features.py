"""What the series benchmarks share: a MIMIC-IV tree made into hourly features by the production path, in one process.

raw csv.gz -> typed tables -> records -> readings -> fit -> cells, all of them published. Tables that the tree lacks,
and those of MIMIC-III, are empty. The features are fitted on all stays.
"""

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from data_contracts import CONTRACTS, features
from lake import Lake, Query, measured
from pipelines.assets.graph import STEPS
from pipelines.features import series, series_fit
from pipelines.sources import TABLES

RECORDS = ("ehr_records", "ehr_stays", "ehr_readings")
VARIABLES = {"record_time": "admission", "max_stays": 3, "window_hours": 48}
MADE: dict[str, Any] = {"code_version": "", "inputs": {}, "settings": VARIABLES}
NUM_SHARDS = 16


def in_own_process(root: Path, table: str) -> dict[str, Any]:
    """Return rows of the raw table, cells, CPU seconds and peak memory of a process that does nothing else."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run, root, table).result()


def run(root: Path, table: str) -> dict[str, Any]:
    """Make the features of a tree below `root`; `table` is the raw table whose rows are counted."""
    with tempfile.TemporaryDirectory() as home, measured() as usage:
        lake = Lake(Path(home), num_shards=NUM_SHARDS)
        needed = {name for step in RECORDS for name in STEPS[step].inputs} - set(RECORDS)
        for name in sorted(needed):
            contract = CONTRACTS[name]
            is_there = name.startswith("mimic_iv__") and any((root / file).exists() for file in TABLES[name].files)
            rows = TABLES[name].read(root) if is_there else contract.create_empty()
            lake.publish(contract, rows, **MADE)
        for name in RECORDS:
            step = STEPS[name]
            assert step.sql is not None
            query = Query(step.sql.read_text(), tables=list(step.inputs), variables=VARIABLES)
            lake.publish(CONTRACTS[name], query, **MADE)
        settings = series.SeriesSettings(fit_on="all")
        readings = lake.scan("ehr_readings")
        vocabulary = series_fit.fit_series(readings, lake.scan("ehr_stays"), settings)
        lake.publish(features.SeriesFeatures, vocabulary.features, **MADE)
        cells = lake.publish(features.EhrSeries, series.encode_series(readings, vocabulary), **MADE)
        rows_in, readings_in = lake.manifest(table), lake.manifest("ehr_readings")
        assert rows_in is not None and readings_in is not None
        counts = {"rows": rows_in.rows, "readings": readings_in.rows, "cells": cells.rows}
    return {**counts, "cpu_seconds": round(usage.cpu_seconds, 2), "peak_mb": round(usage.peak_mb, 1)}
