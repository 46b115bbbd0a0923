"""When the graph runs by itself: one refresh job over the CPU part, one sensor for the device part.

Belongs here: jobs, the schedule, the sensor. Does not: what is current; every asset decides that for itself, so one job
in graph order rebuilds each changed table exactly once. (Conditions that spread hop by hop train on a half-updated
diamond.)
"""

from typing import Any

import dagster as dg

from pipelines.assets.graph import CPU_STEPS, STEPS
from pipelines.assets.step import InputMissingError, Step
from pipelines.resources import Workspace

REFRESH = "refresh"
EVERYTHING = "everything"
TRAIN = "train"
OBSERVE = "observe_raw"


def jobs() -> list[Any]:
    """Return the jobs: `refresh` (CPU part), `train` (device part), `everything`, and `observe_raw`."""
    on_device = dg.AssetSelection.assets(*[name for name, step in STEPS.items() if step.on_device])
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
    description="Trains when the CPU graph is current and the corpus changed; once per corpus.",
)
def gpu_automation(workspace: dg.ResourceParam[Workspace]) -> dg.RunRequest | dg.SkipReason:
    """Request one training for a corpus that has no checkpoint yet, and only from a graph that is current."""
    try:
        behind = outdated(workspace, CPU_STEPS)
    except ValueError as error:
        return dg.SkipReason(f"the raw files cannot be read ({error}): run the {REFRESH} job")
    if behind:
        return dg.SkipReason(f"the CPU graph is not current ({', '.join(behind[:3])}): run the {REFRESH} job")
    checkpoint = STEPS["pretrain_checkpoint"]
    inputs = checkpoint.input_versions(workspace)
    if checkpoint.current(workspace, inputs):
        return dg.SkipReason("the checkpoint was trained on the current corpus")
    return dg.RunRequest(run_key=checkpoint.fingerprint(workspace, inputs))


def outdated(workspace: Workspace, steps: dict[str, Step]) -> list[str]:
    """Return the names of the steps whose table is missing or was made from other code, inputs or settings."""
    return [name for name, step in steps.items() if not _is_current(step, workspace)]


def _is_current(step: Step, workspace: Workspace) -> bool:
    try:
        return step.current(workspace, step.input_versions(workspace)) is not None
    except InputMissingError:
        return False
