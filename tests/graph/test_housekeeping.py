"""Runs of dead processes are marked as failed; no run of a living one is, however long it takes."""

from pathlib import Path

import dagster as dg
import pytest

from pipelines import housekeeping
from pipelines.definitions import build_defs
from pipelines.profiles import demo
from pipelines.resources import Sources, Workspace

NOT_THERE = dg.AssetKey(["raw", "open_i__reports"])


def test_a_run_that_only_observes_says_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "UNTAGGED_GRACE_SECONDS", 0)
    definitions = build_defs(workspace=Workspace(home=tmp_path, profile=demo(), sources=Sources(roots={})))
    job = definitions.resolve_job_def("observe_raw").get_subset(asset_selection={NOT_THERE})
    with dg.instance_for_test() as instance:
        result = job.execute_in_process(instance=instance)
        instance.report_run_canceling(instance.get_run_by_id(result.run_id))  # as if it were going on
        assert housekeeping.mark_dead_runs(instance) == []
        monkeypatch.setattr(housekeeping, "_started", lambda pid: "gone")
        assert housekeeping.mark_dead_runs(instance) == [result.run_id]
