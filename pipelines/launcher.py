"""Runs the trainer, the embedder and the evaluator as processes of their own, one at a time per device.

Belongs here: the command, the lock, the stream of lines and what an end means. Does not: how a process is started and
watched (`pipelines.processes`), anything about models.
"""

import fcntl
import json
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipelines.processes import LaunchError, PeakMemory, Process, start_process

_STACK = "Traceback (most recent call last):"
KEPT_LINES = 200
"""Of a command's last lines, in which the reason of a failure is looked for: `torchrun` says some forty behind it."""
SHOWN_LINES = 20
"""Of these at most."""


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
            process = start_process(
                self.command,
                module,
                path,
                lock=handle,
                device=self.device,
                num_processes=self.num_processes if together else 1,
            )
            return self._follow(process, module=module, log=log)

    def _follow(self, process: Process, *, module: str, log: Callable[[str], None]) -> ProcessUsage:
        peak = PeakMemory(process.pid)
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
