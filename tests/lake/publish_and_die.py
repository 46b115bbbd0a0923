"""Processes for the tests: one publishes and may kill itself at a named point, one reads the catalogue in a loop.

usage: publish_and_die.py HOME serve|watch
"""

import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataframely as dy
import duckdb
import polars as pl

from data_contracts.base import Contract
from lake import Lake, Manifest

NUM_ROWS = 600


class Generations(Contract):
    """Rows that all carry the number of the publish that made them."""

    table = "generations"
    layer = "tables"
    key = ("subject_id",)
    sharded = True

    subject_id = dy.Int64()
    generation = dy.Int64()
    value = dy.Float64(min=0)


def rows(generation: int) -> pl.LazyFrame:
    subjects = pl.int_range(NUM_ROWS, dtype=pl.Int64, eager=True).alias("subject_id")
    frame = pl.DataFrame({"subject_id": subjects, "generation": generation, "value": 1.0})
    broken = frame.head(generation).with_columns(subject_id=-pl.col("subject_id") - 1, value=-1.0)
    return pl.concat([broken, frame.reverse()]).lazy()


def publish(home: Path, generation: int) -> Manifest:
    settings = {"generation": generation}
    return Lake(home, threads=1).publish(Generations, rows(generation), code_version="c", inputs={}, settings=settings)


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_before_renaming_to(name: str) -> None:
    rename = Path.rename

    def deadly(self: Path, target: Path) -> Path:
        if Path(target).name == name:
            die()
        return rename(self, target)

    Path.rename = deadly  # type: ignore[method-assign]


def die_at_the_third_fsync() -> None:
    fsync, calls = os.fsync, iter(range(100))

    def deadly(descriptor: int) -> None:
        if next(calls) == 2:
            die()
        fsync(descriptor)

    os.fsync = deadly


def replace(target: object, name: str) -> Callable[[], None]:
    return lambda: setattr(target, name, die)


def arm(point: str) -> None:
    """Make the process kill itself at a point; production code knows nothing of it."""
    from lake import catalogue, publish, store

    {
        "rows written": replace(publish._Steps, "settle_keys"),
        "files half durable": die_at_the_third_fsync,
        "before the rename": lambda: setattr(publish, "fsync_path", lambda path: path.is_dir() and die()),
        "between rename and commit": replace(publish, "commit_manifest"),
        "manifest written, not renamed": lambda: die_before_renaming_to("current.json"),
        "committed, timing not written": replace(store.Lake, "record_timing"),
        "catalogue built, not renamed": lambda: die_before_renaming_to(catalogue.CATALOGUE),
        "catalogue renamed, stamp not written": lambda: die_before_renaming_to(catalogue.STAMP),
    }[point]()


POINTS = (
    "rows written",
    "files half durable",
    "before the rename",
    "between rename and commit",
    "manifest written, not renamed",
    "committed, timing not written",
    "catalogue built, not renamed",
    "catalogue renamed, stamp not written",
)


def watch(home: Path) -> None:
    """Read the catalogue afresh, again and again; answer each line of input, once read anew, with all that was seen."""
    seen: list[int] = []
    asked = True
    while True:
        with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as catalogue:
            query = "select count(*), min(generation), max(generation), count(distinct subject_id) from generations"
            ((count, first, last, subjects),) = catalogue.sql(query).fetchall()
        assert (count, subjects) == (NUM_ROWS, NUM_ROWS) and first == last, f"mixed: {(count, first, last, subjects)}"
        if first not in seen:
            seen.append(first)
        if asked:
            print(*seen, flush=True)
        asked = bool(select.select([sys.stdin], [], [], 0.02)[0])
        if asked and not sys.stdin.readline():
            return


def serve(home: Path) -> None:
    """Publish on request, each time in a process of its own; forking spares every one of them the imports.

    A line of input is `generation[:point]` items with semicolons between, published at the same time; the answer is
    their exit codes.
    """
    for line in sys.stdin:
        children = [fork(home, *word.strip().split(":")) for word in line.split(";")]
        print(*[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children], flush=True)


def fork(home: Path, generation: str, point: str = "") -> int:
    child = os.fork()
    if child:
        return child
    if point:
        arm(point)
    publish(home, int(generation))
    os._exit(0)


if __name__ == "__main__":
    {"watch": watch, "serve": serve}[sys.argv[2]](Path(sys.argv[1]))
