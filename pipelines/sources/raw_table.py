"""What a raw table is: the files it comes from, below the root of a release, and how they are read.

Does not belong here: parsing (`csv_files`, `typed_columns`) and anything that one source does alone (its module).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from data_contracts import CONTRACTS, Contract
from pipelines.sources.csv_files import scan_typed_csv
from pipelines.sources.files_below import file_names, find_below
from pipelines.sources.films import Films
from pipelines.sources.refusals import REJECTED, SourceError
from pipelines.sources.releases import Release

MAX_HINT_FOLDERS = 50


def root_variable(source: str) -> str:
    """Return the environment variable that holds the root of a source."""
    return f"MEDCSP_{source.upper()}"


def read_csv(table: "RawTable", root: Path) -> pl.LazyFrame:
    """Read the table's CSV file and type it by its contract."""
    (path,) = table.find(root)
    names = {name: table.renamed.get(name, name) for name in table.contract.columns()}
    return scan_typed_csv(path, columns=names, contract=table.contract)


def list_files(table: "RawTable", root: Path) -> list[Path]:
    """Return the files that a table names, which is all that most tables read."""
    return table.find(root)


def list_nothing(table: "RawTable", root: Path) -> list[str]:
    """Return no line: most tables depend on the bytes of their files alone."""
    return []


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """One typed raw table.

    Attributes:
        table: name of the table and of its contract.
        source: name of the source; its root is in `MEDCSP_<SOURCE>`.
        files: paths below the root that must be there.
        reader: makes the typed frame of a root.
        lister: lists every file whose bytes the table depends on.
        listing: lists, one line each, what else it depends on: names of files, or their size and time where they are
            too large to be hashed before they are read.
        renamed: contract column to column of the file, where they differ.
        unless: source whose presence makes this table empty, because it holds the same facts cheaper.
        optional: True where a release may lack the files; the table is then empty.
    """

    table: str
    source: str
    files: tuple[str, ...]
    reader: Callable[["RawTable", Path], pl.LazyFrame] = read_csv
    lister: Callable[["RawTable", Path], list[Path]] = list_files
    listing: Callable[["RawTable", Path], list[str]] = list_nothing
    renamed: Mapping[str, str] = field(default_factory=dict)
    unless: str | None = None
    optional: bool = False

    @property
    def contract(self) -> type[Contract]:
        """Contract of the table."""
        return CONTRACTS[self.table]

    @property
    def variable(self) -> str:
        """Environment variable that holds the root."""
        return root_variable(self.source)

    @property
    def module(self) -> str:
        """Name of the module that reads the source, for the code version of its tables."""
        return f"pipelines.sources.{self.source}"

    def find(self, root: Path) -> list[Path]:
        """Return the table's files: `.csv.gz` or `.csv`, names in any case.

        Raises:
            SourceError: the root is not a folder, or a file is missing below it.
        """
        if not root.is_dir():
            raise SourceError(f"{self.variable}={root} is not a folder: set it to the folder of the release")
        found = [find_below(root, file) for file in self.files]
        missing = [file for file, path in zip(self.files, found, strict=True) if path is None]
        if missing:
            raise SourceError(self._missing_message(root, missing))
        return [path for path in found if path is not None]

    def is_left_out(self, root: Path) -> bool:
        """Return whether the release at this root lacks an optional table."""
        return self.optional and root.is_dir() and not all(find_below(root, file) for file in self.files)

    def read(self, root: Path) -> pl.LazyFrame:
        """Return the table, typed by its contract, with the column `_rejected` (string, null where the row is fine).

        Rows whose text does not cast hold null there. Reading is lazy and streams; a broken file raises SourceError
        when the frame is collected. An optional table without its file is empty.

        Raises:
            SourceError: a file or a column is missing.
        """
        return self.empty() if self.is_left_out(root) else self.reader(self, root)

    def empty(self) -> pl.LazyFrame:
        """Return the table without rows, for a source that is absent."""
        schema: dict[str, Any] = {name: column.dtype for name, column in self.contract.columns().items()}
        return pl.LazyFrame(schema={**schema, REJECTED: pl.String})

    def raw_files(self, root: Path) -> list[Path]:
        """Return every file whose bytes the table depends on, sorted."""
        return [] if self.is_left_out(root) else sorted(self.lister(self, root))

    def _missing_message(self, root: Path, missing: list[str]) -> str:
        alternatives = " or ".join(file_names(missing[0]))
        message = f"{self.variable}={root}: table {self.table} needs {alternatives}, which is not there"
        inside = [folder for folder in _subfolders(root) if find_below(folder, missing[0]) is not None]
        if inside:
            return f"{message}; did you mean {self.variable}={inside[0]}?"
        return f"{message}; set {self.variable} to the folder of the release"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One raw source: a release in one folder.

    Attributes:
        name: name of the source.
        required: whether the graph needs it; an optional source that is absent gives empty tables.
        tables: its typed tables.
        where: where to get it and what the root must hold.
        folder: name of its folder where the graph writes a synthetic one.
        releases: the known releases, see `releases.detect_release`; none: any tree with the files is read.
        films: its X-ray films as records, if it has any that become such.
    """

    name: str
    required: bool
    tables: tuple[RawTable, ...]
    where: str
    folder: str
    releases: tuple[Release, ...] = ()
    films: Films | None = None

    @property
    def variable(self) -> str:
        """Environment variable that holds the root."""
        return root_variable(self.name)


def _subfolders(root: Path) -> list[Path]:
    children = sorted(path for path in root.iterdir() if path.is_dir())[:MAX_HINT_FOLDERS]
    grandchildren = [path for child in children for path in sorted(child.iterdir())[:MAX_HINT_FOLDERS] if path.is_dir()]
    return [*children, *grandchildren]
