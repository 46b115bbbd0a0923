"""The catalogue: a DuckDB file of views over the published tables, and nothing else.

Schema `tables` holds one per table, as it was published; `published` says when and from what. A bare name is the view
of `sql/catalog.sql` that has it, and the table where none does. The file is copied beside, views of tables that changed
are replaced in the copy, and the copy is renamed: a reader sees the old catalogue or the new one, and nobody's open
session blocks a publish. Its views carry the absolute paths of immutable versions, so no query ever mixes two.
"""

import functools
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import duckdb

from lake.files import canonical_json, fsync_path, locked, write_atomic
from lake.ids import id_share_macro
from lake.manifest import TIMING, Manifest
from lake.sql import name_of, parquet_of, table_names, text_of

CATALOGUE = "warehouse.duckdb"
SCHEMA = "tables"
PUBLISHED = "published"
STAMP = "warehouse.json"  # what the catalogue shows; written after it, and a crash between the two costs one rebuild

logger = logging.getLogger(__name__)


def view_sql(folder: Path, manifest: Manifest) -> str:
    """A SELECT over the data files of a version."""
    files = [folder / manifest.version / file.path for file in manifest.files]
    columns = ", ".join(name_of(name) for name, _ in manifest.columns)
    return f"select {columns} from {parquet_of(files)}"


def shows(home: Path, manifest: Manifest) -> bool:
    """Whether the catalogue shows this version of its table."""
    return bool(read_stamp(home).get("tables", {}).get(manifest.table) == _shown_as(manifest))


def read_stamp(home: Path) -> dict[str, Any]:
    """What the catalogue shows, empty where there is none or somebody else wrote to it.

    `home`, `tables` (what is shown of each, by name), `views` (a hash of their text), `waiting` (further views that are
    not there yet, with the reason) and `written` (when the file that this is about was).
    """
    path, catalogue = home / STAMP, home / CATALOGUE
    if not path.exists() or not catalogue.exists():
        return {}
    stamp = dict(json.loads(path.read_text(encoding="utf-8")))
    about_it = stamp.get("home") == str(home) and stamp.get("written") == catalogue.stat().st_mtime_ns
    return stamp if about_it else {}


def refresh(home: Path, current: Callable[[], Mapping[str, tuple[Path, Manifest]]], views_file: Path) -> None:
    """Make the catalogue show the current versions; what it shows already is not touched.

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
        stamp: dict[str, Any] = {
            "home": str(home),
            "tables": {name: _shown_as(manifest) for name, (_, manifest) in tables.items()},
            "views": hashlib.sha256(text.encode()).hexdigest(),
        }
        shown = read_stamp(home)
        if shown and {name: shown.get(name) for name in stamp} == stamp:
            return
        building = home / ".warehouse.building"
        building.unlink(missing_ok=True)
        (home / ".warehouse.building.wal").unlink(missing_ok=True)
        goes_on = bool(shown) and shown["views"] == stamp["views"] and set(shown["tables"]) <= set(tables)
        if goes_on:
            shutil.copyfile(home / CATALOGUE, building)
        before = shown["tables"] if goes_on else {}
        waiting = shown["waiting"] if goes_on else None
        changed = {name for name, version in stamp["tables"].items() if before.get(name) != version}
        with duckdb.connect(str(building), config={"threads": 1}) as sql:
            sql.execute(id_share_macro())
            table_views = _table_views({name: tables[name] for name in changed})
            sql.execute(f"begin; create schema if not exists {SCHEMA}; {table_views} {_published_view(tables)} commit")
            descriptions = {name: manifest.description for name, (_, manifest) in tables.items()}
            waiting = _create_views(sql, text, views_file, descriptions, changed, waiting)
        fsync_path(building)
        stamp |= {"waiting": waiting, "written": building.stat().st_mtime_ns}
        building.rename(home / CATALOGUE)
        write_atomic(home / STAMP, canonical_json(stamp))


def _shown_as(manifest: Manifest) -> str:
    return f"{manifest.layer}/{manifest.version} {manifest.fingerprint} {manifest.description}"


def _table_views(tables: Mapping[str, tuple[Path, Manifest]]) -> str:
    """SQL that creates two views per table, the qualified and the bare one."""
    parts = []
    for table, (folder, manifest) in sorted(tables.items()):
        name, comment = name_of(table), text_of(manifest.description)
        parts += [
            f"create or replace view {SCHEMA}.{name} as {view_sql(folder, manifest)};",
            f"create or replace view {name} as from {SCHEMA}.{name};",
            f"comment on view {SCHEMA}.{name} is {comment}; comment on view {name} is {comment};",
        ]
    return "".join(parts)


def _published_view(tables: Mapping[str, tuple[Path, Manifest]]) -> str:
    """SQL that creates the view of what is published; a time is null where a run died before it could say it."""
    rows = [_published_row(folder, manifest) for _, (folder, manifest) in sorted(tables.items())]
    columns = "table_name, layer, version, fingerprint, num_rows, num_rejected, created_time, description"
    empty = f"select {', '.join(['null'] * 8)} where false"
    body = f"values {', '.join(rows)}" if rows else empty
    return (
        f"create or replace view {PUBLISHED} as select * replace (created_time::timestamptz as created_time) "
        f"from ({body}) as rows ({columns});"
        f"comment on view {PUBLISHED} is 'One row per published table: its version, and when it was made.';"
    )


def _published_row(folder: Path, manifest: Manifest) -> str:
    texts = [manifest.table, manifest.layer, manifest.version, manifest.fingerprint]
    timing = folder / TIMING
    created = json.loads(timing.read_text(encoding="utf-8"))["created_time"] if timing.exists() else None
    return "({}, {}, {}, {}, {})".format(
        ", ".join(map(text_of, texts)),
        manifest.rows,
        sum(manifest.rejected.values()),
        text_of(created) if created else "null",
        text_of(manifest.description),
    )


def _create_views(
    sql: duckdb.DuckDBPyConnection,
    text: str,
    path: Path,
    tables: Mapping[str, str],
    changed: Collection[str],
    waited: Mapping[str, str] | None,
) -> dict[str, str]:
    """Create the views of a file in its order, and give those that must wait, with the reason.

    Args:
        sql: the catalogue, with a view per table.
        text: the file's statements.
        path: the file, for messages.
        tables: description of every table, by name.
        changed: tables whose views are new; only further views that read them, or waited, are created.
        waited: the views that waited so far; None where none is there yet.
    """
    known = {*tables, PUBLISHED}
    stale = {*changed, *(waited or {})}
    waiting = {}
    for statement in duckdb.extract_statements(text):
        name, needed = _view_parts(statement.query, path)
        if waited is not None and name not in stale and not needed & stale:
            known.add(name)
            continue
        stale.add(name)
        if name in tables:
            sql.execute(f"create or replace view {name_of(name)} as from {SCHEMA}.{name_of(name)}")
            sql.execute(f"comment on view {name_of(name)} is {text_of(tables[name])}")
        else:
            sql.execute(f"drop view if exists {name_of(name)}")
        if missing := sorted(needed - known):
            waiting[name] = f"waits for {', '.join(missing)}"
            logger.info("view %s of %s %s", name, path.name, waiting[name])
            continue
        try:
            sql.execute("begin")
            sql.execute(f"drop view if exists {name_of(name)}")
            sql.execute(statement)
            if name in tables:
                sql.execute(f"comment on view {name_of(name)} is {text_of(tables[name])}")
            sql.execute("commit")
            known.add(name)
        except duckdb.Error as error:
            sql.execute("rollback")
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
    return name, frozenset(table_names(tree.expression.sql(dialect="duckdb")))
