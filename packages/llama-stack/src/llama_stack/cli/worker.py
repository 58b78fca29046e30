"""`worker`: a process that executes queued runs and those whose process is gone, and answers no requests."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llama_stack.cli.failure import Failure
from llama_stack.cli.own_environment import enter

if TYPE_CHECKING:
    from llama_stack.config import LoadedConfig


def worker(
    config: Annotated[
        str | None, typer.Argument(metavar="DISTRO|FILE", help="A file, or a distribution's name. Default: starter.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Make probable mistakes, such as unknown keys, errors.")
    ] = False,
    no_venv: Annotated[
        bool, typer.Option("--no-venv", help="Work here, although the distribution has an environment of its own.")
    ] = False,
) -> None:
    """Execute runs for servers that share a PostgreSQL database, with their config.

    SIGTERM or Ctrl-C lets runs go on for `server.runs.drain_s` seconds and gives the rest back to the queue; a second
    one gives them back at once.
    """
    if not no_venv:
        enter(config, os.environ)
    from llama_stack.cli.runner.start import Wishes, check_provider_settings, load
    from llama_stack.cli.runner.worker import loop_factory
    from llama_stack.config.paths import distribution_dir

    loaded, environ = load(Wishes(config, strict=strict), os.environ)
    if strict:
        check_provider_settings(loaded, environ)
    check_databases(loaded)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_work(loaded, environ, distribution_dir(loaded.config.distro_name, environ)))


def check_databases(loaded: LoadedConfig) -> None:
    """A SQLite file has one serving process, which executes its own runs."""
    storage = loaded.config.storage
    used = {reference.backend for reference in storage.stores.references().values()}
    files = sorted(name for name in used if storage.backends[name].type.endswith("_sqlite"))
    if files:
        names = ", ".join(f"storage.backends.{name}" for name in files)
        raise Failure(
            f"a worker shares databases with servers, and {names} cannot be shared: SQLite",
            "Use PostgreSQL and Redis as the distribution `postgres` does; a server with SQLite executes its own runs",
        )


async def _work(loaded: LoadedConfig, environ: dict[str, str], state_dir: Path) -> None:
    from llama_stack.cli.runner.signals import on_stop_signals
    from llama_stack.stack import Stack
    from llama_stack.telemetry.logs import get_logger, logging_settings, logs

    config = loaded.config
    config.server.runs.execute = True
    stop = _Stop(asyncio.current_task())
    with logs(logging_settings(config.logging, environ)), on_stop_signals(stop), stop.ends_quietly():
        async with Stack.open(config, state_dir=state_dir) as stack:
            log = get_logger("worker")
            for problem in [*loaded.warnings, *stack.problems]:
                log.warning("config_warning", reason=str(problem))
            if not config.server.secrets.all_keys and config.server.secrets.key_file is None:
                log.warning("config_warning", reason=_NO_COMMON_KEY)
            log.info("working", distro=config.distro_name, concurrent_max=config.server.runs.concurrent_max)
            if sys.stdout.isatty():
                print(f"Executing runs of {config.distro_name}. Ctrl-C stops.", flush=True)
            await stop.wanted()


_NO_COMMON_KEY = (
    "server.secrets has no key, so this worker can open the credentials of runs only if their servers have the same "
    "key file; configure server.secrets.key for all of them"
)


class _Stop:
    """The first signal lets the worker finish, or ends a start that hangs; a second one ends the finishing."""

    def __init__(self, task: asyncio.Task[None] | None) -> None:
        self._task = task
        self._wanted = asyncio.Event()
        self._working = False
        self._cancelled = False

    async def wanted(self) -> None:
        self._working = True
        await self._wanted.wait()

    def __call__(self, signum: int) -> None:
        if self._working and not self._wanted.is_set():
            self._wanted.set()
        elif not self._cancelled and self._task is not None:
            self._cancelled = True
            self._task.cancel()

    @contextmanager
    def ends_quietly(self) -> Iterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            if not self._cancelled:
                raise
