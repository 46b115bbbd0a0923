"""Dagster's event log in SQLite, over connections that stay open: half the cost of a graph of small steps was theirs.

Dagster's own opens a file, compiles every statement, waits for the disk and closes the file again for each event, seven
times a step. What is stored, and who may read it meanwhile, is the same. Named in `dagster.yaml`; nothing imports it.
"""

import os
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import sqlalchemy
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import StaticPool

FOLDER = Path("history", "runs")  # below DAGSTER_HOME, where Dagster's own keeps it
NUM_OPEN = 8


class OpenSqliteEventLog(SqliteEventLogStorage):
    """Dagster's SQLite event log, a file per run and an index, the last few of them kept open."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, sqlalchemy.Engine] = OrderedDict()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Return the log below the `base_dir` of `dagster.yaml`, which is DAGSTER_HOME."""
        return cls(str(Path(config_value["base_dir"]) / FOLDER), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _engine(self, shard: str) -> sqlalchemy.Engine:
        if shard not in self._engines:
            engine = sqlalchemy.create_engine(
                self.conn_string_for_shard(shard),
                poolclass=StaticPool,  # one connection, used by one thread at a time: `_db_lock`
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            sqlalchemy.event.listen(engine, "connect", _write_without_waiting)
            self._engines[shard] = engine
        self._engines.move_to_end(shard)
        while len(self._engines) > NUM_OPEN:
            self._engines.popitem(last=False)[1].dispose()
        return self._engines[shard]

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event, and touch its file: who watches a run sees that change, not the journal beside it."""
        super().store_event(event)
        os.utime(self.path_for_shard(event.run_id))

    def wipe(self) -> None:
        """Delete all events."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        """Close what is open."""
        self._close()
        super().dispose()

    def _close(self) -> None:
        with self._db_lock:
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()


def _write_without_waiting(connection: sqlite3.Connection, _: Any) -> None:
    """Leave it to the operating system when a commit reaches the disk: a killed process loses none."""
    connection.execute("pragma synchronous = normal")
