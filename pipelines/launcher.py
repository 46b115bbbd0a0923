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
_STACK = "Traceback (most recent call last):"
KEPT_LINES = 200
"""Of a command's last lines, in which the reason of a failure is looked for: `torchrun` says some forty behind it."""
SHOWN_LINES = 20
"""Of these at most."""
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class LaunchError(RuntimeError):
    """The process failed; the message is what it said of the reason."""


@dataclass(frozen=True)
class ProcessUsage:
    """What a finished command took: CPU seconds, and the most memory that a process of it held, in MB (10^6 bytes)."""

    cpu_seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Launcher:
    """The command that runs a module of `medcsp_model`.

    Attributes:
        command: what stands before `-m module`. Nothing: this interpreter, forked where that can be from one process
            that has imported torch once for all commands.
        device: `cpu`: what it starts sees no CUDA device, whatever it would take.
        num_processes: how many `torchrun` starts of a command that runs together, one for each GPU of this machine.
        grace_seconds: how long a stopped process may take to save its state.
    """

    command: tuple[str, ...] = ()
    device: str = "auto"
    num_processes: int = 1
    grace_seconds: float = 60.0

    def run(
        self,
        module: str,
        settings: dict[str, object],
        *,
        folder: Path,
        lock: Path,
        log: Callable[[str], None],
        together: bool = False,
    ) -> ProcessUsage:
        """Run `python -m module --settings folder/<module>.json` and pass its lines to `log`.

        Waits while another process holds the lock. The lock belongs to the started process too, and the process is told
        to stop when this one dies: a killed run never blocks the next and never leaves a trainer behind.

        Args:
            module: the command.
            settings: what it is told.
            folder: where that is written.
            lock: file of the device's lock.
            log: hears the command's lines.
            together: whether the command knows how to share its work among `num_processes`.

        Raises:
            LaunchError: the process ended with another status than 0.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{module.rsplit('.', 1)[-1]}.json"
        path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
        with _locked(lock, log=log) as handle:
            process = self._start(module, path, handle, num_processes=self.num_processes if together else 1)
            return self._follow(process, module=module, log=log)

    def _start(self, module: str, settings: Path, lock: int, *, num_processes: int) -> "_Process":
        if not self.command and num_processes == 1 and _LIBC:
            return _fork_server(self.device).fork(module, settings, lock)
        environment = _environment(self.device, num_processes)
        command = list(self.command or (sys.executable,))
        if num_processes > 1:
            command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}"]
        return _Own([*command, "-m", module, "--settings", str(settings)], lock, environment)

    def _follow(self, process: "_Process", *, module: str, log: Callable[[str], None]) -> ProcessUsage:
        peak = _PeakMemory(process.pid)
        peak.start()
        last_lines: deque[str] = deque(maxlen=KEPT_LINES)
        try:
            for line in process.output:
                last_lines.append(line.rstrip())
                log(line.rstrip())
            status, cpu_seconds = process.end()
        except BaseException:
            process.signal(signal.SIGTERM)
            if not process.ends_within(self.grace_seconds):
                process.signal(signal.SIGKILL)
            else:
                _pass_on(process.output, log)  # such as which state it saved
            raise
        if status != 0:
            raise LaunchError(_ending(module, status, list(last_lines)))
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


class _PeakMemory(threading.Thread):
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


def _pass_on(output: IO[str], log: Callable[[str], None]) -> None:
    for line in output:
        log(line.rstrip())


def _ending(module: str, status: int, lines: list[str]) -> str:
    """Return why a command failed, as far as it or its status says."""
    number = -status if status < 0 else status - 128
    if number not in set(signal.Signals):
        return f"{module} ended with status {status}: " + "\n".join(_reason(lines))
    why = ", as where a machine runs out of memory" if number == signal.SIGKILL else ""
    last = f"; its last line: {lines[-1].strip()}" if lines else ""
    return (
        f"{module} was ended by {signal.Signals(number).name}{why}; run it again, it goes on from what it saved{last}"
    )


def _reason(lines: list[str]) -> list[str]:
    """Return the first error among the lines, or the first stack; behind it others may tell what it meant to them."""
    began = next((at for at, line in enumerate(lines) if line.startswith("error: ")), None)
    if began is not None:
        return lines[began : _unindented(lines, began)][:SHOWN_LINES]
    if _STACK in lines:
        began = lines.index(_STACK)
        return lines[began : _unindented(lines, began) + 1][-SHOWN_LINES:]
    return lines[-SHOWN_LINES:]


def _unindented(lines: list[str], began: int) -> int:
    """Return the place of the first line behind one that is not indented; the number of lines where there is none."""
    return next((at for at, line in enumerate(lines) if at > began and line[:1].strip()), len(lines))


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
