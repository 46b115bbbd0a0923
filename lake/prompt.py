"""A small SQL prompt on the catalogue: the registry's own shell cannot open files of this DuckDB.

Every statement opens the catalogue afresh and read-only: it sees what a run has just published, and holds no run up.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb

from lake.store import default_home

MAX_ROWS = 60
LIST_TABLES = """select view_name as table, comment from duckdb_views()
where not internal and schema_name = 'main' order by 1"""
_HELP = """End a statement with a semicolon. `.tables` lists the tables, `.help` says this, `.quit` leaves.
Try: select * from same_patient_pairs limit 5;   select * from metrics;   select * from lineage;"""


def main(arguments: list[str] | None = None) -> int:
    """Answer one question, or open the prompt."""
    parser = argparse.ArgumentParser(prog="python -m lake.prompt", description="Ask the catalogue in SQL.")
    parser.add_argument("--query", help="answer this and leave")
    parser.add_argument(
        "--home", type=Path, default=None, help="default: $MEDCSP_HOME, else .medcsp of this repository"
    )
    options = parser.parse_args(arguments)
    catalogue = (options.home or default_home()) / "warehouse.duckdb"
    if not catalogue.exists():
        print(f"there is no catalogue at {catalogue}; run `make demo` first", file=sys.stderr)
        return 1
    return (0 if answer(catalogue, options.query) else 1) if options.query else prompt(catalogue)


def prompt(catalogue: Path) -> int:
    """Read statements until the end of the input, and answer each; errors are shown and the prompt goes on."""
    if sys.stdin.isatty():
        import readline  # noqa: F401 - gives input() its history and editing

        print(f"{catalogue}\n{_HELP}")
    for statement in _statements():
        if statement == ".quit":
            break
        answer(catalogue, LIST_TABLES if statement == ".tables" else statement)
    return 0


def answer(catalogue: Path, statement: str) -> bool:
    """Print the result of one statement, or the error it gave; False for an error."""
    try:
        with duckdb.connect(str(catalogue), read_only=True) as connection:
            relation = connection.sql(statement)
            if relation is not None:
                relation.show(max_rows=MAX_ROWS, max_width=shutil.get_terminal_size((160, 24)).columns)
    except duckdb.Error as error:
        print(f"error: {error}", file=sys.stderr)
        return False
    except BrokenPipeError:  # `| head` has seen enough; the interpreter must not try again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _statements() -> Iterator[str]:
    lines: list[str] = []
    while True:
        try:
            line = input("      ...> " if lines else "medcsp> ") if sys.stdin.isatty() else next(sys.stdin)
        except (EOFError, StopIteration):
            break
        if not lines and line.strip() == ".help":
            print(_HELP)
            continue
        lines.append(line.rstrip("\n"))
        text = "\n".join(lines).strip()
        if text.endswith(";") or (text.startswith(".") and len(lines) == 1):
            yield text.rstrip(";")
            lines = []
    if "\n".join(lines).strip():
        yield "\n".join(lines).strip()


if __name__ == "__main__":
    sys.exit(main())
