"""What commands share: reading run.json, plain logging, readable errors, ending with the process that started them."""

import argparse
import ctypes
import json
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


def parser_of(about: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the page that a command's module begins with, `__doc__` there."""
    spec = sys.modules["__main__"].__spec__
    prog = f"python -m {spec.name}" if spec else None
    return argparse.ArgumentParser(prog=prog, description=about, formatter_class=argparse.RawDescriptionHelpFormatter)


def read_run(about: str | None, keys: Sequence[str], *, optional: Sequence[str] = ()) -> dict[str, Any]:
    """The run description named by `--settings`.

    Args:
        about: of the command, for its help: `__doc__` of its module.
        keys: keys that must be there.
        optional: keys that may be.

    Raises:
        ValueError: the file is absent, no JSON object, lacks a key or has an unknown one.
    """
    parser = parser_of(about)
    parser.add_argument("--settings", type=Path, required=True, metavar="run.json", help="what to do, a JSON file")
    path = parser.parse_args().settings
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        run = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(run, dict):
        raise ValueError(f"{path}: expected an object with {', '.join(keys)}")
    for key in ("corpus", "checkpoint", "output", "run_folder"):
        if key in run and not isinstance(run[key], str):
            raise ValueError(f"{path}: {key}: expected the path of a folder, got {run[key]!r}")
    missing = [key for key in keys if key not in run]
    unknown = sorted(set(run) - set(keys) - set(optional))
    if missing or unknown:
        raise ValueError(f"{path}: missing {missing}, unknown {unknown}; known: {', '.join([*keys, *optional])}")
    return run


def start(main: Callable[[], int]) -> int:
    """Run a command with one log line a message; an error of the user's is one line on stderr and exit status 2.

    So is one of the file system's: a full disk, a folder that may not be written. A ^C says nothing, as SIGTERM does.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    try:
        return main()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM as soon as the parent is gone; where it cannot, nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
