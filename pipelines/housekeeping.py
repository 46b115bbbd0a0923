"""Cleans up what a killed run left in Dagster's own records, so that nothing stands in the way of the next."""

import os
import socket
import time
from pathlib import Path

import dagster as dg

PROCESS_TAG = "medcsp/process"
UNTAGGED_GRACE_SECONDS = 300
_UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_claimed: set[str] = set()


def claim_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Note on a run which process executes it, and mark the runs of dead processes as failed; once per run."""
    if run_id not in _claimed:
        _claimed.add(run_id)
        instance.add_run_tags(run_id, {PROCESS_TAG: process_tag(os.getpid())})
        mark_dead_runs(instance)


def process_tag(pid: int) -> str:
    """Return what tells a process from all others that ever ran: host, pid and the kernel's start time."""
    return f"{socket.gethostname()}:{pid}:{_started(pid)}"


def mark_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark as failed every run that says it is running while its process is gone; return their ids."""
    dead = [
        record.dagster_run
        for record in instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED))
        if not _is_alive(record.dagster_run.tags.get(PROCESS_TAG), record.create_timestamp.timestamp())
    ]
    for run in dead:
        instance.report_run_failed(run, "the process of this run ended without a word; it was probably killed")
    return [run.run_id for run in dead]


def _is_alive(tag: str | None, created: float) -> bool:
    if tag is None:
        return time.time() - created < UNTAGGED_GRACE_SECONDS
    host, pid, _ = tag.split(":")
    return host != socket.gethostname() or process_tag(int(pid)) == tag


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
