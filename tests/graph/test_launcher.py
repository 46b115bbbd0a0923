"""The Launcher: commands forked from one process, one at a time per device, none left behind."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from graph_runs import environment

from pipelines import launcher, processes
from pipelines.launcher import Launcher
from pipelines.processes import LaunchError
from pipelines.profiles import profile_named

LIGHT = ("-c", "import sys; from medcsp_model import fork_server as f; f.PRELOADED = (); sys.exit(f.main())")
COMMAND = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
def main():
    run = json.loads(Path(sys.argv[2]).read_text())
    signal.signal(signal.SIGTERM, lambda *_: (print("saved", flush=True), sys.exit(143)))
    print("pid", os.getpid(), "of", os.getppid(), flush=True)
    if run["says"] == "what it sees":
        print(os.environ.get("CUDA_VISIBLE_DEVICES"))
        return 0
    if run["says"] == "refuse":
        raise ValueError("settings.run: no such thing")
    if run["says"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    while run["says"] == "wait":
        time.sleep(0.01)
    if run["says"] == "has a child":
        code = "import time; held = b'1' * 200_000_000; time.sleep(1)"
        subprocess.run([sys.executable, "-c", code], check=True)
    print(run["says"], file=sys.stderr, flush=True)
    return 0
if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module `said` that a server without torch forks; the folder it lies in."""
    (tmp_path / "said.py").write_text(COMMAND)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(processes._ForkServer, "ARGUMENTS", LIGHT)
    monkeypatch.setattr(processes, "_SERVERS", {})
    former = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as in a job that a shell has put into the background
    yield tmp_path
    for server in processes._SERVERS.values():
        server.close()
    signal.signal(signal.SIGTERM, former)


def run(folder: Path, says: str, lines: list[str]) -> launcher.ProcessUsage:
    return Launcher().run("said", {"says": says}, folder=folder / says, lock=folder / "device.lock", log=lines.append)


def is_free(lock: Path) -> bool:
    with lock.open("r+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def is_gone(pid: int) -> bool:
    """Whether a process ended, or does within ten seconds."""
    ends = time.monotonic() + 10
    while (status := Path(f"/proc/{pid}/stat")).exists() and status.read_text().split()[2] != "Z":
        if time.monotonic() > ends:
            return False
        time.sleep(0.01)
    return True


def test_commands_are_forked_one_after_the_other_and_say_what_they_took(commands: Path) -> None:
    lines: list[str] = []
    usages = [run(commands, says, lines) for says in ("first", "second")]
    (_, one, _, server), (_, two, _, same) = (line.split() for line in lines if line.startswith("pid"))
    assert [line for line in lines if not line.startswith("pid")] == ["first", "second"]
    assert one != two and server == same != str(os.getpid())
    assert all(usage.cpu_seconds >= 0 for usage in usages)
    assert is_free(commands / "device.lock")


@pytest.mark.parametrize("command", [(), (sys.executable,)], ids=["forked", "own"])
def test_a_profile_of_the_cpu_hides_devices_from_all_that_it_starts(
    commands: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    seen: list[str] = []
    for device in ("auto", "cpu", "auto"):
        lock = commands / "device.lock"
        settings: dict[str, object] = {"says": "what it sees"}
        Launcher(command, device=device).run("said", settings, folder=commands, lock=lock, log=seen.append)
    assert [line for line in seen if not line.startswith("pid")] == ["3", "", "3"]
    assert profile_named("demo").training.run.device == "cpu"


def test_an_error_of_the_users_is_the_last_line_and_the_server_goes_on(commands: Path) -> None:
    lines: list[str] = []
    with pytest.raises(LaunchError, match=r"said ended with status 2: (?s:.*)error: settings.run: no such thing"):
        run(commands, "refuse", lines)
    run(commands, "after", lines)
    assert lines[-1] == "after"


def test_memory_is_that_of_the_largest_process_of_a_command(commands: Path) -> None:
    assert 200 < run(commands, "has a child", []).peak_mb < 300


STACK = ["Traceback (most recent call last):", *[f'  File "{at}.py"' for at in range(30)], "ZeroDivisionError: by zero"]
OTHERS = ["error: another process of the run ended", "W1201 [...] Sending process 7 closing signal SIGTERM"]
TORCHRUN = [
    "Traceback (most recent call last):",
    '  File "run.py"',
    "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
    *["=" * 60, "medcsp_model.train FAILED"] * 20,
]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["step 1/9", "error: settings.batch.size: 1", *OTHERS, *TORCHRUN], ["error: settings.batch.size: 1"]),
        (
            ["error: torn: state_dict", "\tsize mismatch", "", "step"],
            ["error: torn: state_dict", "\tsize mismatch", ""],
        ),
        (["step 1/9", *STACK, "W1201 [...] closing", *TORCHRUN], STACK[-20:]),
        (["step 1/9", *STACK], STACK[-20:]),
        (["", "Killed"], ["", "Killed"]),
        ([], []),
    ],
)
def test_the_reason_of_a_failure_is_the_first_error_not_what_it_meant_to_others(
    lines: list[str], reason: list[str]
) -> None:
    assert launcher._reason(lines) == reason


def test_processes_that_work_together_share_the_cores_and_their_first_error_is_told(
    commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`torchrun` itself: a run.json that is refused needs no torch in the processes."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    lines: list[str] = []
    with pytest.raises(LaunchError) as failed:
        Launcher(num_processes=2).run(
            "medcsp_model.train",
            {"corpus": str(commands / "absent"), "run_folder": str(commands), "settings": {}},
            folder=commands,
            lock=commands / "device.lock",
            log=lines.append,
            together=True,
        )
    (said,) = str(failed.value).splitlines()
    assert said.startswith("medcsp_model.train ended with status 1: error: ")
    assert "no corpus.json" in said
    assert not [line for line in lines if "OMP_NUM_THREADS" in line], "torchrun gives each one thread, and says so"
    assert is_free(commands / "device.lock")


def test_a_command_that_is_killed_alone_is_one_line(commands: Path) -> None:
    with pytest.raises(LaunchError) as failed:
        run(commands, "die", [])
    line = str(failed.value)
    assert (
        line.startswith("said was ended by SIGKILL, as where a machine runs out of memory; run it again")
        and "\n" not in line
    )


def test_a_command_that_is_no_module_is_an_error_and_a_server_that_died_is_replaced(commands: Path) -> None:
    lines: list[str] = []
    with pytest.raises(LaunchError, match="No module named 'unheard'"):
        Launcher().run("unheard", {}, folder=commands / "x", lock=commands / "device.lock", log=lines.append)
    (server,) = processes._SERVERS.values()
    server.close()
    run(commands, "again", lines)
    assert lines[-1] == "again" and not server.is_alive


def test_a_cancel_lets_the_command_save(commands: Path) -> None:
    lines: list[str] = []

    def cancel(line: str) -> None:
        lines.append(line)
        if line.startswith("pid"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Launcher().run("said", {"says": "wait"}, folder=commands, lock=commands / "device.lock", log=cancel)
    assert is_gone(int(lines[0].split()[1])) and is_free(commands / "device.lock")
    assert lines[1:] == ["saved"], "what it says of its end is passed on"
    run(commands, "after", lines)
    assert lines[-1] == "after"


LAUNCHES = """
import sys
from pathlib import Path
from pipelines import launcher, processes
processes._ForkServer.ARGUMENTS = {light!r}
folder = Path(sys.argv[1])
say = lambda line: print(line, flush=True)
launcher.Launcher().run("said", {{"says": "wait"}}, folder=folder, lock=folder / "device.lock", log=say)
"""


def test_a_launcher_that_is_killed_leaves_neither_process_nor_lock_behind(commands: Path) -> None:
    launching = subprocess.Popen(
        [sys.executable, "-c", LAUNCHES.format(light=LIGHT), str(commands)],
        env=environment(commands / "home") | {"PYTHONPATH": os.environ["PYTHONPATH"]},
        cwd=Path(launcher.__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert launching.stdout is not None
    _, pid, _, server = launching.stdout.readline().split()
    assert not is_free(commands / "device.lock")
    launching.send_signal(signal.SIGKILL)
    launching.wait()
    assert is_gone(int(server)) and is_gone(int(pid))
    assert is_free(commands / "device.lock")
