"""Running the edge on uvicorn, with a shutdown that drains. Sockets and TLS are the caller's."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from llama_stack.http.app import Edge

if TYPE_CHECKING:
    from llama_stack.config.server import ServerConfig

KEEP_ALIVE_S = 75
BACKLOG = 2048
CANCEL_AFTER_DRAIN_S = 2


class DrainingServer(uvicorn.Server):
    """On a signal it refuses new requests with 503 and Retry-After while running ones finish, then closes."""

    def __init__(self, config: uvicorn.Config, edge: Edge, grace_s: float) -> None:
        super().__init__(config)
        self._edge = edge
        self._grace_s = grace_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # The listener stays open meanwhile: a refusal that says "later" is better than a refused connection.
        if not self.force_exit:
            await self._edge.drain(self._grace_s)
        await super().shutdown(sockets)


def _websocket(**options: Any) -> asyncio.Protocol:
    """Stands for uvicorn's class, whose library is loaded when the first client asks for a WebSocket."""
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    return WebSocketsSansIOProtocol(**options)


def serving(edge: Edge, server: ServerConfig, **options: Any) -> DrainingServer:
    """A server for `edge`, not yet started: `await serving(…).serve()`. `options` are uvicorn's and win."""
    settings: dict[str, Any] = {
        "host": server.host,
        "port": server.port,
        "http": HttpToolsProtocol,
        "ws": _websocket,
        "ws_max_size": server.limits.body_bytes_max,
        "loop": "auto",
        "lifespan": "off",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "backlog": BACKLOG,
        "timeout_keep_alive": KEEP_ALIVE_S,
        "timeout_graceful_shutdown": CANCEL_AFTER_DRAIN_S,
        **options,
    }
    return DrainingServer(uvicorn.Config(edge, **settings), edge, server.shutdown_grace_s)
