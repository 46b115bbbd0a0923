"""kill -9 at any point of publishing: the last version stays, and the same publish again is as if nothing happened.

Of a power cut, the order in which the disk is asked is held to: what has its name has its bytes.
"""

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from lake import Lake
from lake.files import write_atomic
from lake.gc import collect, verify

SCRIPT = Path(__file__).with_name("publish_and_die.py")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def publisher() -> ModuleType:
    spec = importlib.util.spec_from_file_location("publish_and_die", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Process:
    """A process of the script that answers lines with lines."""

    def __init__(self, home: Path, role: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1"}
        pipe = subprocess.PIPE
        command = [sys.executable, str(SCRIPT), str(home), role]
        self.process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def ask(self, line: str) -> list[int]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> list[int]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()
        return [int(word) for word in line.split()]

    def finish(self) -> None:
        _, errors = self.process.communicate()  # closes its input, which ends it
        assert self.process.returncode == 0, errors


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def server(home: Path) -> Iterator[Process]:
    """Publishes on request, and dies where it is told to."""
    server = Process(home, "serve")
    yield server
    server.process.kill()
    server.process.wait()


@pytest.fixture
def watcher(home: Path, publisher: ModuleType) -> Iterator[Process]:
    """Reads the catalogue in a loop, from the first generation on; asked, it says which generations it has seen."""
    publisher.publish(home, 0)
    watcher = Process(home, "watch")
    assert watcher.answer() == [0]
    yield watcher
    watcher.process.kill()
    watcher.process.wait()


def tree(home: Path) -> dict[str, bytes]:
    """Every file of the lake that must not depend on what happened on the way."""
    root = home / "lake"
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name not in {".lock", "timing.json"}
    }


def test_a_kill_at_any_point_leaves_the_last_version_and_a_rerun_the_same_bytes(
    home, tmp_path, publisher, server, watcher
):
    calm = tmp_path / "calm"
    publisher.publish(calm, 0)
    for generation, point in enumerate(publisher.POINTS, start=1):
        before = Lake(home).manifest("generations")
        assert server.ask(f"{generation}:{point}") == [-signal.SIGKILL], point
        committed = point.startswith(("committed", "catalogue"))
        assert (Lake(home).manifest("generations") != before) == committed, point
        assert verify(Lake(home)) == [], point
        watcher.ask("look")
        publisher.publish(home, generation)
        publisher.publish(calm, generation)
        assert tree(home) == tree(calm), point
        assert watcher.ask("look") == list(range(generation + 1)), point
    watcher.finish()
    collect(Lake(home), grace_days=0)
    assert sorted(home.glob("lake/*/*/*/*.parquet")) == sorted(
        [*Lake(home).files("generations"), *home.glob("lake/*/*/rejected/*.parquet")]
    )
    assert len(list(home.glob("lake/*/*/rejected/*"))) == 1


def test_processes_that_publish_one_table_at_once_take_turns(home, server):
    assert server.ask("1;2;3") == [0, 0, 0]
    lake = Lake(home)
    manifest = lake.manifest("generations")
    assert manifest is not None
    generations = {
        manifest.settings["generation"],
        *(former.settings["generation"] for former in lake.history("generations")),
    }
    assert generations == {1, 2, 3}
    assert verify(lake) == []
    found = lake.scan("generations").select(pl.col("generation").unique()).collect()
    assert found["generation"].to_list() == [manifest.settings["generation"]]
    server.finish()


def test_a_text_is_on_the_disk_before_it_has_its_name_and_then_its_folder_is(tmp_path, disk_steps):
    write_atomic(tmp_path / "folder" / "text.json", "{}")
    assert disk_steps == [("sync", ".text.json.tmp"), ("rename", "text.json"), ("sync", "folder")]


def test_a_version_is_on_the_disk_before_it_has_its_name_and_before_it_is_current(
    lake, readings, readings_rows, made_from, disk_steps
):
    version = lake.publish(readings, readings_rows, **made_from).version
    named = disk_steps.index(("rename", version))
    before, after = disk_steps[:named], disk_steps[named + 1 :]
    assert {("sync", "part-00000.parquet"), ("sync", "version")} <= set(before)
    assert after.index(("sync", "readings")) < after.index(("rename", "current.json"))
