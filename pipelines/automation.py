"""When the graph runs by itself: one refresh job over the CPU part, one sensor for the device part.

Belongs here: jobs, the schedule, the sensor. Does not: what is current; every asset decides that for itself, so one job
in graph order rebuilds each changed table exactly once. (Conditions that spread hop by hop train on a half-updated
diamond.)
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from lake import short_hash
from pipelines.assets.graph import CPU_STEPS, DEVICE_STEPS, STEPS
from pipelines.assets.step import InputMissingError, Step
from pipelines.resources import Workspace

REFRESH = "refresh"
EVERYTHING = "everything"
TRAIN = "train"
OBSERVE = "observe_raw"


def jobs() -> list[Any]:
    """Return the jobs: `refresh` (CPU part), `train` (device part), `everything`, and `observe_raw`."""
    on_device = dg.AssetSelection.assets(*DEVICE_STEPS)
    raw = dg.AssetSelection.key_prefixes("raw")
    everything = dg.AssetSelection.all() - raw
    return [
        dg.define_asset_job(
            REFRESH, everything - on_device, description="Observe the raw files, rebuild what changed."
        ),
        dg.define_asset_job(TRAIN, on_device, description="Train, embed, evaluate and report."),
        dg.define_asset_job(EVERYTHING, everything, description="The whole graph, in graph order."),
        dg.define_asset_job(OBSERVE, raw, description="Only observe the raw files."),
    ]


def schedules() -> list[dg.ScheduleDefinition]:
    """Return the one schedule: nightly, each step observes its raw files and rebuilds what changed."""
    return [
        dg.ScheduleDefinition(
            name="refresh_after_data_drop",
            job_name=REFRESH,
            cron_schedule="0 3 * * *",
            description="Observes the raw sources and runs the CPU graph; what is current returns at once.",
            default_status=dg.DefaultScheduleStatus.STOPPED,
        )
    ]


def sensors() -> list[dg.SensorDefinition]:
    """Return the device sensor, off until somebody turns it on."""
    return [gpu_automation]


@dg.sensor(
    job_name=TRAIN,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Trains, evaluates and reports when the CPU graph is current and they are not; once per what changed.",
)
def gpu_automation(workspace: dg.ResourceParam[Workspace]) -> dg.RunRequest | dg.SkipReason:
    """Request a run of the device part where any of it is not current, and only from a graph that is.

    Dagster starts one run for a key: what failed waits until something it is made from changes.
    """
    try:
        if behind := outdated(workspace, CPU_STEPS):
            return dg.SkipReason(f"the CPU graph is not current ({', '.join(behind[:3])}): run the {REFRESH} job")
        waiting = outdated(workspace, DEVICE_STEPS)
        if not waiting:
            return dg.SkipReason("checkpoints, evaluations and report are current")
        return dg.RunRequest(run_key=short_hash(" ".join(_fingerprints(workspace, waiting))))
    except ValueError as error:
        return dg.SkipReason(f"the raw files or weights cannot be read ({error}): run the {REFRESH} job")


def outdated(workspace: Workspace, steps: dict[str, Step]) -> list[str]:
    """Return the names of the steps whose table is missing or was made from other code, inputs or settings."""
    return [name for name, step in steps.items() if not _is_current(step, workspace)]


def _fingerprints(workspace: Workspace, names: list[str]) -> Iterator[str]:
    """Give the fingerprints of the steps whose inputs are published."""
    for name in names:
        try:
            yield STEPS[name].fingerprint(workspace, STEPS[name].input_versions(workspace))
        except InputMissingError:
            continue


def _is_current(step: Step, workspace: Workspace) -> bool:
    try:
        return step.current(workspace, step.input_versions(workspace)) is not None
    except InputMissingError:
        return False
