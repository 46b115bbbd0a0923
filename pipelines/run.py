"""`python -m pipelines.run`: run a job of the graph in this process and say what happened, one line per asset.

Belongs here: what `make demo`, `make run` and `make refresh` print. Does not: any work.
"""

import argparse
import logging
import sys
import time
import warnings
from typing import Any

import dagster as dg
import polars as pl
from sqlalchemy.exc import OperationalError

from data_contracts.evaluation import Metrics
from lake import Lake
from pipelines.assets.glue import PROGRESS, SWEEPS
from pipelines.assets.graph import STEPS
from pipelines.assets.report import page_path
from pipelines.automation import EVERYTHING, REFRESH, TRAIN
from pipelines.resources import REPOSITORY, Workspace, workspace_from_environment
from pipelines.sources import SOURCES

SHOWN = ("recall_at_k", "precision_at_k")
CLASSIFIED = ("auroc", "f1", "balanced_accuracy")
STOPPED = "the run was stopped; the same command goes on where it was"
HORIZONS = ("unbounded", "within_30d")
"""Of the modes of predictions, those of the paper's figures."""


def main(arguments: list[str] | None = None) -> int:
    """Run a job; return 0 when every asset is current at its end and the profile's gate holds."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.run", description="Run a job of the graph.")
    parser.add_argument("--job", default=EVERYTHING, choices=[EVERYTHING, REFRESH, TRAIN])
    parser.add_argument("--force", action="store_true", help="make every table again, current or not")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    try:
        return run(workspace_from_environment(), job=options.job, force=options.force)
    except OperationalError as error:  # of Dagster's records, for instance where the disk is full
        print(f"error: {error.orig} (MEDCSP_HOME): see to its room and rights, and run it again", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # Dagster marks the run, and lets ^C through
        print(f"failed: {STOPPED}", file=sys.stderr)
        return 130


def run(workspace: Workspace, *, job: str, force: bool = False) -> int:
    """Execute a job in this process and print its summary."""
    from pipelines.definitions import build_defs  # reads the environment, which by now is known to be sound

    started = time.monotonic()
    announce(workspace)
    show_progress()
    definitions = build_defs(workspace=workspace)
    with dg.DagsterInstance.get() as instance:
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance,
            raise_on_error=False,
            tags={"medcsp/force": "1"} if force else {},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    costs = asset_costs(result, workspace.lake)
    print_costs(costs, total_seconds=time.monotonic() - started)
    print_warnings(failed_warnings(result))
    if not result.success:
        print("\n".join(f"failed: {line}" for line in failures(result)), file=sys.stderr)
        return 1
    return 0 if job == REFRESH else print_results(workspace)


def announce(workspace: Workspace) -> None:
    """Say which profile, home and roots this run works with, and once which optional sources are absent."""
    print(f"profile {workspace.profile.name}, home {workspace.home}")
    for name, root in sorted(workspace.sources.roots.items()):
        print(f"  {name}: {'synthetic' if name in workspace.sources.synthetic else root}")
    for name, variable in sorted(workspace.sources.absent.items()):
        if SOURCES[name].required:
            print(f"  {name}: needed, and {variable} is not set")
        else:
            print(f"  {name}: not available (set {variable}); its tables are empty, its modality is masked")
    sys.stdout.flush()


def show_progress() -> None:
    """Print what the steps say as they go: a line when one ends, and the trainer's own."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    PROGRESS.handlers = [handler]
    PROGRESS.propagate = False
    PROGRESS.setLevel(logging.INFO)


def asset_costs(result: dg.ExecuteInProcessResult, lake: Lake) -> pl.DataFrame:
    """Return one row per asset that ran: rows, rejects, seconds of its body, and peak memory when it was built."""
    rows = []
    for event in result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        metadata: dict[str, Any] = {key: entry.value for key, entry in materialization.metadata.items()}
        name = materialization.asset_key.path[-1]
        if materialization.asset_key in {grid.key for grid in SWEEPS.values()}:  # told by others, made by nobody
            continue
        timing = lake.timing(name) if name in STEPS else {}
        rows.append(
            {
                "asset": name,
                "state": "current" if metadata["memoised"] else "built",
                "rows": metadata.get("dagster/row_count"),
                "rejected": metadata.get("rejected_rows"),
                "seconds": metadata["seconds"],
                "seconds_built": timing.get("seconds"),
                "peak_mb": timing.get("peak_mb"),
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def print_costs(costs: pl.DataFrame, *, total_seconds: float) -> None:
    """Print what each asset did and what it cost, and the share of time that was Dagster's own."""
    if costs.is_empty():
        return
    width = 1 + max(map(len, costs["asset"]))
    print(f"\n{'asset':<{width}}{'':<9}{'rows':>10}{'rejected':>10}{'seconds':>9}{'peak MB':>9}")
    for row in costs.iter_rows(named=True):
        peak = "" if row["state"] == "current" or row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
        rows, rejected = ("" if row[name] is None else f"{row[name]:,}" for name in ("rows", "rejected"))
        print(f"{row['asset']:<{width}}{row['state']:<9}{rows:>10}{rejected:>10}{row['seconds']:>9.2f}{peak:>9}")
    work = float(costs["seconds"].sum())
    print(f"\n{total_seconds:.0f} s in all; {total_seconds - work:.1f} s of it Dagster's own and start-up")


def failed_warnings(result: dg.ExecuteInProcessResult) -> dict[str, int]:
    """Return the rows that break each rule which stops nothing, by name; rows that a contract rejects stand above."""
    return {
        check.check_name: int(check.metadata["rows"].value)  # type: ignore[arg-type]
        for check in result.get_asset_check_evaluations()
        if not check.passed and "rows" in check.metadata
    }


def print_warnings(failed: dict[str, int]) -> None:
    """Print the rules that stop nothing and what they found; `sql/checks/warnings/<rule>.sql` gives the rows."""
    if not failed:
        return
    print("\nwarnings (rows by sql/checks/warnings/<rule>.sql)")
    for rule, num_rows in sorted(failed.items()):
        print(f"  {rule:<56}{num_rows:>10,}")


def print_results(workspace: Workspace) -> int:
    """Print the metrics, where the report lies and what to do next; return 1 if the profile's gate does not hold."""
    metrics = workspace.lake.scan(Metrics.table).collect()
    print_metrics(metrics)
    print(f"\nreport: {page_path(workspace.lake)}")
    print("next:")
    for command in next_commands():
        print(f"  {command}")
    return check_gate(metrics, workspace.profile.retrieval.min_lift)


def print_metrics(metrics: pl.DataFrame) -> None:
    """Print the numbers of retrieval, classification and prediction, in percent, with their intervals."""
    print_retrieval(metrics)
    print_zero_shot(metrics)
    print_predictions(metrics)


def print_retrieval(metrics: pl.DataFrame) -> None:
    """Print the paper's own retrieval beside chance."""
    metrics = papers_search(metrics)
    for metric in SHOWN:
        rows = metrics.filter(pl.col("metric") == metric).sort("method", "k")
        if rows.is_empty():
            continue
        head = f"{metric}, percent"
        print(f"\n{rows['task'][0]}, {max(rows['n'].to_list())} queries{_badge(rows)}")
        print(f"{head:<24}" + "".join(f"{f'k = {k}':>13}" for k in rows["k"].unique(maintain_order=True)))
        for method in rows["method"].cast(pl.String).unique(maintain_order=True):
            cells = rows.filter(pl.col("method").cast(pl.String) == method)
            print(f"  {method:<22}" + "".join(f"{100 * value:>13.1f}" for value in cells["value"]))
            if cells["ci_low"].null_count() == 0:
                print(f"  {'95 % interval':<22}" + "".join(f"{_interval(row):>13}" for row in cells.to_dicts()))


def print_zero_shot(metrics: pl.DataFrame) -> None:
    """Print what a classification by prompts is worth, mean over prompt sets, beside what sees no image."""
    own = pl.col("mode").is_in(["mean", "constant"]) & ~pl.col("split").str.contains("/")
    rows = metrics.filter(pl.col("task").str.starts_with("zero_shot_"), own, pl.col("metric").is_in(CLASSIFIED))
    for (task,), of_task in rows.group_by("task", maintain_order=True):
        cells = {(row["method"], row["metric"]): row for row in of_task.iter_rows(named=True)}
        first = next(iter(cells.values()))
        print(f"\n{task}, {first['num_positive']} of {first['n']} films positive{_badge(of_task)}")
        print(f"{'mean of prompts, percent':<26}" + "".join(f"{metric:>20}" for metric in CLASSIFIED))
        for method in dict.fromkeys(name for name, _ in cells):
            found = [cells.get((method, metric)) for metric in CLASSIFIED]
            print(f"  {method:<24}" + "".join(f"{_percent(row):>20}" for row in found))
            if any(row and row["ci_low"] is not None for row in found):
                print(f"  {'95 % interval':<24}" + "".join(f"{_interval(row):>20}" for row in found))


def papers_search(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return the numbers of text to image on all views of MIMIC-CXR, without subgroups; the paper's Table 2."""
    is_papers = {"task": "retrieval_mimic_cxr", "cohort": "all_views", "mode": "text_to_image"}
    own = [pl.col(name) == value for name, value in is_papers.items()]
    return metrics.filter(*own, ~pl.col("split").str.contains("/"), pl.col("method").cast(pl.String) != "ceiling")


def print_predictions(metrics: pl.DataFrame) -> None:
    """Print the AUROC of every method in one table per cohort, a task a column, and how many events it rests on."""
    rows = metrics.filter(
        (pl.col("metric") == "auroc") & (pl.col("split") == "test") & (pl.col("seed") == -1) & (pl.col("k") == 0)
    ).filter(pl.col("mode").str.strip_suffix("/shared").is_in(HORIZONS))
    for (dataset, cohort), of_cohort in rows.group_by("dataset", "cohort", maintain_order=True):
        cells = {(row["task"], row["method"]): row for row in of_cohort.sort("task", "method").iter_rows(named=True)}
        tasks, methods = (list(dict.fromkeys(keys)) for keys in zip(*cells, strict=True))
        print(f"\npredictions, {dataset} {cohort}{_badge(of_cohort)}")
        print(f"{'auroc, percent':<24}" + "".join(f"{task.removeprefix('prediction_'):>17}" for task in tasks))
        of_task = [next(row for (name, _), row in cells.items() if name == task) for task in tasks]
        print(f"  {'events / tested':<22}" + "".join(f"{_events(row):>17}" for row in of_task))
        for method in methods:
            of_method = [cells.get((task, method)) for task in tasks]
            print(f"  {method:<22}" + "".join(f"{_percent(row):>17}" for row in of_method))
            print(f"  {'95 % interval':<22}" + "".join(f"{_interval(row):>17}" for row in of_method))


def _badge(rows: pl.DataFrame) -> str:
    return ", synthetic data" if rows["synthetic"].any() else ""


def _events(row: dict[str, Any]) -> str:
    return f"{row['num_positive']} / {row['n']}"


def _percent(row: dict[str, Any] | None) -> str:
    return f"{100 * row['value']:.1f}" if row else "-"


def _interval(row: dict[str, Any] | None) -> str:
    if not row or row["ci_low"] is None:
        return ""
    return f"{100 * row['ci_low']:.1f}-{100 * row['ci_high']:.1f}"


def next_commands() -> list[str]:
    """Return the three commands that a newcomer wants next."""
    return [
        "make sql            # ask the tables: select * from same_patient_pairs limit 5",
        "make dev            # the graph in Dagster's UI",
        "make run            # the real sources, named by the environment (README, 'The first real run')",
    ]


def check_gate(metrics: pl.DataFrame, min_lift: float) -> int:
    """Return 1, and say why, if the lower bound of R@10 is not above so many times chance."""
    at_ten = papers_search(metrics).filter((pl.col("metric") == "recall_at_k") & (pl.col("k") == 10))
    values = {row["method"]: row for row in at_ten.iter_rows(named=True)}
    if not min_lift or not values:
        return 0
    low, chance = values["medcsp"]["ci_low"], values["chance"]["value"]
    if low is not None and low > min_lift * chance:
        return 0
    found = "has no interval, its queries are of too few patients" if low is None else f"is at least {low:.3f}"
    print(f"failed: R@10 {found}, not above {min_lift} x chance ({chance:.3f})", file=sys.stderr)
    return 1


def failures(result: dg.ExecuteInProcessResult) -> list[str]:
    """Return one readable line per reason that steps failed for; code that broke shows where."""
    lines = []
    for event in result.filter_events(lambda event: event.is_step_failure):
        data = event.step_failure_data
        failure = data.user_failure_data
        if failure and failure.description:
            lines.append(failure.description)
        elif data.error and data.error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
            lines.append(STOPPED)
        else:
            lines.append(str(data.error_display_string))
    return list(dict.fromkeys(lines))


if __name__ == "__main__":
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    assert REPOSITORY.is_dir()
    sys.exit(main())
