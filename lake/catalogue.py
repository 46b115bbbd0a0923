"""The catalogue: a DuckDB file that holds one view per published table and nothing else.

It is built beside and renamed, so a reader sees the old catalogue or the new one, and nobody's open session blocks a
publish. Its views carry the absolute paths of immutable versions, so no query ever mixes two.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import duckdb

from lake.files import canonical_json, fsync_path, locked, write_atomic
from lake.ids import id_share_macro
from lake.manifest import Manifest
from lake.sql import name_of, quoted, table_names, text_of

CATALOGUE = "warehouse.duckdb"
STAMP = "warehouse.json"  # what the catalogue shows; written after it, so a crash between the two costs one rebuild

logger = logging.getLogger(__name__)


def view_sql(folder: Path, manifest: Manifest) -> str:
    """A SELECT over the data files of a version."""
    files = ", ".join(quoted(folder / manifest.version / file.path) for file in manifest.files)
    columns = ", ".join(name_of(name) for name, _ in manifest.columns)
    return f"select {columns} from read_parquet([{files}])"


def shows(home: Path, manifest: Manifest) -> bool:
    """Whether the catalogue shows this version of its table."""
    stamp = _stamp(home)
    if not stamp or not (home / CATALOGUE).exists():
        return False
    return bool(json.loads(stamp)["tables"].get(manifest.table) == manifest.version)


def refresh(home: Path, tables: Mapping[str, tuple[Path, Manifest]], views_file: Path) -> None:
    """Rebuild the catalogue if it does not show the current versions.

    Args:
        home: the lake's home; the catalogue is `warehouse.duckdb` in it.
        tables: folder and current manifest of every published table.
        views_file: SQL with further views, one `create view` per statement; one whose tables are not all published
            waits for them.

    Raises:
        ValueError: a statement of `views_file` is not a view or does not run.
    """
    catalogue = home / CATALOGUE
    views = views_file.read_text(encoding="utf-8") if views_file.is_file() else ""
    shown = canonical_json(
        {
            "home": str(home),
            "tables": {name: manifest.version for name, (_, manifest) in tables.items()},
            "views": hashlib.sha256(views.encode()).hexdigest(),
        }
    )
    with locked(home / "warehouse.lock"):
        if catalogue.exists() and _stamp(home) == shown:
            return
        building = home / ".warehouse.building"
        building.unlink(missing_ok=True)
        (home / ".warehouse.building.wal").unlink(missing_ok=True)
        with duckdb.connect(str(building)) as sql:
            sql.execute(id_share_macro())
            views_of_tables = [
                f"create view {name_of(name)} as {view_sql(folder, manifest)};"
                f"comment on view {name_of(name)} is {text_of(manifest.description)};"
                for name, (folder, manifest) in sorted(tables.items())
            ]
            sql.execute(f"begin; {''.join(views_of_tables)} commit")
            _create_views(sql, views, views_file, set(tables))
        fsync_path(building)
        building.rename(catalogue)
        write_atomic(home / STAMP, shown)


def waiting_views(views_file: Path, tables: Iterable[str]) -> dict[str, list[str]]:
    """The further views that cannot be created yet, with the tables they wait for."""
    text = views_file.read_text(encoding="utf-8") if views_file.is_file() else ""
    return {name: missing for _, name, missing in _plan(text, views_file, set(tables)) if missing}


def _create_views(sql: duckdb.DuckDBPyConnection, text: str, path: Path, tables: set[str]) -> None:
    """Create the views of a file, in its order, whose tables are all there."""
    for statement, name, missing in _plan(text, path, tables):
        if missing:
            logger.info("view %s of %s waits for %s", name, path.name, ", ".join(missing))
            continue
        try:
            sql.execute(statement)
        except duckdb.Error as error:
            raise ValueError(f"{path}: view '{name}' does not run: {error}") from error


def _plan(text: str, path: Path, tables: set[str]) -> Iterator[tuple[str, str, list[str]]]:
    """`(statement, view, tables it lacks)` of every statement; a view may read the views before it."""
    known = set(tables)
    for statement in duckdb.extract_statements(text):
        name, needed = _view_parts(statement.query, path)
        missing = sorted(needed - known)
        if not missing:
            known.add(name)
        yield statement.query, name, missing


def _stamp(home: Path) -> str:
    path = home / STAMP
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _view_parts(text: str, path: Path) -> tuple[str, set[str]]:
    """The name of the view that a statement creates, and the tables it reads."""
    from sqlglot import exp, parse

    tree = parse(text, read="duckdb")[0]  # what stands after the semicolon is comments
    if not isinstance(tree, exp.Create) or tree.kind != "VIEW":
        raise ValueError(f"{path}: every statement must be 'create view'; found: {text.strip()[:60]}")
    name = tree.this.find(exp.Table).name
    return name, table_names(text) - {name}
