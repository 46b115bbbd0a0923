"""The catalogue: a DuckDB file that holds one view per published table and nothing else.

It is built beside and renamed, so a reader sees the old catalogue or the new one, and nobody's open session blocks a
publish. Its views carry the absolute paths of immutable versions, so no query ever mixes two.
"""

import functools
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
    stamp = read_stamp(home)
    return (
        stamp.get("home") == str(home)
        and stamp["tables"].get(manifest.table) == manifest.version
        and (home / CATALOGUE).exists()
    )


def read_stamp(home: Path) -> dict[str, Any]:
    """What the catalogue shows, empty where there is none.

    `home`, `tables` (versions by name), `views` (a hash of their text) and `waiting` (further views that are not there
    yet, with the reason).
    """
    path = home / STAMP
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def refresh(home: Path, current: Callable[[], Mapping[str, tuple[Path, Manifest]]], views_file: Path) -> None:
    """Rebuild the catalogue if it does not show the current versions.

    Args:
        home: the lake's home; the catalogue is `warehouse.duckdb` in it.
        current: gives folder and current manifest of every published table; asked once no other process can write.
        views_file: SQL with further views, one `create view` per statement. One whose tables are not all published, or
            that does not run over their present columns, waits: in the middle of an upgrade that is no error.

    Raises:
        ValueError: a statement of `views_file` is not a view.
    """
    text = views_file.read_text(encoding="utf-8") if views_file.is_file() else ""
    with locked(home / "warehouse.lock"):
        tables = current()
        stamp = {
            "home": str(home),
            "tables": {name: manifest.version for name, (_, manifest) in tables.items()},
            "views": hashlib.sha256(text.encode()).hexdigest(),
        }
        shown = read_stamp(home)
        if (home / CATALOGUE).exists() and {name: shown.get(name) for name in stamp} == stamp:
            return
        building = home / ".warehouse.building"
        building.unlink(missing_ok=True)
        (home / ".warehouse.building.wal").unlink(missing_ok=True)
        with duckdb.connect(str(building)) as sql:
            sql.execute(id_share_macro())
            views = [
                f"create view {name_of(name)} as {view_sql(folder, manifest)};"
                f"comment on view {name_of(name)} is {text_of(manifest.description)};"
                for name, (folder, manifest) in sorted(tables.items())
            ]
            sql.execute(f"begin; {''.join(views)} commit")
            waiting = _create_views(sql, text, views_file, set(tables))
        fsync_path(building)
        building.rename(home / CATALOGUE)
        write_atomic(home / STAMP, canonical_json({**stamp, "waiting": waiting}))


def _create_views(sql: duckdb.DuckDBPyConnection, text: str, path: Path, tables: set[str]) -> dict[str, str]:
    """Create the views of a file in its order, and give those that must wait, with the reason."""
    known = set(tables)
    waiting = {}
    for statement in duckdb.extract_statements(text):
        name, needed = _view_parts(statement.query, path)
        if missing := sorted(needed - known):
            waiting[name] = f"waits for {', '.join(missing)}"
            logger.info("view %s of %s %s", name, path.name, waiting[name])
            continue
        try:
            sql.execute(statement)
            known.add(name)
        except duckdb.Error as error:
            waiting[name] = f"does not run: {error}"
            logger.warning("view %s of %s %s", name, path, waiting[name])
    return waiting


@functools.cache
def _view_parts(text: str, path: Path) -> tuple[str, frozenset[str]]:
    """The name of the view that a statement creates, and the tables it reads."""
    from sqlglot import exp, parse

    tree = parse(text, read="duckdb")[0]  # what stands after the semicolon is comments
    if not isinstance(tree, exp.Create) or tree.kind != "VIEW":
        raise ValueError(f"{path}: every statement must be 'create view'; found: {text.strip()[:60]}")
    name = tree.this.find(exp.Table).name
    return name, frozenset(table_names(text) - {name})
