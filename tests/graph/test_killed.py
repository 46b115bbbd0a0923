"""kill -9 at any moment, the same command again: the bytes of an undisturbed run, and nothing in the way.

A second process reads the catalogue all the while. The points inside one publish are tested where publish is
(`tests/lake/test_crash.py`); here the whole command dies.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from commands_as_typed import start_a_run
from graph_runs import BIN

from lake import Lake, sha256_file
from lake.manifest import CURRENT

pytestmark = pytest.mark.slow

DEADLINE_SECONDS = 300
PAIRS = "same_patient_pairs"
OF_OTHER_CODE = "0" * 64
READER = """
import sys, time, pathlib, duckdb
home, stop = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
asked = 0
while not stop.exists():
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        names = [name for (name,) in connection.sql(
            "select view_name from duckdb_views() where not internal").fetchall()]
        for name in names[asked % 10 :: 10]:
            connection.sql(f'select count(*) from "{name}"').fetchall()
        pairs = connection.sql(
            "select count(*), count(distinct (record_id, other_record_id)) from same_patient_pairs").fetchall()[0]
        assert pairs[0] == pairs[1] > 0, pairs
    asked += 1
    time.sleep(3)
print(asked)
"""


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for a sign of how far a run has come."""
    ends = time.monotonic() + DEADLINE_SECONDS
    while not happened():
        assert process.poll() is None, f"the run ended first: {process.communicate()[1][-2000:]}"
        assert time.monotonic() < ends, "the sign never came"
        time.sleep(0.01)


def pairs_are_being_made(home: Path) -> bool:
    return bool(list((home / "lake" / "links" / PAIRS).glob(".stag*"))) or fingerprint_of_pairs(home) != OF_OTHER_CODE


def fingerprint_of_pairs(home: Path) -> str:
    manifest = Lake(home).manifest(PAIRS)
    assert manifest is not None
    return manifest.fingerprint


def training_has_begun(home: Path) -> bool:
    return any(path.stat().st_size for path in home.glob("runs/pretrain_checkpoint/*/metrics.jsonl"))


POINTS = [pairs_are_being_made, training_has_begun]


def content(home: Path) -> dict[str, str]:
    """The bytes that count: every table's files, the weights, the page."""
    lake = Lake(home)
    files = {f"{name}/{path.name}": path for name in lake.tables() for path in lake.files(name)}
    checkpoint = lake.manifest("pretrain_checkpoint")
    assert checkpoint is not None
    files["weights"] = lake.run_folder("pretrain_checkpoint", checkpoint.fingerprint) / "model.safetensors"
    return {name: sha256_file(path) for name, path in sorted(files.items())}


def users(home: Path) -> list[str]:
    """Processes other than this one that have a file of a home open, as a trainer has the lock of its device."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            opened = [str(handle.readlink()) for handle in (process / "fd").iterdir()]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        found += [f"{process.name}: {path}" for path in opened if path.startswith(f"{home}/")]
    return [line for line in found if not line.startswith(f"{os.getpid()}:")]


@pytest.fixture
def shaken(fresh_copy: Path) -> Path:
    """A copy of the built home in which pairs are made again, by other code as far as anybody knows."""
    Lake(fresh_copy).refresh_catalogue()
    manifest = fresh_copy / "lake" / "links" / PAIRS / CURRENT
    manifest.write_text(manifest.read_text().replace(fingerprint_of_pairs(fresh_copy), OF_OTHER_CODE))
    return fresh_copy


def test_a_run_that_is_killed_again_and_again_ends_like_one_that_is_not(finished_home: Path, shaken: Path) -> None:
    home = shaken
    stop = home / "stop_reading"
    reader = subprocess.Popen(
        [str(BIN / "python"), "-c", READER, str(home), str(stop)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for sign in POINTS:
            process = start_a_run(home)
            wait_until(lambda sign=sign: sign(home), process)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        last = start_a_run(home)
        _, errors = last.communicate(timeout=600)
    finally:
        stop.write_text("")
        asked, complaints = reader.communicate(timeout=60)
    assert last.returncode == 0, errors[-3000:]
    assert reader.returncode == 0, complaints[-3000:]
    assert int(asked) > 3
    assert content(home) == content(finished_home)
    assert users(home) == []
    assert unfinished_runs(home) == []


def unfinished_runs(home: Path) -> list[str]:
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        states = [record.dagster_run.status for record in instance.get_run_records()]
    assert states.count(dg.DagsterRunStatus.SUCCESS) == 1
    assert len(states) == len(POINTS) + 1
    return [state.value for state in states if state not in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)]
