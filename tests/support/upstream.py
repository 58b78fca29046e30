"""A model provider on loopback: a real HTTP server that speaks OpenAI's API by script and records what it is asked.

    async with Upstream() as up:
        up.reply(text("Hello"))                                # the next request, whatever it is
        up.reply(rate_limited("3"), on="/chat/completions")    # the next request to a path that ends so
        up.always(text("Hi", wire=Wire(split_bytes=3)))        # whenever no scripted reply is left
        ...                                                    # call up.base_url
        assert up.last.body["model"] == "m"
        await up.last.wait_hung_up()

Without a script it answers chat, completions, embeddings, rerank and models sensibly, and 404 to all else. It listens
on a port that the system picks and runs in a thread with an event loop of its own, so that it works for tests, for
servers in other processes (`python -m tests.support.upstream` prints its address) and for benchmarks alike.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tests.support.upstream_errors import SHAPES, context_too_long, error, rate_limited
from tests.support.upstream_replies import Say, Tool, calls, embeddings, models, ranking, text
from tests.support.upstream_wire import Answer, Cut, Part, Pause, Stall, Wire

__all__ = [
    "Answer",
    "Cut",
    "Pause",
    "Recorded",
    "Reply",
    "SHAPES",
    "Say",
    "Stall",
    "Tool",
    "Upstream",
    "Wire",
    "calls",
    "context_too_long",
    "embeddings",
    "error",
    "models",
    "ranking",
    "rate_limited",
    "text",
]

WAIT_S = 5.0


@dataclass(slots=True)
class Recorded:
    """A request as it arrived. `headers` have lower-case names; `body` is parsed JSON, None if there is none."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes
    body: Any
    connection: int
    at: float = field(default_factory=time.monotonic)
    _end: Future[bool] = field(default_factory=Future)

    @property
    def hung_up(self) -> bool:
        """The client closed the connection before the reply was complete."""
        return self._end.done() and self._end.result()

    @property
    def finished(self) -> bool:
        """The reply went out as scripted (a scripted cut included)."""
        return self._end.done() and not self._end.result()

    async def wait_hung_up(self, timeout_s: float = WAIT_S) -> float:
        """Waits until the client hangs up; the seconds since the request arrived."""
        hung_up = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._end)), timeout_s)
        assert hung_up, "the reply went out completely; nobody hung up"
        return time.monotonic() - self.at

    def end(self, *, hung_up: bool) -> None:
        if not self._end.done():
            self._end.set_result(hung_up)


Reply: TypeAlias = Answer | Callable[[Recorded], Answer]


class Upstream:
    """The server; a context manager, async or plain. `base_url` ends in `/v1`, `url` does not."""

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self.connections = 0
        self.defaults: Mapping[str, Reply] = _DEFAULTS
        self._script: deque[tuple[str, Reply]] = deque()
        self._standing: dict[str, Reply] = {}
        self._port = 0
        self.dying = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping: asyncio.Event | None = None
        self._state = ServerState()
        self._by_peer: dict[tuple[str, int], _Connection] = {}

    # Script

    def reply(self, *replies: Reply, on: str = "") -> None:
        """The next request whose path ends in `on` gets the first reply that waits for it."""
        self._script.extend((on, reply) for reply in replies)

    def always(self, reply: Reply, on: str = "") -> None:
        """Every request whose path ends in `on`, whenever no scripted reply waits for it. The longest `on` wins."""
        self._standing[on] = reply

    def reset(self) -> None:
        """Forget script and records."""
        self.requests.clear()
        self._script.clear()
        self._standing.clear()

    # Facts

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def last(self) -> Recorded:
        return self.requests[-1]

    @property
    def open_connections(self) -> int:
        return len(self._state.connections)

    async def wait_requests(self, count: int, timeout_s: float = WAIT_S) -> list[Recorded]:
        """Waits until so many requests have arrived since the start or `reset()`."""
        deadline = time.monotonic() + timeout_s
        while len(self.requests) < count:
            assert time.monotonic() < deadline, f"{len(self.requests)} of {count} requests arrived in {timeout_s} s"
            await asyncio.sleep(0.002)
        return self.requests

    # Life

    def start(self) -> Upstream:
        """Listen; after `stop()`, on the same port again."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self._port))
        sock.listen(1024)
        self._port = int(sock.getsockname()[1])
        self.dying = False
        ready = threading.Event()
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            lifespan="off",
            ws="none",
            proxy_headers=False,
            log_config=None,
            log_level="critical",
            timeout_keep_alive=60,
        )
        self._thread = threading.Thread(target=self._run, args=(config, sock, ready), name="upstream", daemon=True)
        self._thread.start()
        assert ready.wait(WAIT_S), "the upstream did not start"
        return self

    def stop(self) -> None:
        """Stop listening and drop every connection at once, as a killed process does."""
        if self._thread is None or self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the upstream did not stop"
        self._thread = None

    def __enter__(self) -> Upstream:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Upstream:
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, config: uvicorn.Config, sock: socket.socket, ready: threading.Event) -> None:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(self._serve(config, sock, ready))

    async def _serve(self, config: uvicorn.Config, sock: socket.socket, ready: threading.Event) -> None:
        config.load()
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await self._loop.create_server(lambda: _Connection(config, self._state, self), sock=sock, backlog=1024)
        ready.set()
        await self._stopping.wait()
        self.dying = True
        server.close()
        # Connections that were accepted just now come up one by one; the loop must not close under any of them.
        while self._by_peer or self._state.tasks:
            for connection in list(self._by_peer.values()):
                connection.transport.abort()
            for task in list(self._state.tasks):
                task.cancel()
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    # One request

    async def _app(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        request = await self._record(scope, receive)
        try:
            answer = self._answer_to(request)
        except Exception:  # a mistake in a test's script: say so, for the client only sees a 500
            traceback.print_exc()
            raise
        gone = asyncio.create_task(receive())
        self._state.tasks.add(gone)
        gone.add_done_callback(self._state.tasks.discard)
        try:
            complete = await self._send(answer, send, gone, self._by_peer[scope["client"]])
            request.end(hung_up=not complete)
        finally:
            gone.cancel()

    async def _record(self, scope: Mapping[str, Any], receive: Any) -> Recorded:
        raw = bytearray()
        more = True
        while more:
            message = await receive()
            raw += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        connection = self._by_peer[scope["client"]].number
        request = Recorded(scope["method"], scope["path"], query, headers, bytes(raw), _parsed(raw), connection)
        self.requests.append(request)
        return request

    def _answer_to(self, request: Recorded) -> Answer:
        for waiting in self._script:
            if request.path.endswith(waiting[0]):
                self._script.remove(waiting)
                return _rendered(waiting[1], request)
        fitting = [on for on in self._standing if request.path.endswith(on)]
        if fitting:
            return _rendered(self._standing[max(fitting, key=len)], request)
        for on, reply in self.defaults.items():
            if request.path.endswith(on):
                return _rendered(reply, request)
        return error(404, f"Nothing is at {request.method} {request.path}.", code="not_found")

    async def _send(self, answer: Answer, send: Any, gone: asyncio.Task[Any], connection: _Connection) -> bool:
        """False if the client hung up before the end."""
        for step in answer.before:
            if not await _wait(step, gone, connection):
                return isinstance(step, Cut)
        headers = dict(answer.headers)
        if answer.length is not None:
            headers["content-length"] = str(answer.length)
        head = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": head})
        last = len(answer.parts) - 1
        for position, part in enumerate(answer.parts):
            if gone.done():
                return False
            if isinstance(part, bytes):
                await send({"type": "http.response.body", "body": part, "more_body": position < last})
            elif not await _wait(part, gone, connection):
                return isinstance(part, Cut)
        if last < 0 or not isinstance(answer.parts[last], bytes):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        return True


class _Connection(HttpToolsProtocol):
    def __init__(self, config: uvicorn.Config, state: ServerState, upstream: Upstream) -> None:
        super().__init__(config, state, {})
        self._upstream = upstream
        upstream.connections += 1
        self.number = upstream.connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        assert self.client is not None
        self._upstream._by_peer[self.client] = self
        if self._upstream.dying:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        # The dead do not answer, not even with a 400.
        if not self._upstream.dying:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        assert self.client is not None
        self._upstream._by_peer.pop(self.client, None)


async def _wait(step: Part, gone: asyncio.Task[Any], connection: _Connection) -> bool:
    """True if the reply goes on."""
    if isinstance(step, Cut):
        connection.transport.close()
        await asyncio.wait({gone})
        return False
    seconds = step.seconds if isinstance(step, Pause) else None
    await asyncio.wait({gone}, timeout=seconds)
    return not gone.done()


def _rendered(reply: Reply, request: Recorded) -> Answer:
    return reply if isinstance(reply, Answer) else reply(request)


def _parsed(raw: bytes | bytearray) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


_DEFAULTS: Mapping[str, Reply] = {
    "/completions": text("Hello from the upstream."),
    "/embeddings": embeddings(),
    "/embed": embeddings(),
    "/models": models("upstream-model"),
    "/rerank": ranking(),
}


if __name__ == "__main__":
    with Upstream() as upstream:
        print(upstream.base_url, flush=True)
        sys.stdin.read()
