"""SQL as text: quoting, and what a statement reads."""

import functools
import re
from pathlib import Path

_TOKENS = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|[()]|\border\s+by\b|\b(?:limit|offset|distinct\s+on)\b""",
    re.IGNORECASE | re.DOTALL,
)


def name_of(column: str) -> str:
    """A name as an SQL identifier."""
    return '"' + column.replace('"', '""') + '"'


def text_of(text: str) -> str:
    """A text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def quoted(path: Path) -> str:
    """A path as an SQL string."""
    return text_of(str(path))


def statement_of(text: str) -> str:
    """The text of a file with one statement, fit to stand inside another: no semicolon, and a line of its own."""
    return text.strip().removesuffix(";") + "\n"


@functools.cache
def unordered(text: str) -> str:
    """A statement without the ORDER BY of its result, where nothing depends on it: publishing sorts anyway, cheaper."""
    depth, start = 0, None
    for token in _TOKENS.finditer(text):
        match token[0].lower():
            case "(":
                depth += 1
            case ")":
                depth -= 1
            case word if depth == 0 and word[:1] in "ldo":
                if not word.startswith("order"):
                    return text  # which rows there are depends on their order
                start = token.start()
    return text if start is None else text[:start]


def table_names(text: str) -> set[str]:
    """The tables that an SQL statement reads, its own common table expressions left out."""
    from sqlglot import exp, parse

    tree = parse(text, read="duckdb")[0]  # what stands after the semicolon is comments
    assert tree is not None, text
    local = {cte.alias for cte in tree.find_all(exp.CTE)}
    return {table.name for table in tree.find_all(exp.Table) if table.name} - local
