"""Runs the trainer, the embedder and the evaluator as processes of their own, one at a time per device.

Belongs here: the command, the lock, signals and the stream of lines. Does not: anything about models.
"""

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, Protocol

_PR_SET_PDEATHSIG = 1
_POLITE = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that wait sleep. Spinning ones made a step ten times slower on a machine that others used too."""
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class LaunchError(RuntimeError):
    """The process failed; the message is its last lines."""


@dataclass(frozen=True)
class ProcessUsage:
    """What a finished process took: CPU seconds, and the most memory it held at once, in MB (10^6 bytes)."""

    cpu_seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Launcher:
    """The command that runs a module of `medcsp_model`.

    Attributes:
        command: what stands before `-m module`; for several GPUs `("torchrun", "--nproc-per-node=8")`. Nothing: this
            interpreter, forked where that can be from one process that has imported torch once for all commands.
        grace_seconds: how long a stopped process may take to save its state.
    """

    command: tuple[str, ...] = ()
    grace_seconds: float = 60.0

    def run(
        self, module: str, settings: dict[str, object], *, folder: Path, lock: Path, log: Callable[[str], None]
    ) -> ProcessUsage:
        """Run `python -m module --settings folder/<module>.json` and pass its lines to `log`.

        Waits while another process holds the lock. The lock belongs to the started process too, and the process is told
        to stop when this one dies: a killed run never blocks the next and never leaves a trainer behind.

        Raises:
            LaunchError: the process ended with another status than 0.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{module.rsplit('.', 1)[-1]}.json"
        path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
        with _locked(lock, log=log) as handle:
            process = self._start(module, path, handle)
            return self._follow(process, module=module, log=log)

    def _start(self, module: str, settings: Path, lock: int) -> "_Process":
        if not self.command and _LIBC:
            return _fork_server().fork(module, settings, lock)
        return _Own([*(self.command or (sys.executable,)), "-m", module, "--settings", str(settings)], lock)

    def _follow(self, process: "_Process", *, module: str, log: Callable[[str], None]) -> ProcessUsage:
        peak = _PeakMemory(process.pid)
        peak.start()
        last_lines: deque[str] = deque(maxlen=20)
        try:
            for line in process.output:
                last_lines.append(line.rstrip())
                log(line.rstrip())
            status, cpu_seconds = process.end()
        except BaseException:
            process.signal(signal.SIGTERM)
            if not process.ends_within(self.grace_seconds):
                process.signal(signal.SIGKILL)
            raise
        if status != 0:
            raise LaunchError(f"{module} ended with status {status}: " + "\n".join(last_lines))
        peak.join()
        return ProcessUsage(cpu_seconds=round(cpu_seconds, 3), peak_mb=peak.mb)


class _Process(Protocol):
    """A started command: its lines, and how it ended."""

    pid: int
    output: IO[str]

    def end(self) -> tuple[int, float]:
        """Wait; return exit status and CPU seconds."""

    def ends_within(self, seconds: float) -> bool:
        """Wait no longer than that."""

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""


class _Own:
    """A command that is a child of this process."""

    def __init__(self, command: list[str], lock: int) -> None:
        self._before = _children_cpu_seconds()
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=(lock,),
            preexec_fn=_die_with_parent if _LIBC else None,
            env=_environment(),
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

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair()
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, *self.ARGUMENTS, "--socket", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            preexec_fn=_die_with_parent,
            env=_environment(),
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
            _SERVERS.pop(os.getpid()).close()
        return self._ended is not None

    def signal(self, number: int) -> None:
        if self._ended is None:
            os.kill(self.pid, number)


_SERVERS: dict[int, _ForkServer] = {}
"""The fork server of this process, by its id: a fork of this process must not talk to it."""


def _fork_server() -> _ForkServer:
    server = _SERVERS.get(os.getpid())
    if server is None or not server.is_alive:
        server = _SERVERS[os.getpid()] = _ForkServer()
    return server


class _PeakMemory(threading.Thread):
    """Reads the high-water mark of a process until it ends; the mark never falls, so the last reading is the peak."""

    def __init__(self, pid: int, *, every_seconds: float = 0.25) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self._every_seconds = every_seconds
        self.mb = 0.0

    def run(self) -> None:
        """Read until the process is gone."""
        while True:
            try:
                marks = [line for line in self._status.read_text().splitlines() if line.startswith("VmHWM:")]
            except OSError:
                return
            if not marks:  # a process that ended and was not waited for has no memory
                return
            self.mb = max(self.mb, round(int(marks[0].split()[1]) * 1024 / 1e6, 1))
            time.sleep(self._every_seconds)


def _children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _environment() -> dict[str, str]:
    repository = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [repository, os.environ.get("PYTHONPATH")]))
    return {**_POLITE, **os.environ, "PYTHONPATH": path}


def _die_with_parent() -> None:
    """In a new process: ask for SIGTERM when this one dies, and heed it though a shell's background ignores it."""
    assert _LIBC is not None
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def _locked(path: Path, *, log: Callable[[str], None]) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log(f"another process trains on this device ({path} is locked): waiting until it ends")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)
