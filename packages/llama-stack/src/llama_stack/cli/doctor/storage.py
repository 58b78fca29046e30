"""The databases of a config, the directories of its files, and the key under which secrets are sealed."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from llama_stack.cli.doctor.finding import Finding, ok, problem, warning
from llama_stack.cli.failure import Failure
from llama_stack.cli.requirements import install_command, required_by
from llama_stack.cli.runner.start import check_workers
from llama_stack.config import LoadedConfig
from llama_stack.config.model import RunConfig
from llama_stack.config.storage import (
    KVPostgresBackend,
    KVRedisBackend,
    KVSqliteBackend,
    SqlPostgresBackend,
    SqlSqliteBackend,
    StorageBackend,
)
from llama_stack_api.errors import LlamaStackError

if TYPE_CHECKING:
    from llama_stack.storage.sql.schema_state import Schema

FREE_BYTES_LOW = 1024**3
FREE_BYTES_MIN = 100 * 1024**2
TIMEOUT_S = 6.0
SqliteBackend = KVSqliteBackend | SqlSqliteBackend


async def check_storage(config: RunConfig) -> list[Finding]:
    """Each backend that a store uses, all at once."""
    used = {reference.backend for reference in config.storage.stores.references().values()}
    backends = {name: backend for name, backend in config.storage.backends.items() if name in used}
    found = await asyncio.gather(*(_check_backend(name, backend) for name, backend in backends.items()))
    return [finding for each in found for finding in each]


def check_state_directory(
    directory: Path, free_low: int = FREE_BYTES_LOW, free_min: int = FREE_BYTES_MIN
) -> list[Finding]:
    """Where the server keeps its own files, and the space on that disk."""
    findings = [_writable("state", directory) or ok("state", f"{directory} can be written")]
    existing = _existing(directory)
    free = shutil.disk_usage(existing).free
    said = f"{free / 1024**3:.1f} GiB are free in {existing}"
    remedy = "Free some, or put storage elsewhere (storage.backends, SQLITE_STORE_DIR, LLAMA_STACK_CONFIG_DIR)"
    if free < free_min:
        findings.append(problem("disk", said, remedy))
    elif free < free_low:
        findings.append(warning("disk", said, remedy))
    else:
        findings.append(ok("disk", said))
    return findings


def check_processes(loaded: LoadedConfig) -> Iterator[Finding]:
    """Several workers on one SQLite file."""
    try:
        check_workers(loaded)
    except Failure as failure:
        yield problem("workers", failure.what, failure.remedy)


def check_sealing_key(config: RunConfig, state_directory: Path) -> Iterator[Finding]:
    from llama_stack.security.sealing import KEY_FILE, KeyFileRefused, read_key_file

    secrets = config.server.secrets
    if secrets.all_keys:
        yield ok("secrets", "the sealing key is in the config")
        return
    path = secrets.key_file or state_directory / KEY_FILE
    if not path.exists():
        yield _writable("secrets", path.parent) or ok("secrets", f"a sealing key will be made in {path}")
        return
    try:
        read_key_file(path)
    except KeyFileRefused as error:
        yield problem("secrets", str(error), f"chmod 600 {path}, or name another file: server.secrets.key_file")
        return
    yield ok("secrets", f"{path} has a sealing key that nobody else can read")


async def _check_backend(name: str, backend: StorageBackend) -> list[Finding]:
    check = f"storage {name}"
    try:
        async with asyncio.timeout(TIMEOUT_S):
            match backend:
                case KVSqliteBackend() | SqlSqliteBackend():
                    return await asyncio.to_thread(_check_sqlite, check, backend)
                case KVRedisBackend():
                    return [await _check_redis(check, backend)]
                case KVPostgresBackend() | SqlPostgresBackend():
                    return [await _check_postgres(check, backend)]
    except TimeoutError:
        return [problem(check, f"no answer in {TIMEOUT_S:g} s", _where(name))]
    except ImportError as error:
        return [problem(check, f"the package {error.name} is not installed", extra_command(backend.type))]
    except LlamaStackError as error:
        return [problem(check, str(error), _where(name))]


def extra_command(backend_type: str) -> str:
    """What installs the driver of a kind of backend, as the server's own metadata has it."""
    extra = "redis" if backend_type.endswith("redis") else "postgres"
    return install_command(required_by("llama-stack", extra))


def _where(name: str) -> str:
    return f"See storage.backends.{name} in the config: address, credentials, and whether it runs"


def _check_sqlite(check: str, backend: SqliteBackend) -> list[Finding]:
    path = backend.db_path
    if not path.exists():
        return [_writable(check, path.parent) or ok(check, f"{path} will be made")]
    if not os.access(path, os.R_OK | os.W_OK):
        return [problem(check, f"{path} cannot be written", f"chown {_user()} {path}, or name another db_path")]
    refused = _writable(check, path.parent)  # the log of a database lies beside it
    if refused is not None:
        return [refused]
    holder = _served_by(path)
    return [_schema(check, path, backend), *([_taken(check, path, holder)] if holder else [])]


def _schema(check: str, path: Path, backend: SqliteBackend) -> Finding:
    from llama_stack.storage.sql.schema_state import schema_of_sqlite

    schema = schema_of_sqlite(path)
    return ok(check, f"{path}") if isinstance(backend, KVSqliteBackend) else _judged(check, str(path), schema)


def _taken(check: str, path: Path, holder: str) -> Finding:
    return warning(
        check,
        f"{path} is served by another process (pid {holder}); a second server on it does not start",
        "Leave it to that one, or use PostgreSQL: a backend of type sql_postgres",
    )


def _judged(check: str, name: str, schema: Schema) -> Finding:
    from llama_stack.storage.sql.migrate import HEAD

    version = schema.version
    match schema.state.value:
        case "empty":
            return ok(check, f"{name} is empty, and gets its tables at the start")
        case "older":
            what = f"{name} has schema {version}; the next start migrates it to {HEAD}"
            return warning(
                check,
                what,
                "Make a backup first, as an older server cannot read it afterwards; `llama stack migrate` does it now",
            )
        case "newer":
            what = f"{name} has schema {version}, written by a newer server; this one knows {HEAD}"
            return problem(check, what, "Run the newer server, or restore a backup made before the upgrade")
        case "foreign":
            return problem(check, f"{name} has tables with our names that this server did not make", "Use another one")
    return ok(check, f"{name}, schema {version}")


async def _check_postgres(check: str, backend: KVPostgresBackend | SqlPostgresBackend) -> Finding:
    from llama_stack.storage.sql.schema_state import schema_of_postgres

    name = f"PostgreSQL at {backend.host}:{backend.port}/{backend.db}"
    schema = await schema_of_postgres(backend)
    if isinstance(backend, KVPostgresBackend):
        return ok(check, f"{name} answers")
    return _judged(check, name, schema)


async def _check_redis(check: str, backend: KVRedisBackend) -> Finding:
    from llama_stack.storage.kv.open import open_kv

    kv = await open_kv(backend)
    try:
        await kv.get(b"doctor")
    finally:
        await kv.close()
    return ok(check, "Redis answers")


def _served_by(database: Path) -> str | None:
    """The pid of who holds the serving lock of a SQLite file."""
    try:
        file = Path(f"{database}.lock").open(encoding="ascii")  # noqa: SIM115 — closed below
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read(20).strip() or "unknown"
    return None


def _writable(check: str, directory: Path) -> Finding | None:
    """A problem if files cannot be made in the directory, or it cannot be made itself."""
    existing = _existing(directory)
    if not existing.is_dir():
        return problem(check, f"{existing} is not a directory", f"Name another directory than {directory}")
    if os.access(existing, os.W_OK | os.X_OK):
        return None
    return problem(
        check, f"{existing} cannot be written by {_user()}", f"chown {_user()} {existing}, or name another directory"
    )


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
