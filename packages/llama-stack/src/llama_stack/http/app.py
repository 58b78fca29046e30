"""The HTTP edge: an ASGI application that admits, authenticates, dispatches, and renders whatever goes wrong.

uvicorn → (CORS) → Edge: request id → admission → client version → host → authentication → handler
"""

from __future__ import annotations

import asyncio
import os
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from llama_stack.config.server import ServerConfig
from llama_stack.http.asgi import ASGIApp, Message, Receive, Scope, Send
from llama_stack.http.cold import ColdRoutes
from llama_stack.http.dispatch import API_OF_TAG, HotTable, Operation, hot_table
from llama_stack.http.errors import InternalError
from llama_stack.http.exchange import CLIENT_GONE, Exchange, Stop, Stopped
from llama_stack.http.middleware.admission import Admission
from llama_stack.http.middleware.client_version import DISABLED_BY as VERSION_CHECK_DISABLED_BY
from llama_stack.http.middleware.client_version import ClientVersionCheck
from llama_stack.http.middleware.cors import with_cors
from llama_stack.http.middleware.host import HostCheck
from llama_stack.http.middleware.request_id import request_id
from llama_stack.http.routes.admin import admin_operations
from llama_stack.http.routes.inference import inference_operations
from llama_stack.http.routes.message_batches import message_batch_operations
from llama_stack.http.routes.messages import message_operations
from llama_stack.http.routes.metrics import metrics_operations
from llama_stack.http.routes.models import model_operations
from llama_stack.http.routes.moderations import moderation_operations
from llama_stack.http.routes.responses import PATH as RESPONSES_PATH
from llama_stack.http.routes.responses import response_operations
from llama_stack.http.routes.root import root_operations
from llama_stack.http.websocket import ResponseSocket, SocketTurn, origin_allowed
from llama_stack.security.authentication import WRONG_KEY
from llama_stack.security.listening import is_loopback
from llama_stack.security.public import PUBLIC_PATHS
from llama_stack.stack.services import Services
from llama_stack.telemetry.access import AccessLog
from llama_stack.telemetry.logs import get_logger
from llama_stack_api.errors import LlamaStackError, Overloaded, ProviderTimeout, RequestTimeout, Unauthenticated

ALWAYS_ADMITTED = PUBLIC_PATHS | {"/metrics"}
LAST_WORDS_S = 2.0
"""How long a stopped exchange may take to tell its client why."""
UNMATCHED = "unmatched"
Caller: TypeAlias = tuple[str, str]
"""Tenant and id of a principal."""
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"})


class Edge:
    """`drain` is for the server that runs it: see `serving.py`."""

    def __init__(
        self,
        services: Services,
        server: ServerConfig,
        *,
        access_log: AccessLog | None,
        check_version: ClientVersionCheck | None,
    ) -> None:
        self._limits = server.limits
        self._authenticate = services.authenticator.authenticate
        self._metrics = services.metrics
        self._check_version = check_version
        self._check_host = _host_check(server)
        self._log = get_logger("http")
        self._access_log = access_log
        self.operations = hot_operations(services)
        self.hot: HotTable = hot_table(
            [each for each in self.operations if services.admin.serves(API_OF_TAG[each.tag])]
        )
        self.cold = ColdRoutes(services, self.operations)
        self.admission = Admission(server.limits, always=ALWAYS_ADMITTED, report=services.metrics.concurrent_requests)
        self._creation = services.responses.creation
        self.socket_limits = server.websocket
        self._sockets: Counter[Caller] = Counter()
        self._cors_policy = policy = server.cors_policy
        self._outermost: ASGIApp = self._serve if policy is None else with_cors(self._serve, policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._outermost(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._not_http(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        exchange = Exchange(scope, receive, send, self._limits, loop)
        exchange.request_id = request_id(exchange.headers)
        try:
            self.admission.enter(exchange, loop)
            if self._check_version is not None:
                self._check_version(exchange.headers)
            if exchange.path not in PUBLIC_PATHS:
                if self._check_host is not None:
                    self._check_host(exchange.headers)
                exchange.principal = self._authenticate(exchange.headers)
            handler = self.hot.get((exchange.method, exchange.path))
            if handler is None and exchange.method == "HEAD":
                handler = self.hot.get(("GET", exchange.path))
            if handler is None:
                await self.cold(exchange)
            else:
                exchange.route = exchange.path
                await handler(exchange)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the boundary of every request
            await self._failed(exchange, error)
        finally:
            self._done(exchange)

    async def drain(self, grace_s: float) -> int:
        """Refuse new requests and wait for those that run; after `grace_s` stop the rest and return their number."""
        return await self.admission.drain(grace_s)

    async def _failed(self, exchange: Exchange, error: Exception | asyncio.CancelledError) -> None:
        if isinstance(error, asyncio.CancelledError):
            if exchange.stop is None or exchange.task is None:
                raise error
            exchange.task.uncancel()
        exchange.finished = True
        if exchange.stop is Stop.HANG_UP or isinstance(error, Stopped):
            exchange.status = CLIENT_GONE
            return
        shown = self._shown(exchange, error)
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await exchange.send_error(shown)
        except TimeoutError:
            await exchange.abort()

    def _shown(self, exchange: Exchange, error: Exception | asyncio.CancelledError) -> LlamaStackError:
        if exchange.stop is Stop.TIMEOUT:
            return timed_out(exchange)
        if exchange.stop is Stop.SHUTDOWN:
            return Overloaded("The server shut down before the request was done.", code="shutting_down")
        if isinstance(error, LlamaStackError):
            return error
        # format_exception shows no local variables, which may hold prompts and keys.
        self._log.error(
            "request_failed",
            request_id=exchange.request_id.decode(),
            method=exchange.method,
            route=exchange.route or UNMATCHED,
            exception="".join(traceback.format_exception(error)),
        )
        return InternalError(exchange.request_id.decode())

    def _done(self, exchange: Exchange) -> None:
        exchange.finished = True
        self.admission.leave(exchange)
        duration_s = exchange.elapsed_s()
        method = exchange.method if exchange.method in METHODS else "OTHER"
        self._metrics.request_done(exchange.route or UNMATCHED, method, exchange.status, duration_s)
        if self._access_log is not None:
            self._access_log.add(
                exchange.request_id,
                exchange.method,
                exchange.path,
                exchange.status,
                duration_s,
                exchange.principal.id,
                exchange.error.code if exchange.error is not None else None,
            )

    async def _not_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Closed to whoever is nobody we know, like everything else."""
        await receive()
        headers = dict(scope["headers"])
        try:
            if self._check_host is not None:
                self._check_host(headers)
            principal = self._authenticate(headers)
        except LlamaStackError as error:
            await send({"type": "websocket.close", "code": 3000, "reason": error.message})
            return
        caller = principal.tenant, principal.id
        if (refusal := self._refused_socket(scope["path"], headers, caller)) is not None:
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
            return
        self._sockets[caller] += 1
        try:
            await ResponseSocket(
                scope,
                receive,
                send,
                principal=principal,
                creation=self._creation,
                serve_turn=self._serve_turn,
                request_limits=self._limits,
                limits=self.socket_limits,
            ).serve()
        finally:
            self._sockets[caller] -= 1
            self._sockets += Counter()  # without those that have none

    def _refused_socket(self, path: str, headers: Mapping[bytes, bytes], caller: Caller) -> str | None:
        if ("POST", path) not in self.hot or path != RESPONSES_PATH:
            return "There is no such WebSocket route."
        if not origin_allowed(headers, self._cors_policy):
            return "Pages of this origin may not connect; server.cors says which may."
        limits = self.socket_limits
        if self._sockets.total() >= limits.connections_max:
            return "Too many connections; server.websocket.connections_max allows more."
        if limits.connections_per_caller_max is not None and self._sockets[caller] >= limits.connections_per_caller_max:
            return "Too many connections of yours; server.websocket.connections_per_caller_max allows more."
        return None

    async def _serve_turn(self, turn: SocketTurn, respond: Callable[[], Awaitable[None]]) -> None:
        """As `_serve`, for a client that was let in already, and whose key may be gone since."""
        try:
            self.admission.enter(turn, asyncio.get_running_loop())
            known = self._authenticate(turn.headers)
            if (known.tenant, known.id) != (turn.principal.tenant, turn.principal.id):
                raise Unauthenticated(WRONG_KEY)
            turn.principal = known
            await respond()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the boundary of every turn
            await self._failed(turn, error)
        finally:
            self._done(turn)


def hot_operations(services: Services) -> list[Operation]:
    return [
        *inference_operations(services.inference),
        *response_operations(services.responses),
        *message_operations(services.messages),
        *message_batch_operations(services.message_batches),
        *model_operations(services.models),
        *moderation_operations(services.moderations),
        *root_operations(),
        *admin_operations(services.admin),
        *metrics_operations(services.metrics),
    ]


def _host_check(server: ServerConfig) -> HostCheck | None:
    authenticated = server.auth is not None and server.auth.provider_config is not None
    return HostCheck(server.host) if is_loopback(server.host) and not authenticated else None


def timed_out(exchange: Exchange) -> LlamaStackError:
    limits = exchange.limits
    if exchange.reading:
        return RequestTimeout(
            _body_timed_out(exchange),
            # Else a client could go on sending a byte now and then, and keep the connection for as long as it likes.
            headers={"connection": "close"},
        )
    if exchange.status:
        return ProviderTimeout(
            f"The stream stood still for {limits.stream_idle_timeout_s:g} seconds; "
            "server.limits.stream_idle_timeout_s raises that limit.",
            code="stream_stalled",
        )
    return ProviderTimeout(
        f"There was no answer within {limits.request_timeout_s:g} seconds; server.limits.request_timeout_s raises that "
        "limit.",
        code="request_timeout",
    )


def _body_timed_out(exchange: Exchange) -> str:
    idle_s, whole_s = exchange.limits.body_timeout_s, exchange.body_timeout_s
    if whole_s is None:
        return f"The body did not arrive within {idle_s:g} seconds; server.limits.body_timeout_s raises that limit."
    if exchange.elapsed_s() < whole_s:
        return f"The body stood still for {idle_s:g} seconds; server.limits.body_timeout_s raises that limit."
    return f"The body did not arrive within {whole_s:g} seconds; server.files.upload_timeout_s raises that limit."


async def _lifespan(receive: Receive, send: Send) -> None:
    # The stack is opened and closed by whoever makes the application, which has to know whether that worked.
    while True:
        message: Message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return


def create_app(
    services: Services,
    server: ServerConfig,
    *,
    access_log: AccessLog | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Edge:
    """An ASGI application. `environ` is read now, not with each request."""
    checked = not environ.get(VERSION_CHECK_DISABLED_BY)
    return Edge(
        services,
        server,
        access_log=access_log,
        check_version=ClientVersionCheck(services.admin.version().version) if checked else None,
    )
