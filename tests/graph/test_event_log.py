"""The event log over open connections: another process watches what one stores, and a kill loses nothing."""

import os
import queue
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from pipelines.event_log import FOLDER, NUM_OPEN, OpenSqliteEventLog
from pipelines.resources import REPOSITORY

NUM_RUNS = NUM_OPEN + 3

WRITER = """
import sys, time
import dagster as dg
instance = dg.DagsterInstance.get()
run = instance.create_run_for_job(dg.GraphDefinition("nothing").to_job())
instance.report_engine_event("begun", run)
print(run.run_id, flush=True)
sys.stdin.readline()
instance.report_engine_event("said by the writer", run)
print("said", flush=True)
time.sleep(600)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME with the project's configuration."""
    shutil.copy(REPOSITORY / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


def open_files(below: Path) -> set[str]:
    """The files below a folder that this process holds open."""
    names = {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.exists()}
    return {name for name in names if name.startswith(str(below))}


def messages(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [entry.message for entry in instance.all_logs(run_id)]


def new_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return instance.create_run_for_job(dg.GraphDefinition("nothing").to_job())


def test_another_process_watches_and_a_kill_loses_nothing(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER],
            cwd=REPOSITORY,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdin and writer.stdout
        run_id = writer.stdout.readline().strip()
        heard: queue.Queue[str] = queue.Queue()
        instance.watch_event_logs(run_id, None, lambda entry, _: heard.put(entry.message))
        writer.stdin.write("go on\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "said\n"
        assert [heard.get(timeout=20), heard.get(timeout=20)] == ["begun", "said by the writer"]
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        assert messages(instance, run_id) == ["begun", "said by the writer"]
        run = instance.get_run_by_id(run_id)
        assert run is not None
        instance.report_engine_event("said afterwards", run)
        assert messages(instance, run_id) == ["begun", "said by the writer", "said afterwards"]


def test_few_files_are_open_however_many_runs_there_are(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        runs = [new_run(instance) for _ in range(NUM_RUNS)]
        for number, run in enumerate(runs):
            instance.report_engine_event(f"event {number}", run)
        assert 0 < len({name for name in open_files(home / "history") if name.endswith(".db")}) <= NUM_OPEN
        for number, run in enumerate(runs):
            assert messages(instance, run.run_id) == [f"event {number}"]
    assert open_files(home) == set()


def test_dagsters_own_log_reads_the_same_files(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, OpenSqliteEventLog)
        run = new_run(instance)
        instance.report_engine_event("for both", run)
    own = SqliteEventLogStorage(str(home / FOLDER))
    assert [entry.message for entry in own.get_logs_for_run(run.run_id)] == ["for both"]
    own.dispose()


def test_wiping_leaves_nothing_behind(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        run = new_run(instance)
        instance.report_engine_event("gone soon", run)
        instance.wipe()
        assert messages(instance, run.run_id) == []
        again = new_run(instance)
        instance.report_engine_event("there again", again)
        assert messages(instance, again.run_id) == ["there again"]
