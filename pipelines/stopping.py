"""What a signal that stops a run means to the step at work: the end of the run, said in one line.

Belongs here: ^C, SIGTERM and the cancel of Dagster's UI, which is one. Does not: what a stopped process saves.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import dagster as dg

HINT = "the same run again goes on where it was"


@contextmanager
def stoppable(what: str) -> Iterator[None]:
    """Run a block whose stop by a signal is an interruption to Dagster, whatever a library makes of it on its way.

    DuckDB, Arrow and Polars call Python while they work, and put errors of their own in the place of what a handler
    of signals raised there. Dagster took that for one step that broke, and went on with all others.

    Raises:
        dagster.DagsterExecutionInterruptedError: a signal came; the message names what was stopped.
    """
    heard: list[int] = []
    try:
        with _hearing(heard):
            yield
    except BaseException as error:
        if not heard and not isinstance(error, KeyboardInterrupt | dg.DagsterExecutionInterruptedError):
            raise
        raise _stopped(what) from None
    if heard:  # what the handler raised was lost on its way
        raise _stopped(what)


def _stopped(what: str) -> dg.DagsterExecutionInterruptedError:
    return dg.DagsterExecutionInterruptedError(f"{what} was stopped; {HINT}")


@contextmanager
def _hearing(heard: list[int]) -> Iterator[None]:
    """Note the signals that stop a run, and do what was done about them before; only the main thread gets them."""
    former = {}
    if threading.current_thread() is threading.main_thread():
        numbers = (signal.SIGINT, signal.SIGTERM)
        former = {number: handler for number in numbers if callable(handler := signal.getsignal(number))}

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        former[signal.Signals(number)](number, frame)

    for number in former:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
