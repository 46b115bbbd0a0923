"""Train by the command's own `main` in forks of one process; a fork may be told to kill itself at its nth fsync.

A line of input is `run.json number` (0: lives); the answer is `exit_code fsyncs`. The process has imported everything
and computed nothing, which spares each fork the seconds of importing.
"""

import os
import signal
import sys
from multiprocessing import Value
from typing import Any

import medcsp_model.trainer  # noqa: F401  (imported before the forks)
from medcsp_model.command import start
from medcsp_model.train import main


def arm(last: int, count: Any) -> None:
    """Count fsyncs, and die by SIGKILL in place of the one numbered `last`."""
    fsync = os.fsync

    def counted(descriptor: int) -> None:
        count.value += 1
        if count.value == last:
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(descriptor)

    os.fsync = counted


def serve() -> None:
    count = Value("i", 0, lock=False)
    for line in sys.stdin:
        run, number = line.rsplit(maxsplit=1)
        count.value = 0
        child = os.fork()
        if not child:
            os.dup2(2, 1)  # the log stays out of the answers
            sys.argv = ["train", "--settings", run]
            arm(int(number), count)
            os._exit(start(main))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), count.value, flush=True)


if __name__ == "__main__":
    serve()
