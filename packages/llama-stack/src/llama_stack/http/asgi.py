"""ASGI's shapes, as far as the server uses them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

ABORT = "llama_stack.abort"
"""The scope's extension, where the server has it, that drops the connection with what waits to be sent: a function
without arguments."""
ON_HANG_UP = "llama_stack.on_hang_up"
"""The scope's extension, where the server has it, that calls a function when the connection is lost. Cheaper than a
task that waits for `http.disconnect`."""
