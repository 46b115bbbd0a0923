"""The curve of a run, `metrics.jsonl`: a line every so many steps, each the means since the line before."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medcsp_model.checkpoint import write_text

NOT_AVERAGED = ("step", "epoch", "learning_rate")


def cut_lines(path: Path, done: int) -> None:
    """Drop lines of steps that a killed run had logged beyond its last state: they are trained again.

    A process that is killed here leaves all lines or those that stay.
    """
    lines = path.read_text().splitlines() if path.is_file() else []
    kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= done]
    write_text(path, "".join(f"{line}\n" for line in kept))


def append_line(path: Path, steps: Sequence[Mapping[str, Any]], more: Mapping[str, Any]) -> dict[str, Any]:
    """Write the line of some steps, durably.

    Args:
        path: the file.
        steps: what each step since the line before said, the same numbers each.
        more: what the line says beside their means.

    Returns:
        the line: step, epoch and learning rate of the last step, means of everything else.
    """
    last = steps[-1]
    line = {key: last[key] if key in NOT_AVERAGED else float(np.mean([step[key] for step in steps])) for key in last}
    line |= more
    with path.open("a") as file:
        file.write(json.dumps(line, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return line


def last_line(path: Path) -> dict[str, Any]:
    """The newest line."""
    line: dict[str, Any] = json.loads(path.read_text().splitlines()[-1])
    return line
