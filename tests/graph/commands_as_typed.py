"""Commands as people type them, each in a process of its own, and what those of a finished home said."""

import json
import subprocess
from pathlib import Path
from typing import Any

from graph_runs import BIN, environment

from pipelines.resources import REPOSITORY

QUESTION = "select count(*) as n from same_patient_pairs"


def typed(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command from the interpreter's own bin directory, in the repository, as after `source env.sh`."""
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=REPOSITORY,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=600,
    )


def start_a_run(home: Path) -> subprocess.Popen[str]:
    """Start what `make demo` and `make run` start."""
    return subprocess.Popen(
        [str(BIN / "python"), "-m", "pipelines.run"],
        cwd=REPOSITORY,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def in_bash(script: str, home: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run lines as typed, in the repository; make finds this interpreter's environment as its own."""
    venv = home / "venv"
    if not venv.exists():
        venv.mkdir()
        (venv / "bin").symlink_to(BIN)
        (venv / ".ready").touch()
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=REPOSITORY,
        env=environment(home, MAKEFLAGS=" ".join([*flags, f"VENV={venv}"]), MAKELEVEL="0"),  # not a make of a make
        capture_output=True,
        text=True,
        timeout=600,
    )


def train_and_finish(home: Path) -> None:
    """Train in a home whose CPU graph is current, then make the rest, with a question in between."""
    trained = typed(home, "dagster", "asset", "materialize", "--select", "pretrain_checkpoint")
    assert trained.returncode == 0, trained.stderr[-3000:]
    run = start_a_run(home)
    asked = typed(home, "python", "-m", "lake.prompt", "--query", QUESTION)
    was_running = run.poll() is None
    output, errors = run.communicate(timeout=600)
    assert run.returncode == 0, errors[-3000:]
    said = {
        "run": output,
        "answered_while_running": asked.returncode == 0 and was_running,
        "answer": asked.stdout + asked.stderr,
    }
    (home / "said.json").write_text(json.dumps(said))


def said_in(home: Path) -> dict[str, Any]:
    """What the commands of a finished home said."""
    said: dict[str, Any] = json.loads((home / "said.json").read_text())
    return said
