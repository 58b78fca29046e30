"""`llama stack migrate` and `--check`, over SQLite; tests/deploy runs it over PostgreSQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from llama_stack.storage.sql.migrate import HEAD
from llama_stack.storage.sql.tables import VERSION_TABLE


def test_a_database_is_made_and_left_alone_the_second_time(llama: Any, config_file: Any, tmp_path: Path) -> None:
    config = str(config_file())
    told = {"SQLITE_STORE_DIR": str(tmp_path / "store")}
    (tmp_path / "store").mkdir()
    unmade = llama("migrate", config, "--check", **told)
    assert unmade.exit_code == 1
    assert "sql_default: empty" in unmade.output
    assert not list((tmp_path / "store").iterdir())
    made = llama("migrate", config, **told)
    assert (made.exit_code, made.output) == (0, f"storage.backends.sql_default: schema none → {HEAD}\n")
    again = llama("migrate", config, **told)
    assert (again.exit_code, again.output) == (0, f"storage.backends.sql_default: schema {HEAD}, as before\n")
    assert (
        llama("migrate", config, "--check", **told).output == f"storage.backends.sql_default: current, schema {HEAD}\n"
    )


def test_a_newer_schema_is_refused(llama: Any, config_file: Any, tmp_path: Path) -> None:
    config = str(config_file())
    told = {"SQLITE_STORE_DIR": str(tmp_path)}
    assert llama("migrate", config, **told).exit_code == 0
    with closing(sqlite3.connect(tmp_path / "sql_store.db")) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
        connection.commit()
    assert "newer, schema 9999" in llama("migrate", config, "--check", **told).output
    refused = llama("migrate", config, **told)
    assert refused.exit_code == 1
    assert "written by a newer server" in refused.output
