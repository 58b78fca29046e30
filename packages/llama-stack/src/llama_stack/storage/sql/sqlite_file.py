"""SQLite files by the standard library: making them, connecting to them, the lock of the process that serves one."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import IO

from llama_stack.storage.errors import StoreInUse, StoreRefused

BUSY_TIMEOUT_S = 5.0
SQLITE_VERSION_MIN = (3, 38)

PRAGMAS = (
    f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA journal_size_limit = {64 * 1024 * 1024}",  # a large transaction must not leave a large WAL behind
)
"""Run on each new connection, in this order: the change to WAL may have to wait for others."""


def prepare_file(path: Path) -> None:
    """Make the file, readable by its owner alone, and the directories above it."""
    if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
        raise StoreRefused(f"SQLite {'.'.join(map(str, SQLITE_VERSION_MIN))} or newer is needed for {path}")
    if str(path) == ":memory:":
        raise StoreRefused("db_path ':memory:' is not supported: a store has several connections; name a file")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreRefused(f"cannot open {path}: {error.strerror}; check db_path and its rights") from error


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit that another thread may take over."""
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S)
        for pragma in PRAGMAS:
            connection.execute(pragma)
    except sqlite3.DatabaseError as error:
        raise StoreRefused(f"cannot open the database {path}: {error}") from error
    return connection


class ServingLock:
    """An OS lock beside a SQLite file, held by the one process that serves from it and gone with that process."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Raises `StoreInUse`, or `StoreRefused` if there can be no lock."""
        path = Path(f"{self._database}.lock")
        try:
            file = path.open("a+", encoding="ascii")
        except OSError as error:
            raise StoreRefused(f"cannot open {path}: {error.strerror}; check db_path and its rights") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            file.close()
            raise StoreInUse(
                f"{self._database} is served by another process (pid {holder}). One process serves a SQLite file; "
                "for several workers or nodes use PostgreSQL: a backend of type sql_postgres under storage.backends"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
