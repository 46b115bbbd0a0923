"""What the rules found that stop nothing: rows that are left out or odd, counted by `sql/checks/warnings/`."""

from pathlib import Path

from lake import Lake
from pipelines.report.content import Cell, Column, Row, Table
from pipelines.report.formats import count

WARNINGS = tuple(sorted((Path(__file__).parents[2] / "sql" / "checks" / "warnings").glob("*.sql")))
"""One rule a file: what it selects breaks the rule, and its first comment says which that is."""


def warnings_table(lake: Lake) -> Table:
    """Count the rows that break each rule, those of rules that hold left out; a rule waits for the tables it reads."""
    counts = {path: lake.count(path.read_text(encoding="utf-8")) for path in WARNINGS}
    rows = [
        Row(
            label=path.stem.replace("__", ": ").replace("_", " "),
            detail=_first_sentence(path.read_text(encoding="utf-8")),
            cells=(Cell(text=count(num_rows)),),
        )
        for path, num_rows in counts.items()
        if num_rows
    ]
    return Table(
        caption=f"Warnings ({count(len(rows))})",
        head="Rule",
        columns=(Column(label="Rows"),),
        rows=tuple(rows),
        note="These rules stop nothing; each says what becomes of its rows."
        if rows
        else "Every rule that would only warn holds.",
    )


def _first_sentence(sql: str) -> str:
    """Return the comment that a rule begins with, up to its details after a full stop."""
    comments = [line.lstrip("- ").strip() for line in sql.splitlines() if line.startswith("--")]
    return " ".join(comments).split(". ")[0].split(" severity:")[0].rstrip(".") + "."
