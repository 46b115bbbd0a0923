"""Makes a Dagster asset of a step: its spec, its checks and the memoised body.

Belongs here: everything that all assets share. Does not: anything that one asset does.
"""

import atexit
import logging
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import dagster as dg

from data_contracts.evaluation import PREDICTIONS
from data_contracts.studies import GROUNDS
from lake import Manifest, PublishError, measured
from medcsp_model.settings import VARIANTS, AblationSettings, PredictionEvaluation
from pipelines.assets.column_lineage import column_lineage
from pipelines.assets.raw import combined_version
from pipelines.assets.step import Build, InputMissingError, Step
from pipelines.home import remember
from pipelines.housekeeping import claim_run
from pipelines.processes import LaunchError
from pipelines.resources import Workspace
from pipelines.stopping import stoppable

OWNERS = ["team:medcsp"]
PREDICTION_SWEEPS = dg.AssetSpec(
    "prediction_sweeps",
    description="Each method's sweep of each prediction task, as the tasks' tables report it while they run.",
    group_name="evaluation",
    kinds={"pytorch"},
    owners=OWNERS,
    partitions_def=dg.MultiPartitionsDefinition(
        {
            "task": dg.StaticPartitionsDefinition([contract.table for contract in PREDICTIONS]),
            "method": dg.StaticPartitionsDefinition(list(PredictionEvaluation().methods)),
        }
    ),
)
"""A grid of task by method that no run makes: a partitioned asset in the graph would make every command that selects
beyond it ask for a partition, and would publish a table with the rows of one method."""
ABLATION_SWEEPS = dg.AssetSpec(
    "ablation_sweeps",
    description="Each variant of the ablation with each seed, as the ablation reports it while it runs.",
    group_name="evaluation",
    kinds={"pytorch"},
    owners=OWNERS,
    partitions_def=dg.MultiPartitionsDefinition(
        {
            "variant": dg.StaticPartitionsDefinition([f"{on}/{name}" for on in GROUNDS for name in VARIANTS]),
            "seed": dg.StaticPartitionsDefinition([str(seed) for seed in AblationSettings().seeds]),
        }
    ),
)
"""A grid of variant by seed that no run makes, for the same reason."""
SWEEPS = {frozenset(("task", "method")): PREDICTION_SWEEPS, frozenset(("variant", "seed")): ABLATION_SWEEPS}
"""The grids by their dimensions."""
PROGRESS = logging.getLogger("pipelines.progress")
CONTRACT_CHECK = "contract"
_DTYPE_NAMES = {"Int16": "smallint", "Int32": "integer", "Int64": "bigint", "Float32": "float", "Float64": "double"}


@cache
def as_asset(step: Step, *, after: tuple[str, ...] = ()) -> dg.AssetsDefinition:
    """Return the asset of a step: memoised, published through the lake, with one check per rule set.

    Made once a process: Dagster asks for the graph several times in a command.

    Args:
        step: the table and how it is made.
        after: assets that must have run before, beside the step's own inputs.
    """

    @dg.multi_asset(
        name=step.name,
        specs=[asset_spec(step, after=after)],
        check_specs=[
            dg.AssetCheckSpec(CONTRACT_CHECK, asset=step.name, description="Row rules and key of the contract."),
            *[
                dg.AssetCheckSpec(name, asset=step.name, description=_first_comment(text), blocking=True)
                for name, text in step.checks().items()
            ],
            *[
                dg.AssetCheckSpec(name, asset=step.name, description=_first_comment(path.read_text()))
                for name, path in step.warning_files().items()
            ],
        ],
        required_resource_keys={"workspace"},
    )
    def _asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with stoppable(step.name):
            return materialize(step, context)

    return _asset


def asset_spec(step: Step, *, after: tuple[str, ...] = ()) -> dg.AssetSpec:
    """Return group, description, kinds, owners, code version and columns of a step."""
    return dg.AssetSpec(
        step.name,
        deps=[*step.inputs, *after, *[dg.AssetKey(["raw", name]) for name in step.raw_keys]],
        group_name=step.contract.layer,
        description=step.description,
        kinds=set(step.kinds or ("polars", "parquet")),
        owners=OWNERS,
        code_version=step.code_version()[:16],
        metadata={"dagster/column_schema": column_schema(step)},
    )


def column_schema(step: Step) -> dg.TableSchema:
    """Return the columns of a step's contract as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                type=_DTYPE_NAMES.get(type(column).__name__, type(column).__name__.lower()),
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=step.contract.key == (name,)),
            )
            for name, column in step.contract.columns().items()
        ]
    )


def materialize(step: Step, context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Return the current version if code, inputs and settings are unchanged; else make, check and publish a new one.

    Raises:
        dagster.Failure: an input is missing, the rows break a rule, or the trainer failed; the description is one
            readable message.
    """
    workspace: Workspace = context.resources.workspace.holding(step.inputs)
    claim_run(context.instance, context.run.run_id)
    started = time.monotonic()
    try:
        inputs = step.input_versions(workspace)
        step.verify(workspace)
        observe_raw(context, step, inputs)
        is_forced = bool(context.run.tags.get("medcsp/force"))
        manifest = None if is_forced else step.current(workspace, inputs)
        is_current = manifest is not None
        if manifest is None:
            remember_profile(context, workspace)
            log, observe = partial(_say, context), partial(_observe, context, step)
            manifest = build_and_publish(
                step,
                workspace,
                inputs,
                log=lambda line: log(f"  {line}"),
                observe=observe,
                done=partial(_done, context),
                fresh=is_forced,
            )
    except (InputMissingError, PublishError, LaunchError, ValueError) as error:
        say_last(str(error))
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except OSError as error:
        line = f"{step.name}: {workspace.refusal(error)}"
        say_last(line)
        raise dg.Failure(description=line, allow_retries=False) from None  # the system's own message names any file
    seconds = time.monotonic() - started
    say = context.log.info if is_current else lambda line: _say(context, line)
    say(f"{step.name}: {'current' if is_current else 'built'}, {manifest.rows:,} rows, {seconds:.2f} s")
    return result(step, manifest, warnings=count_warnings(step, workspace), is_current=is_current, seconds=seconds)


def remember_profile(context: dg.AssetExecutionContext, workspace: Workspace) -> None:
    """Let the home remember what its tables are made with, and say so where it was another profile."""
    if workspace.profile_name and (former := remember(workspace.home, workspace.profile_name, workspace.profile)):
        _say(context, f"{workspace.home} was made with profile {former}; it is made with {workspace.profile_name} now")


def say_last(line: str) -> None:
    """Print a line when Dagster's command ends: it puts 90 lines of stack around a failure and closes without it."""
    if Path(sys.argv[0]).name in ("dagster", "dg"):
        atexit.register(print, f"error: {line}", file=sys.stderr)


def _say(context: dg.AssetExecutionContext, line: str) -> None:
    """Log a line to Dagster, and to whoever listens to this run's progress."""
    context.log.info(line)
    PROGRESS.info(line)


def _observe(context: dg.AssetExecutionContext, step: Step, numbers: dict[str, float]) -> None:
    """Show numbers of an asset that is still being made; Dagster draws each over time."""
    context.log_event(dg.AssetObservation(asset_key=step.name, metadata=numbers))


def _done(context: dg.AssetExecutionContext, part: dict[str, str]) -> None:
    """Show that a part of a sweep is done, in the grid that has its dimensions; a part that it lacks is not shown."""
    grid, key = SWEEPS[frozenset(part)], dg.MultiPartitionKey(part)
    if grid.partitions_def is not None and grid.partitions_def.has_partition_key(key):
        context.log_event(dg.AssetMaterialization(grid.key, partition=key))


def count_warnings(step: Step, workspace: Workspace) -> dict[str, int]:
    """Return the number of rows that break each rule which stops nothing; a rule waits for the tables it reads."""
    counts = {name: workspace.lake.count(path.read_text()) for name, path in step.warning_files().items()}
    return {name: num_rows for name, num_rows in counts.items() if num_rows is not None}


def build_and_publish(
    step: Step,
    workspace: Workspace,
    inputs: dict[str, str],
    *,
    log: Any,
    observe: Callable[[dict[str, float]], None] = lambda numbers: None,
    done: Callable[[dict[str, str]], None] = lambda part: None,
    fresh: bool = False,
) -> Manifest:
    """Make the rows of a step and publish them; seconds and peak memory are kept beside the manifest.

    Raises:
        ValueError: an input is not, or no longer, of the version that was looked up.
    """
    workspace = step.hold_inputs(workspace, inputs)
    settings = step.settings(workspace.profile)
    build = Build(
        step=step,
        workspace=workspace,
        settings=settings,
        inputs=inputs,
        fingerprint=step.fingerprint(workspace, inputs),
        log=log,
        observe=observe,
        done=done,
    )
    with measured() as usage:
        made = build.made(fresh=fresh)
        manifest = workspace.lake.publish(
            step.contract,
            made.rows,
            code_version=step.code_version(),
            inputs=inputs,
            settings=settings,
            checks=step.checks(),
            extra=made.extra,
            confirm=partial(step.confirm, workspace, inputs),
        )
    usage.cpu_seconds = round(usage.cpu_seconds + sum(process.cpu_seconds for process in build.processes), 3)
    usage.peak_mb = max([usage.peak_mb, *[process.peak_mb for process in build.processes]])
    workspace.lake.record_timing(step.name, usage)
    return manifest


def observe_raw(context: dg.AssetExecutionContext, step: Step, inputs: dict[str, str]) -> None:
    """Report the version of the raw files a step read, so that a refresh observes the sources as it goes."""
    digests = {name: version for name, version in inputs.items() if name.startswith("raw:")}
    for name in step.raw_keys if digests else ():
        tags = {"dagster/data_version": combined_version(digests)}
        context.log_event(dg.AssetObservation(asset_key=dg.AssetKey(["raw", name]), tags=tags))


def result(
    step: Step, manifest: Manifest, *, warnings: dict[str, int], is_current: bool, seconds: float
) -> dg.MaterializeResult:
    """Return what Dagster records: counts, schemas and versions, never rows."""
    num_rejected = sum(manifest.rejected.values())
    metadata: dict[str, Any] = {
        "dagster/row_count": manifest.rows,
        "dagster/column_schema": column_schema(step),
        "rejected_rows": num_rejected,
        "version": manifest.version,
        "fingerprint": manifest.fingerprint[:16],
        "memoised": is_current,
        "seconds": seconds,
    }
    if step.sql is not None and not is_current:
        metadata["dagster/column_lineage"] = column_lineage(step.statement(), step.contract, step.inputs)
    contract_result = dg.AssetCheckResult(
        check_name=CONTRACT_CHECK,
        asset_key=step.name,
        passed=num_rejected == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={f"rejected: {rule}": count for rule, count in manifest.rejected.items()},
    )
    rules = [dg.AssetCheckResult(check_name=name, asset_key=step.name, passed=True) for name in step.checks()]
    rules += [
        dg.AssetCheckResult(
            check_name=name,
            asset_key=step.name,
            passed=warnings.get(name, 0) == 0,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"rows": warnings.get(name, 0)},
        )
        for name in step.warning_files()
    ]
    return dg.MaterializeResult(
        asset_key=step.name,
        metadata=metadata,
        data_version=dg.DataVersion(manifest.version),
        check_results=[contract_result, *rules],
    )


def _first_comment(sql: str) -> str:
    return sql.split("\n", 1)[0].lstrip("- ").strip()
