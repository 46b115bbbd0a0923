"""`python -m medcsp_model.fork_server`: a process that has imported torch and forks the commands it is asked for.

Importing torch and open_clip costs as many CPU seconds as a small evaluation; here several commands in a row pay it
once. Whoever starts the server hands it one end of a socket (`--socket`, a file descriptor). A request is one JSON
object, `{"module", "settings"}`, with two descriptors beside it: where the command's output goes, and the lock that it
holds while it lives. The answers are a line each: `{"pid"}` at its start, `{"status", "cpu_seconds"}` at its end.

A server ends with the socket; a command gets SIGTERM when its server dies. Nothing here touches a GPU: a process that
has may not fork. Nothing imports this module: processes that a command starts run it again as their main module, and
would find it imported already.
"""

import argparse
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from typing import NoReturn

from medcsp_model.command import die_with_parent, start

PRELOADED = (
    *("medcsp_model.trainer", "medcsp_model.embed", "medcsp_model.evaluate"),
    *(
        "medcsp_model.evaluation.prediction_report",
        "medcsp_model.evaluation.radiology_report",
        "sklearn.ensemble",
        "sklearn.linear_model",
        "sklearn.pipeline",
    ),
    "transformers.models.bert.modeling_bert",
)
_LARGEST_REQUEST = 1 << 16


def serve(channel: socket.socket) -> None:
    """Fork commands until the other end is closed; a forked process ends with the status of its command."""
    while True:
        request, handles, _, _ = socket.recv_fds(channel, _LARGEST_REQUEST, 2)
        if not request:
            return
        output, lock = handles
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            channel.close()
            _end(_run(server, output, **json.loads(request)))
        os.close(output)
        os.close(lock)
        _answer(channel, pid=pid)
        _, status, usage = os.wait4(pid, 0)
        _answer(
            channel,
            status=os.waitstatus_to_exitcode(status),
            cpu_seconds=round(usage.ru_utime + usage.ru_stime, 3),
        )


def _end(status: int) -> NoReturn:
    """End a forked process without taking its interpreter down: to do so would copy all that was imported."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _answer(channel: socket.socket, **values: float) -> None:
    channel.sendall(json.dumps(values).encode() + b"\n")


def _run(server: int, output: int, *, module: str, settings: str) -> int:
    die_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output, stream.fileno())
    os.close(output)
    if os.getppid() != server:  # it died before the kernel was asked
        return 128 + signal.SIGTERM
    sys.argv = [module, "--settings", settings]
    main: Callable[[], int] = import_module(module).main
    return start(main)


def main() -> int:
    """Import what every command needs and serve; a forked process ends with the status of its command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=int, required=True, metavar="DESCRIPTOR")
    channel = socket.socket(fileno=parser.parse_args().socket)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever launched a command decides what a ^C means for it
    for module in PRELOADED:
        import_module(module)
    gc.collect()
    gc.freeze()  # no command need look for garbage among imports, which would copy their pages
    serve(channel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
