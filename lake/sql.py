"""SQL as text: quoting, and what a statement reads."""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

_SOURCES = re.compile(r"\b(?:from|join)\s+(\w+)")
_PATTERN = re.compile(r"[\[*?]")
_WITH = re.compile(r"^with\s+", re.MULTILINE)
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
    """A path as an SQL string, where a file is written; see `parquet_of` where files are read."""
    return text_of(str(path))


def parquet_of(paths: Iterable[Path]) -> str:
    """The rows of Parquet files as an SQL source: DuckDB reads a path as a pattern, so `[`, `*` and `?` are escaped."""
    files = ", ".join(text_of(_PATTERN.sub(r"[\g<0>]", str(path))) for path in paths)
    return f"read_parquet([{files}])"


def statement_of(text: str) -> str:
    """The text of a file with one statement, fit to stand inside another: no semicolon, and a line of its own."""
    return text.strip().removesuffix(";") + "\n"


def parts_of(path: Path) -> list[Path]:
    """The files in the folder that has the name of an SQL file: what is selected from by their names, in its place."""
    return sorted(path.with_suffix("").glob("*.sql"))


@dataclass(frozen=True)
class SqlFile:
    """An SQL file and its parts as they were at one moment: what is hashed is what runs.

    Attributes:
        parts: the text of each file of its folder, by the name that it is selected from.
    """

    path: Path
    text: str
    parts: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> "SqlFile":
        """Read a file and its parts."""
        parts = {part.stem: part.read_text(encoding="utf-8") for part in parts_of(path)}
        return cls(path, path.read_text(encoding="utf-8"), parts)

    def statement(self) -> str:
        """The whole statement: parts stand before its own common table expressions, each after those it reads.

        Raises:
            ValueError: it has parts and does not begin with `with`.
        """
        if not self.parts:
            return self.text
        reads = {name: set(_SOURCES.findall(part)) & self.parts.keys() for name, part in self.parts.items()}
        order = TopologicalSorter({name: sorted(reads[name]) for name in sorted(self.parts)}).static_order()
        ahead = "".join(f"{name} as (\n{statement_of(self.parts[name])}),\n\n" for name in order)
        whole, number = _WITH.subn(lambda found: f"with {ahead}", self.text, count=1)
        if not number:
            raise ValueError(f"{self.path}: a statement with parts begins with 'with'")
        return whole


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
