"""The manifest: one small JSON file that says which version of a table is current, and everything known about it.

Replacing that file is the commit. It holds no clock and no machine: the same publish gives the same bytes. Seconds and
memory stand beside it in `timing.json`.
"""

import functools
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lake.files import write_atomic

CURRENT = "current.json"
TIMING = "timing.json"


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One Parquet file of a version; `path` is relative to the version's folder."""

    path: str
    num_rows: int
    num_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Shard:
    """What one data file was made from, where a table is made shard by shard.

    Attributes:
        key: hash of everything its rows are made from; empty where rows were rejected, so that it is made again.
        num_rows: its rows.
        num_duplicates: surplus rows among exactly equal ones.
    """

    key: str
    num_rows: int
    num_duplicates: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A committed version of a table.

    Attributes:
        table: its name.
        description: the first line of the contract's docstring, shown by the catalogue.
        layer: the folder it lies in.
        version: hash of columns and bytes; the same content has the same version, whoever made it.
        fingerprint: hash of everything it was made from: code, inputs, settings and contract.
        rows: published rows.
        rejected: rows kept aside, by the first rule they break.
        num_duplicate_rows: surplus rows among exactly equal ones, in a table without a key.
        inputs: the versions of the tables and raw files it was made from.
        settings: the settings its code was given.
        code_version: hash of that code.
        contract: the contract's class name.
        contract_hash: hash of its columns, rules, key and order.
        columns: `[name, dtype]` pairs, see `lake.columns`.
        files: the data files.
        engines: versions of the libraries that wrote the files.
        extra: what the caller wants kept with the version.
        shards: what each file was made from, in a table that is made shard by shard.
    """

    table: str
    description: str
    layer: str
    version: str
    fingerprint: str
    rows: int
    rejected: dict[str, int]
    num_duplicate_rows: int
    inputs: dict[str, str]
    settings: dict[str, Any]
    code_version: str
    contract: str
    contract_hash: str
    columns: list[list[Any]]
    files: list[DataFile]
    engines: dict[str, str]
    extra: dict[str, Any] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)

    def to_json(self) -> str:
        """The manifest as text: sorted keys, one line per entry."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Read what `to_json` wrote."""
        values = json.loads(text)
        files = [DataFile(**file) for file in values["files"]]
        shards = [Shard(**shard) for shard in values.get("shards", [])]
        return cls(**{**values, "files": files, "shards": shards})


def read_manifest(table_folder: Path) -> Manifest | None:
    """The current manifest of the table in this folder, None when nothing was committed.

    Raises:
        ValueError: the file is there but is not a manifest.
    """
    path = table_folder / CURRENT
    try:
        file = path.stat()
        return _read_once(path, file.st_ino, file.st_mtime_ns)
    except FileNotFoundError:
        return None


@functools.lru_cache(maxsize=1024)
def _read_once(path: Path, inode: int, mtime_ns: int) -> "Manifest":
    """Parse the file that has these; one that was replaced in between is newer, and asked for again by its own."""
    return parse_manifest(path.read_text(encoding="utf-8"), path)


def parse_manifest(text: str, path: Path) -> Manifest:
    """`Manifest.from_json` with an error that names the file."""
    try:
        return Manifest.from_json(text)
    except (TypeError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is not a manifest of this version of the project ({error}); delete it and publish again"
        ) from error


def commit_manifest(table_folder: Path, manifest: Manifest) -> None:
    """Make a version the current one, as one step; the manifest it replaces is kept under `history/`."""
    former = read_manifest(table_folder)
    if former is not None and former.fingerprint != manifest.fingerprint:
        write_atomic(table_folder / "history" / f"{former.fingerprint}.json", former.to_json())
    write_atomic(table_folder / CURRENT, manifest.to_json())
