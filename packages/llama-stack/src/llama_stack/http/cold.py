"""The routes that are not on a hot path: behind FastAPI, which is imported and built when the first request needs it.

Importing it and building the OpenAPI types takes a quarter of a second and 20 MB, which neither a start nor a server
that only relays should pay for. It is done in a thread, so that requests on hot paths go on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llama_stack.http.asgi import Message
from llama_stack.http.dispatch import SCOPE_KEY, Operation
from llama_stack.http.exchange import Exchange
from llama_stack.http.multipart import is_form
from llama_stack.services.json_depth import check_depth
from llama_stack.services.parsing import check_json

if TYPE_CHECKING:
    from llama_stack.http.documented import DocumentedApp
    from llama_stack.stack.services import Services


class ColdRoutes:
    def __init__(self, services: Services, operations: Sequence[Operation]) -> None:
        self._services = services
        self._operations = operations
        self._app: DocumentedApp | None = None
        self._building: asyncio.Task[DocumentedApp] | None = None

    async def __call__(self, exchange: Exchange) -> None:
        # A form is left for its route to read as it comes: it may hold more than fits into memory.
        if not is_form(exchange.headers):
            body = await exchange.read_body()
            if exchange.is_json:
                check_depth(body, exchange.limits.json_depth_max)
                check_json(body)
        app = self._app or await self.app()
        if exchange.path == app.openapi_url:
            await asyncio.to_thread(app.openapi)
        # A HEAD is answered as a GET; that the body stays away is the server's doing.
        method = "GET" if exchange.method == "HEAD" else exchange.method
        scope = {**exchange.scope, SCOPE_KEY: exchange, "method": method}
        try:
            await app(scope, _Replay(exchange), exchange.forward_send)
        finally:
            exchange.route = getattr(scope.get("route"), "path", "")

    async def app(self) -> DocumentedApp:
        """Built once, however many ask at the same time and whoever of them hangs up."""
        if self._building is None:
            self._building = asyncio.create_task(asyncio.to_thread(self.build))
        self._app = await asyncio.shield(self._building)
        return self._app

    def build(self) -> DocumentedApp:
        from llama_stack.http.documented import documented_app

        return documented_app(self._services, self._operations)


class _Replay:
    """`receive` for a body that is read by the exchange, at once and within its limits. The client's hang-up is watched
    elsewhere."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange: Exchange | None = exchange

    async def __call__(self) -> Message:
        if self._exchange is None:
            await asyncio.get_running_loop().create_future()
        assert self._exchange is not None
        exchange, self._exchange = self._exchange, None
        return {"type": "http.request", "body": await exchange.read_body(), "more_body": False}
