"""Processes of commands: forked from one that has imported torch, or started by themselves; ended and measured.

Belongs here: what it takes to start one, to hear of its end and to leave none behind. Does not: which command runs and
what its end means (`pipelines.launcher`).
"""

import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, ClassVar, Protocol

_PR_SET_PDEATHSIG = 1
_POLITE = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that wait sleep. Spinning ones made a step ten times slower on a machine that others used too."""
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class LaunchError(RuntimeError):
    """A command failed, or nothing is there to start it; the message is what was said of the reason."""


class Process(Protocol):
    """A started command: its lines, and how it ended."""

    pid: int
    output: IO[str]

    def end(self) -> tuple[int, float]:
        """Wait; return exit status and CPU seconds."""

    def ends_within(self, seconds: float) -> bool:
        """Wait no longer than that."""

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""


def start_process(
    command: tuple[str, ...], module: str, settings: Path, *, lock: int, device: str, num_processes: int
) -> Process:
    """Start `command -m module --settings settings`, which holds the lock too.

    Args:
        command: as in `pipelines.launcher.Launcher`; nothing forks the module where that can be.
        module: of `medcsp_model`.
        settings: its run.json.
        lock: file descriptor.
        device: `cpu` hides CUDA devices.
        num_processes: how many `torchrun` starts of it.

    Raises:
        LaunchError: the process that forks commands is gone.
    """
    if not command and num_processes == 1 and _LIBC:
        return _fork_server(device).fork(module, settings, lock)
    words = list(command or (sys.executable,))
    if num_processes > 1:
        words += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}"]
    return _Own([*words, "-m", module, "--settings", str(settings)], lock, _environment(device, num_processes))


class _Own:
    """A command that is a child of this process."""

    def __init__(self, command: list[str], lock: int, environment: dict[str, str]) -> None:
        self._before = _children_cpu_seconds()
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=(lock,),
            preexec_fn=_die_with_parent if _LIBC else None,
            env=environment,
        )
        assert self._process.stdout is not None
        self.pid, self.output = self._process.pid, self._process.stdout

    def end(self) -> tuple[int, float]:
        status = self._process.wait()
        return status, _children_cpu_seconds() - self._before

    def ends_within(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def signal(self, number: int) -> None:
        self._process.send_signal(number)


class _ForkServer:
    """A running `medcsp_model.fork_server`; one command at a time."""

    ARGUMENTS: ClassVar = ("-m", "medcsp_model.fork_server")

    def __init__(self, device: str) -> None:
        self._channel, theirs = socket.socketpair()
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, *self.ARGUMENTS, "--socket", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            preexec_fn=_die_with_parent,
            env=_environment(device),
        )
        theirs.close()
        self._answers = self._channel.makefile("r")

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def fork(self, module: str, settings: Path, lock: int) -> "_Forked":
        """Start a command."""
        read, write = os.pipe()
        request = json.dumps({"module": module, "settings": str(settings)}).encode()
        try:
            socket.send_fds(self._channel, [request], [write, lock])
        finally:
            os.close(write)
        return _Forked(self, os.fdopen(read))

    def answer(self, seconds: float | None = None) -> dict[str, Any] | None:
        """The next answer, None where there is none in that time.

        Raises:
            LaunchError: the server is gone.
        """
        self._channel.settimeout(seconds)
        try:
            line = self._answers.readline()
        except TimeoutError:
            return None
        if not line:
            raise LaunchError(f"medcsp_model.fork_server ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it, and with it what it runs."""
        self._answers.close()
        self._channel.close()
        self._process.terminate()
        self._process.wait()


class _Forked:
    """A command that is a child of the fork server."""

    def __init__(self, server: _ForkServer, output: IO[str]) -> None:
        self._server, self.output = server, output
        started = server.answer()
        assert started is not None
        self.pid = int(started["pid"])
        self._ended: dict[str, Any] | None = None

    def end(self) -> tuple[int, float]:
        self._ended = self._ended or self._server.answer()
        assert self._ended is not None
        self.output.close()
        return self._ended["status"], self._ended["cpu_seconds"]

    def ends_within(self, seconds: float) -> bool:
        self._ended = self._ended or self._server.answer(seconds)
        if self._ended is None:
            self._server.close()
        return self._ended is not None

    def signal(self, number: int) -> None:
        if self._ended is None:
            os.kill(self.pid, number)


_SERVERS: dict[tuple[int, str], _ForkServer] = {}
"""The fork servers of this process, by its id and device: a fork of this process must not talk to them."""


def _fork_server(device: str) -> _ForkServer:
    key = os.getpid(), device
    if key not in _SERVERS or not _SERVERS[key].is_alive:
        _SERVERS[key] = _ForkServer(device)
    return _SERVERS[key]


class PeakMemory(threading.Thread):
    """Reads the high-water marks of a process and of what it started until it ends; a mark never falls.

    Attributes:
        mb: the highest one so far.
    """

    def __init__(self, pid: int, *, every_seconds: float = 0.25) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._every_seconds = every_seconds
        self.mb = 0.0

    def run(self) -> None:
        """Read until the process is gone."""
        while (mark := _high_water_mark(self._pid)) is not None:
            self.mb = max([self.mb, mark, *[_high_water_mark(pid) or 0.0 for pid in _started_by(self._pid)]])
            time.sleep(self._every_seconds)


def _high_water_mark(pid: int) -> float | None:
    """Most memory of a process so far, in MB; None where it is gone, or ended and was not waited for."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    marks = [line for line in lines if line.startswith("VmHWM:")]
    return round(int(marks[0].split()[1]) * 1024 / 1e6, 1) if marks else None


def _started_by(pid: int) -> list[int]:
    """Children of a process, and theirs."""
    try:
        lists = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    children = [int(child) for one in lists for child in one]
    return children + [below for child in children for below in _started_by(child)]


def _children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _environment(device: str, num_processes: int = 1) -> dict[str, str]:
    """Return the variables of a command; several processes share the cores, where `torchrun` gives each one thread."""
    repository = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [repository, os.environ.get("PYTHONPATH")]))
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    shared = {"OMP_NUM_THREADS": str(max(cores // num_processes, 1))} if num_processes > 1 else {}
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
    return {**_POLITE, **shared, **os.environ, **hidden, "PYTHONPATH": path}


def _die_with_parent() -> None:
    """In a new process: ask for SIGTERM when this one dies, and heed it though a shell's background ignores it."""
    assert _LIBC is not None
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
