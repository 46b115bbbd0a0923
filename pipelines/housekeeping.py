"""Cleans up what a killed run left in Dagster's own records, so that nothing stands in the way of the next."""

import os
import socket

import dagster as dg

PROCESS_TAG = "medcsp/process"


def process_tag() -> str:
    """Return what names this process among all that ever ran on this machine: host, pid and start of the process."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def mark_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark as failed every run that says it is running while its process is gone; return their ids."""
    unfinished = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    dead = []
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        if not _is_alive(run.tags.get(PROCESS_TAG, "")):
            instance.report_run_failed(run, "the process of this run ended without a word; it was probably killed")
            dead.append(run.run_id)
    return dead


def _is_alive(tag: str) -> bool:
    host, _, rest = tag.partition(":")
    if host != socket.gethostname():
        return bool(host)
    pid, _, started = rest.partition(":")
    return pid.isdigit() and _started(int(pid)) == started


def _started(pid: int) -> str:
    """Return the kernel's start time of a process, or an empty text where there is none: pids are used again."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - a kernel file
            return stat.read().rsplit(")", 1)[1].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""
