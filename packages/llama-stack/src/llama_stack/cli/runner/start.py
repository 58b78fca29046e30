"""The order of a start: config, address, port, then the slow part, in this process or in several."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llama_stack.cli.detect import PROBES, Probe, detect
from llama_stack.cli.failure import USAGE, Failure, report
from llama_stack.cli.runner.listen import Listener, listen, tls_context
from llama_stack.config import LoadedConfig, load_config
from llama_stack.config.locate import DEFAULT_DISTRIBUTION, locate, packaged_distributions
from llama_stack.config.paths import distribution_dir
from llama_stack.config.server import ServerConfig
from llama_stack.security.listening import OpenToTheNetwork, check_listening

if TYPE_CHECKING:
    from llama_stack.cli.runner.supervisor import WorkerSide
    from llama_stack.cli.runner.worker import Launch

MULTIPROC_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@dataclass(frozen=True, slots=True)
class Wishes:
    """The command line; None is what was not said."""

    config: str | None = None
    port: int | None = None
    host: str | None = None
    providers: str | None = None
    strict: bool = False
    allow_unauthenticated: bool = False


def start(wishes: Wishes) -> int:
    """Run until the server is told to stop; the exit code."""
    begun = time.monotonic()
    loaded, environ = load(wishes, os.environ)
    if wishes.strict:
        check_provider_settings(loaded, environ)
    server = loaded.config.server
    check_address(server, allow_unauthenticated=wishes.allow_unauthenticated)
    check_workers(loaded)
    tls_context(server)
    listener = listen(server.host, server.port)
    try:
        if server.workers == 1:
            return _one_worker(loaded, environ, listener, begun)
        return _several_workers(loaded, environ, listener, begun)
    finally:
        listener.close()


def load(
    wishes: Wishes, environ: Mapping[str, str], probes: Sequence[Probe] = PROBES
) -> tuple[LoadedConfig, dict[str, str]]:
    """The run config with what the command line changes, and the environment with what was found on this machine."""
    if wishes.config is not None and wishes.providers is not None:
        raise Failure("a config and --providers exclude each other", "Give one of them", exit_code=USAGE)
    seen = dict(environ)
    reference: str | Path | None = wishes.config
    if wishes.providers is not None:
        from llama_stack.cli.selection import chosen_providers, config_file
        from llama_stack.routing.catalog import Catalog

        catalog = Catalog()
        reference = config_file(chosen_providers(wishes.providers, catalog), catalog, seen)
    elif locate(reference, seen) == packaged_distributions().get(DEFAULT_DISTRIBUTION):
        seen |= {probe.variable: probe.url for probe in detect(seen, probes)}
    loaded = load_config(reference, environ=seen, strict=wishes.strict)
    said = {name: value for name, value in (("port", wishes.port), ("host", wishes.host)) if value is not None}
    loaded.config.server = loaded.config.server.model_copy(update=said)
    return loaded, seen


def check_address(server: ServerConfig, *, allow_unauthenticated: bool) -> None:
    authenticated = server.auth is not None and server.auth.provider_config is not None
    try:
        check_listening(server.host, authenticated=authenticated, allow_unauthenticated=allow_unauthenticated)
    except OpenToTheNetwork as error:
        raise Failure(str(error), "`llama stack keys new` makes a key and the lines to paste") from None


def check_provider_settings(loaded: LoadedConfig, environ: Mapping[str, str]) -> None:
    """`--strict`: what would only be reported of a provider stops the start."""
    from llama_stack.cli.configs import fail_on_errors, provider_problems

    fail_on_errors(provider_problems(loaded, environ), loaded.path, strict=True)


def check_workers(loaded: LoadedConfig) -> None:
    """A SQLite file has one serving process; several workers need a database that is a server."""
    storage, workers = loaded.config.storage, loaded.config.server.workers
    used = {reference.backend for reference in storage.stores.references().values()}
    files = sorted(name for name in used if storage.backends[name].type.endswith("_sqlite"))
    if workers > 1 and files:
        raise Failure(
            f"server.workers is {workers}, but {', '.join(f'storage.backends.{name}' for name in files)} "
            f"{'is a SQLite file' if len(files) == 1 else 'are SQLite files'}, which one process alone can serve",
            "Set server.workers to 1, or use PostgreSQL and Redis as the distribution `postgres` does",
        )


def _one_worker(loaded: LoadedConfig, environ: dict[str, str], listener: Listener, begun: float) -> int:
    from llama_stack.cli.runner.announce import Announcer
    from llama_stack.cli.runner.worker import run_worker

    run_worker(_launch(loaded, environ, listener), Announcer(loaded, environ, listener, begun))
    return 0


def _several_workers(loaded: LoadedConfig, environ: dict[str, str], listener: Listener, begun: float) -> int:
    with _metrics_directory():
        # After the directory is known and before the fork: what is imported here, workers share.
        from llama_stack.cli.runner.announce import Announcer
        from llama_stack.cli.runner.supervisor import Supervisor, SupervisorGaveUp
        from llama_stack.cli.runner.worker import run_worker
        from llama_stack.telemetry.metrics import forget_worker

        launch = _launch(loaded, environ, listener)
        announcer = Announcer(loaded, environ, listener, begun)

        def work(side: WorkerSide) -> int:
            try:
                quiet = side.number > 0 or side.restarted
                run_worker(launch, announcer.for_worker(side.ready, quiet=quiet), stop_when_readable=side.alive)
                return 0
            except Exception as error:  # noqa: BLE001 - the worker's boundary
                return report(error)

        server = loaded.config.server
        supervisor = Supervisor(
            work, server.workers, grace_s=server.shutdown_grace_s, note=announcer.note, on_exit=forget_worker
        )
        try:
            supervisor.run()
        except SupervisorGaveUp as error:
            raise Failure(str(error), "What it said before it ended stands above") from None
        return 0


def _launch(loaded: LoadedConfig, environ: dict[str, str], listener: Listener) -> Launch:
    from llama_stack.cli.runner.worker import Launch

    return Launch(loaded.config, distribution_dir(loaded.config.distro_name, environ), listener, environ)


@contextmanager
def _metrics_directory() -> Iterator[None]:
    """An empty directory in which workers share their metrics; ours goes at the end, a given one stays."""
    given = os.environ.get(MULTIPROC_VARIABLE)
    directory = Path(given) if given else Path(tempfile.mkdtemp(prefix="llama-stack-metrics-"))
    directory.mkdir(parents=True, exist_ok=True)
    for stale in directory.glob("*.db"):
        stale.unlink()
    os.environ[MULTIPROC_VARIABLE] = str(directory)
    try:
        yield
    finally:
        if given is None:
            del os.environ[MULTIPROC_VARIABLE]
            shutil.rmtree(directory, ignore_errors=True)
