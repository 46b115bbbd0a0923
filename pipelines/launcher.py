"""Runs the trainer, the embedder and the evaluator as processes of their own, one at a time per device.

Belongs here: the command, the lock, signals and the stream of lines. Does not: anything about models.
"""

import ctypes
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
        command: what stands before `-m module`; for several GPUs `("torchrun", "--nproc-per-node=8")`.
        grace_seconds: how long a stopped process may take to save its state.
    """

    command: tuple[str, ...] = (sys.executable,)
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
            process = subprocess.Popen(  # noqa: S603 - our own command
                [*self.command, "-m", module, "--settings", str(path)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                pass_fds=(handle,),
                preexec_fn=_die_with_parent if _LIBC else None,
                env={**_POLITE, **os.environ, "PYTHONPATH": _python_path()},
            )
            return self._follow(process, module=module, log=log)

    def _follow(self, process: subprocess.Popen[str], *, module: str, log: Callable[[str], None]) -> ProcessUsage:
        before = _children_cpu_seconds()
        peak = _PeakMemory(process.pid)
        peak.start()
        last_lines: deque[str] = deque(maxlen=20)
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last_lines.append(line.rstrip())
                log(line.rstrip())
            status = process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(self.grace_seconds)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
        if status != 0:
            raise LaunchError(f"{module} ended with status {status}: " + "\n".join(last_lines))
        peak.join()
        return ProcessUsage(cpu_seconds=round(_children_cpu_seconds() - before, 3), peak_mb=peak.mb)


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


def _python_path() -> str:
    repository = str(Path(__file__).resolve().parent.parent)
    return os.pathsep.join(filter(None, [repository, os.environ.get("PYTHONPATH")]))


def _die_with_parent() -> None:
    assert _LIBC is not None
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
