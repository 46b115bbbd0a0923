"""Runs of the graph for its tests: a tiny workspace, a job in this process, what a command needs around it."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.assets.glue import SWEEPS
from pipelines.assets.graph import STEPS
from pipelines.automation import REFRESH
from pipelines.definitions import build_defs
from pipelines.resources import REPOSITORY, Workspace, workspace_from_environment
from pipelines.run import failures

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
EVENTS = "events_of_refresh.jsonl"
"""In a built home: what Dagster heard while its tables were made."""


def tiny_workspace(home: Path, *, profile: str = "tiny:tiny", **variables: Any) -> Workspace:
    """Return the workspace of the tiny profile over a home; further variables as in the environment."""
    values = {"MEDCSP_HOME": str(home), "MEDCSP_PROFILE": profile, **{k: str(v) for k, v in variables.items()}}
    return workspace_from_environment(values)


@dataclass(frozen=True)
class Outcome:
    """What a run did: each asset that ended, in order, and one readable line per failure."""

    states: list[tuple[str, str]]
    failures: list[str]
    success: bool

    @property
    def built(self) -> list[str]:
        return [name for name, state in self.states if state == "built"]


def run_job(
    workspace: Workspace, job: str = REFRESH, *, only: list[str] | None = None, events: Path | None = None
) -> Outcome:
    """Run a job, or some of its assets, in this process on an instance that leaves nothing behind but its events."""
    definitions = build_defs(workspace=workspace)
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            asset_selection=[dg.AssetKey(name) for name in only] if only else None,
        )
        states = [
            (event.asset_key.path[-1], "current" if _metadata(event, "memoised") else "built")
            for event in result.get_asset_materialization_events()
            if event.asset_key not in {grid.key for grid in SWEEPS.values()}
        ]
        if events is not None:
            events.write_text("".join(f"{entry.to_json()}\n" for entry in instance.all_logs(result.run_id)))
        return Outcome(states=states, failures=failures(result), success=result.success)


def _metadata(event: dg.DagsterEvent, name: str) -> Any:
    return event.step_materialization_data.materialization.metadata[name].value


def making(*tables: str) -> list[str]:
    """Return the assets that these tables are made from, raw files and themselves included."""
    needed, waiting = set(tables), list(tables)
    while waiting:
        found = set(STEPS[waiting.pop()].inputs) - needed
        needed |= found
        waiting += found
    return ["synthetic_sources", *(name for name in STEPS if name in needed)]


def versions(home: Path) -> dict[str, str]:
    """Return the content version of every published table."""
    from lake import Lake

    return {name: manifest.version for name, manifest in Lake(home).tables().items()}


def environment(home: Path, *, repository: Path = REPOSITORY, **variables: str) -> dict[str, str]:
    """Return what `source env.sh` exports, for the tiny profile, with this interpreter's own bin first on the path."""
    dagster_home = home / "dagster"
    dagster_home.mkdir(parents=True, exist_ok=True)
    shutil.copy(REPOSITORY / "dagster.yaml", dagster_home)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEDCSP_", "DAGSTER_"))}
    return {
        **kept,
        "MEDCSP_HOME": str(home),
        "MEDCSP_PROFILE": "tiny:tiny",
        "DAGSTER_HOME": str(dagster_home),
        "DAGSTER_MODULE_NAME": "pipelines.definitions",
        "DAGSTER_CLI_DEV_USE_LEGACY_CODE_SERVER_BEHAVIOR": "1",
        "PYTHONPATH": os.pathsep.join([str(repository), str(HERE)]),
        "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", "")]),
        "OMP_NUM_THREADS": "1",
        **variables,
    }


def copy_home(source: Path, target: Path) -> Path:
    shutil.copytree(source, target, copy_function=shutil.copy2)
    return target
