"""The commands that people type, run as they are typed: real executables, each in a process of its own."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from commands_as_typed import in_bash, said_in, typed
from graph_runs import BIN, copy_home, environment, versions

from lake import Lake
from pipelines.assets.glue import SWEEPS
from pipelines.assets.graph import STEPS
from pipelines.resources import REPOSITORY
from pipelines.sources import TABLES

pytestmark = pytest.mark.slow

DEADLINE_SECONDS = 300


def readme_blocks() -> list[str]:
    """The blocks of commands in README, comments cut off."""
    blocks = re.findall(r"^```\n(.*?)^```", (REPOSITORY / "README.md").read_text(), flags=re.M | re.S)
    plain = [re.sub(r"\s+# .*$", "", block, flags=re.M).strip() for block in blocks]
    return [block for block in plain if block.split()[0] in {"make", "source", "export"}]


def message_of(errors: str) -> str:
    """The first line of the failure that Dagster prints."""
    found = re.search(r"^dagster\._core\.definitions\.events\.Failure: (.*)$", errors, flags=re.M)
    assert found, errors
    return found.group(1)


def test_training_without_its_inputs_says_what_is_missing_and_what_to_run(tmp_path: Path) -> None:
    done = typed(tmp_path, "dagster", "asset", "materialize", "--select", "pretrain_checkpoint")
    assert done.returncode != 0
    line = message_of(done.stderr)
    assert "pretrain_corpus" in line and "not published" in line
    assert "dagster asset materialize --select '*pretrain_checkpoint'" in line
    assert done.stderr.rstrip().splitlines()[-1].endswith(line), "the last thing on the screen is the readable line"
    assert versions(tmp_path) == {}


def test_training_with_its_inputs_and_again_without_work(built_home: Path, finished_home: Path) -> None:
    trained = finished_home
    manifest = Lake(trained).manifest("pretrain_checkpoint")
    assert manifest is not None
    weights = trained / "runs" / "pretrain_checkpoint" / manifest.fingerprint / "model.safetensors"
    assert weights.stat().st_size > 1000
    assert versions(built_home).items() <= versions(trained).items()
    written = weights.stat().st_mtime_ns

    (block,) = [block for block in readme_blocks() if block.startswith("source env.sh")]
    lines = block.splitlines()
    lines.remove("dagster dev")  # it does not end: see below
    again = in_bash("\n".join(lines), trained)
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stderr.count("pretrain_checkpoint: current") == 2
    assert "pretrain_corpus" in again.stdout, "the definitions are listed"
    assert weights.stat().st_mtime_ns == written


def test_dg_lists_and_checks_the_graph(tmp_path: Path) -> None:
    listed = typed(tmp_path, "dg", "list", "defs", "--json")
    assert listed.returncode == 0, listed.stderr[-3000:]
    groups = {asset["asset_key"]: asset["group_name"] for asset in json.loads(listed.stdout)["assets"]}
    assert {name: step.contract.layer for name, step in STEPS.items()}.items() <= groups.items()
    checked = typed(tmp_path, "dg", "check", "defs")
    assert checked.returncode == 0, checked.stderr[-3000:]


def test_the_whole_graph_then_again_with_questions_in_between(finished_home: Path) -> None:
    home, said = finished_home, said_in(finished_home)
    assert said["answered_while_running"], said["answer"]
    output = said["run"]
    assert "profile tiny" in output and "synthetic data" in output
    assert re.search(r"^recall_at_k, percent +k = 1 ", output, flags=re.M)
    assert {"medcsp", "chance"} <= set(re.findall(r"^  (\w+) +\d", output, flags=re.M))
    page = Path(re.findall(r"^report: (.*)$", output, flags=re.M)[-1])
    assert page.read_text().startswith("<!doctype html>") or "<html" in page.read_text()
    commands = output.split("next:\n")[1].strip().splitlines()
    assert [line.split()[:2] for line in commands] == [["make", "sql"], ["make", "dev"], ["make", "run"]]

    metrics = typed(home, "python", "-m", "lake.prompt", "--query", "select method, metric, k from metrics")
    assert metrics.returncode == 0 and "recall_at_k" in metrics.stdout
    lineage = typed(home, "python", "-m", "lake.prompt", "--query", "select count(*) from lineage")
    assert lineage.returncode == 0

    second = in_bash("make run", home)
    assert second.returncode == 0, second.stderr[-3000:]
    states = re.findall(r"^(\w+) +(current|built) ", second.stdout, flags=re.M)
    assert {name for name, _ in states} == {*STEPS, "synthetic_sources"}
    assert {state for _, state in states} == {"current"}
    assert "report: " in second.stdout


def test_a_wrong_profile_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(BIN / "python"), "-m", "pipelines.run"],
        cwd=REPOSITORY,
        env=environment(tmp_path, MEDCSP_PROFILE="demmo"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        "error: MEDCSP_PROFILE is 'demmo': "
        "use one of demo, demo_full, demo_ablation, paper, default, default_ablation, or your own module:function"
    ]


def test_env_sh_exports_what_these_tests_run_with(tmp_path: Path) -> None:
    ours = {name: value for name, value in environment(tmp_path).items() if name.startswith("DAGSTER_")}
    shown = subprocess.run(
        ["bash", "-c", "source ./env.sh && env"],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "MEDCSP_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    exported = dict(line.split("=", 1) for line in shown.stdout.splitlines() if line.startswith("DAGSTER_"))
    assert exported == ours
    assert (tmp_path / "dagster" / "dagster.yaml").read_text() == (REPOSITORY / "dagster.yaml").read_text()


QUESTION = "{ assetNodes { groupName assetKey { path } } }"


def test_the_ui_serves_the_whole_graph_by_group(built_home: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = built_home.parent / f"ui_{port}"
    server = subprocess.Popen(
        [str(BIN / "dagster"), "dev", "--host", "127.0.0.1", "--port", str(port)],
        cwd=REPOSITORY,
        env=environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        nodes = ask(f"http://127.0.0.1:{port}/graphql", server)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    groups: dict[str, set[str]] = {}
    for node in nodes:
        groups.setdefault(node["groupName"], set()).add(node["assetKey"]["path"][-1])
    wanted: dict[str, set[str]] = {}
    for name, step in STEPS.items():
        wanted.setdefault(step.contract.layer, set()).add(name)
    wanted["evaluation"] |= {grid.key.path[-1] for grid in SWEEPS.values()}
    assert {group: names for group, names in groups.items() if group != "raw"} == wanted
    assert "synthetic_sources" in groups["raw"] and len(groups["raw"]) == len(TABLES) + 1


def ask(address: str, server: subprocess.Popen[bytes]) -> list[dict]:
    """Ask until the server knows its assets, and no longer than the deadline."""
    request = urllib.request.Request(
        address, data=json.dumps({"query": QUESTION}).encode(), headers={"Content-Type": "application/json"}
    )
    ends = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < ends:
        assert server.poll() is None, "the server has ended"
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                nodes = json.load(answer)["data"]["assetNodes"]
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            nodes = []
        if nodes:
            return nodes
        time.sleep(0.25)
    raise AssertionError(f"no assets after {DEADLINE_SECONDS} s")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_sql_takes_a_question_as_it_is_and_a_pipe_that_closes(built_home: Path, tmp_path: Path) -> None:
    home = copy_home(built_home, tmp_path / "home")
    asked = in_bash("""make sql QUERY="select '\\`id\\` \\$HOME' as x, count(*) as \\"n\\" from published" """, home)
    assert asked.returncode == 0 and "`id` $HOME" in asked.stdout, asked.stdout + asked.stderr
    wide = in_bash("set +o pipefail; make sql QUERY='select * from code_mappings limit 60' | true", home)
    assert wide.returncode == 0 and wide.stderr == ""


TARGETS = re.findall(r"^([a-z-]+):.*## ", (REPOSITORY / "Makefile").read_text(), flags=re.M)


BY_CI = ("make demo", "make test")
BY_TESTS = ("make run", "make dev", "source env.sh", "dagster", "dg", "export ")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_every_command_of_the_readme_is_run(finished_home: Path) -> None:
    """Those of a line here, in order; the longer ones by `.ci/run` and by the tests of this file."""
    ci = (REPOSITORY / ".ci" / "run").read_text()
    assert all(f'"{command}' in ci for command in (*BY_CI, "make demo EHR="))
    lines = [line for block in readme_blocks() for line in block.splitlines()]
    here = [line for line in lines if not line.startswith((*BY_CI, *BY_TESTS))]
    assert [line.split()[:2] for line in here] == [["make", "sql"], ["make", "help"]]
    said = in_bash("\n".join(here), finished_home)
    assert said.returncode == 0, said.stderr
    assert "gap_days" in said.stdout and "run the tests" in said.stdout
    assert in_bash("make dev", finished_home, "-n").stdout.strip() == "source ./env.sh && dagster dev"


def test_a_root_that_is_not_there_is_one_line_and_a_real_run_has_a_home_of_its_own(tmp_path: Path) -> None:
    (block,) = [block for block in readme_blocks() if block.startswith("export")]
    done = in_bash(f"export HOME={tmp_path}\n{block}", tmp_path)
    assert done.returncode != 0
    assert (tmp_path / "medcsp-real" / "dagster").is_dir()
    assert "MEDCSP_MIMIC_IV" in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_what_to_do(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_setup_begins_anew_where_it_was_interrupted(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)  # pip comes last
    done = subprocess.run(
        ["make", "setup", f"VENV={venv}", f"PYTHON={sys.executable}"],
        cwd=REPOSITORY,
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert "No matching distribution found for uv" in done.stderr, "pip is there, and has no index to install from"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_demo_with_a_real_tree_has_a_home_of_its_own() -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MEDCSP_")}
    show = "--eval=shown: ; @echo $${MEDCSP_HOME-}; echo $${MEDCSP_MIMIC_IV-}"
    plain, real = (
        subprocess.run(
            ["make", "-s", show, "shown", *options], cwd=REPOSITORY, env=kept, capture_output=True, text=True
        ).stdout.splitlines()
        for options in ([], ["EHR=my tree"])
    )
    assert plain == ["", ""]
    assert real == [str(REPOSITORY / ".medcsp-ehr"), "my tree"]
