"""The SQLite store: one file, one writer, readers beside it."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, create_engine, event
from sqlalchemy.pool import QueuePool

from scorespan.mart.changes import SqliteWriter
from scorespan.mart.migrations import migrate
from scorespan.mart.queries import SqlReader

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 10000",
)
_READERS = 8


class SqliteStore:
    """Keeps data marts in a SQLite file in WAL mode; commits are synced.

    Opening brings the file's schema up to date. Threads may share the store: writes take turns,
    each read sees one committed state and waits for no writer.
    """

    def __init__(self, path: Path) -> None:
        # SQLite gives its side files the mode of the main one.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._writing = threading.Lock()
        self._writers = _engine(path, begin="BEGIN IMMEDIATE", connections=1)
        self._readers = _engine(path, begin="BEGIN", connections=_READERS)
        try:
            with self._writers.begin() as connection:
                migrate(connection)
            self._writer: Connection | None = self._writers.connect()
        except BaseException:
            self._writers.dispose()
            raise

    @contextmanager
    def reading(self) -> Iterator[SqlReader]:
        """A state to read, beside any writer."""
        with self._readers.connect() as connection, connection.begin():
            yield SqlReader(connection)

    @contextmanager
    def writing(self) -> Iterator[SqliteWriter]:
        """The one transaction that changes the store; leaving it means committed and synced."""
        with self._writing:
            if self._writer is None:
                raise RuntimeError("the store is closed")
            with self._writer.begin():
                yield SqliteWriter(self._writer)

    def close(self) -> None:
        """Wait for the writer, then let go of the file. Idempotent."""
        with self._writing:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        self._writers.dispose()
        self._readers.dispose()


def _engine(path: Path, *, begin: str, connections: int) -> Engine:
    engine = create_engine(
        # Not as text: the path may hold what means something in an address.
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        # Values must not reach a log through an error's text.
        hide_parameters=True,
        connect_args={"check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: Any) -> None:
        # The driver must not begin transactions of its own; `begin` below does.
        connection.isolation_level = None
        for pragma in PRAGMAS:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
