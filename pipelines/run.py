"""`python -m pipelines.run`: run a job of the graph in this process and say what happened, one line per asset.

Belongs here: what `make demo`, `make run` and `make refresh` print. Does not: any work.
"""

import argparse
import logging
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl

from data_contracts.evaluation import Metrics
from lake import Lake
from pipelines.assets.graph import STEPS
from pipelines.assets.report import page_path
from pipelines.automation import EVERYTHING, REFRESH, TRAIN
from pipelines.definitions import build_defs
from pipelines.resources import Workspace, workspace_from_environment


class GateFailed(RuntimeError):
    """The demo trained a model that does not search better than chance."""


@dataclass(frozen=True)
class AssetRun:
    """What one asset cost in this run."""

    name: str
    is_current: bool
    rows: int
    rejected: int


def main(arguments: list[str] | None = None) -> int:
    """Run a job; return 0 when every asset is current at its end."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.run", description=__doc__)
    parser.add_argument("--job", default=EVERYTHING, choices=[EVERYTHING, REFRESH, TRAIN])
    parser.add_argument("--force", action="store_true", help="make every table again, current or not")
    options = parser.parse_args(arguments)
    logging.getLogger("dagster").setLevel(logging.ERROR)
    try:
        workspace = workspace_from_environment()
        announce(workspace)
        return run(workspace, job=options.job, force=options.force)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def run(workspace: Workspace, *, job: str, force: bool = False) -> int:
    """Execute a job in this process and print its summary."""
    started = time.monotonic()
    definitions = build_defs(workspace=workspace)
    instance = dg.DagsterInstance.get()
    mark_dead_runs(instance)
    result = definitions.resolve_job_def(job).execute_in_process(
        instance=instance, raise_on_error=False, tags={"medcsp/force": "1"} if force else {}
    )
    for failure in failures(result):
        print(f"failed: {failure}", file=sys.stderr)
    if not result.success:
        return 1
    print_costs(workspace.lake, asset_runs(result), total_seconds=time.monotonic() - started)
    if job != REFRESH:
        print_metrics(workspace)
    return 0
