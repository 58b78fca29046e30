"""One serving process: opens the stack, answers until it is told to stop, drains, closes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from llama_stack.cli.runner.listen import Listener, tls_context
from llama_stack.cli.runner.protocol import bounded_protocol
from llama_stack.cli.runner.signals import on_stop_signals
from llama_stack.config import RunConfig
from llama_stack.http.app import Edge, create_app
from llama_stack.http.serving import DrainingServer, serving
from llama_stack.http.warm_up import warm_up
from llama_stack.stack import Stack
from llama_stack.telemetry.logs import get_logger, logging_settings, logs

SLOW_START_S = 1.5
"""After so long the log says what a start waits for."""
GC_YOUNG_MAX = 10_000
"""Container objects until the collector looks at the young ones; concurrent requests hold more than the default 700."""


@dataclass(frozen=True, slots=True)
class Launch:
    """All that a worker needs, made once, before any process is forked: secrets stay in memory."""

    config: RunConfig
    state_dir: Path
    listener: Listener
    environ: dict[str, str]


Ready: TypeAlias = Callable[[Stack], Awaitable[None]]


def run_worker(launch: Launch, on_ready: Ready, *, stop_when_readable: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT; a second SIGINT does not wait for running requests.

    `stop_when_readable` is a pipe from the supervisor: it ends when the supervisor does, and then so do we.
    """
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(launch, on_ready, stop_when_readable))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(launch: Launch, on_ready: Ready, stop_when_readable: int | None) -> None:
    stop = _Stop(asyncio.current_task())
    with (
        logs(logging_settings(launch.config.logging, launch.environ)) as log,
        on_stop_signals(stop),
        stop.when_readable(stop_when_readable),
        stop.ends_quietly(),
    ):
        slow = asyncio.get_running_loop().call_later(SLOW_START_S, _say_what_takes_long)
        async with Stack.open(launch.config, state_dir=launch.state_dir) as stack:
            slow.cancel()
            edge = create_app(
                stack.services,
                launch.config.server,
                access_log=log.access,
                environ=launch.environ,
            )
            server = Server(edge, launch, lambda: on_ready(stack))
            stop.reaches(server)
            settle()
            await server.serve(sockets=list(launch.listener.sockets))


def _say_what_takes_long() -> None:
    get_logger("server").info("still opening storage and providers; a database may not answer, or is being migrated")


def settle() -> None:
    """What start-up made stays: the collector need not walk through it again and again (7 % of a chat's CPU), nor
    once: there is next to no garbage in it."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(GC_YOUNG_MAX)


class Server(DrainingServer):
    """Leaves signals to whoever runs it, says when it serves, and can be told not to wait for running requests."""

    def __init__(self, edge: Edge, launch: Launch, on_started: Callable[[], Awaitable[None]]) -> None:
        config = launch.config.server
        context = tls_context(config)
        options: dict[str, Any] = {
            "http": bounded_protocol(config.limits.header_bytes_max),
            "interface": "asgi3",
            "log_level": "warning",
        }
        if context is not None:
            options["ssl_context_factory"] = lambda config, default: context
        super().__init__(serving(edge, config, **options).config, edge, config.shutdown_grace_s)
        self._on_started = on_started
        self.impatient = asyncio.Event()

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        await self._on_started()
        warm_up(asyncio.get_running_loop())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        closing = asyncio.create_task(super().shutdown(sockets), name="shutdown")
        hurry = asyncio.create_task(self.impatient.wait(), name="impatience")
        await asyncio.wait((closing, hurry), return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if self.impatient.is_set():
            closing.cancel()
        await asyncio.gather(closing, hurry, return_exceptions=True)


class _Stop:
    """The wish to stop, from whatever side: a signal, or the end of the supervisor. It ends a start that hangs, too."""

    def __init__(self, starting: asyncio.Task[None] | None) -> None:
        self._starting = starting
        self._wanted = False
        self._server: Server | None = None

    def reaches(self, server: Server) -> None:
        """From here on the server is asked to stop, and drains."""
        self._server = server

    def __call__(self, signum: int = signal.SIGTERM) -> None:
        if self._server is not None:
            self._server.should_exit = True
            if self._wanted and signum == signal.SIGINT:
                self._server.impatient.set()
        elif self._starting is not None:
            self._starting.cancel()
        self._wanted = True

    @contextmanager
    def ends_quietly(self) -> Iterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            if not self._wanted:
                raise

    @contextmanager
    def when_readable(self, descriptor: int | None) -> Iterator[None]:
        if descriptor is None:
            yield
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, self._supervisor_gone, loop, descriptor)
        try:
            yield
        finally:
            loop.remove_reader(descriptor)

    def _supervisor_gone(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        loop.remove_reader(descriptor)
        self()
