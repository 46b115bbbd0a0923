"""What the three commands `train`, `embed` and `evaluate` share: reading run.json, plain logging, readable errors."""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def read_run(keys: Sequence[str], *, optional: Sequence[str] = ()) -> dict[str, Any]:
    """The run description named by `--settings`.

    Args:
        keys: keys that must be there.
        optional: keys that may be.

    Raises:
        ValueError: the file is absent, no JSON object, lacks a key or has an unknown one.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", type=Path, required=True, metavar="run.json")
    path = parser.parse_args().settings
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        run = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(run, dict):
        raise ValueError(f"{path}: expected an object with {', '.join(keys)}")
    missing = [key for key in keys if key not in run]
    unknown = sorted(set(run) - set(keys) - set(optional))
    if missing or unknown:
        raise ValueError(f"{path}: missing {missing}, unknown {unknown}; known: {', '.join([*keys, *optional])}")
    return run


def start(main: Callable[[], int]) -> int:
    """Run a command with one log line a message; an error of the user's is one line on stderr and exit status 2."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    try:
        return main()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
