"""A vector engine behind HTTP and JSON, and what its statuses mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

import msgspec
from pydantic import SecretStr

from llama_stack.dialects.openai.errors import UNREADABLE, retry_after_s
from llama_stack.providers._shared.keyed_service import Said
from llama_stack_api.errors import (
    LlamaStackError,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderTimeout,
    RateLimited,
)
from llama_stack_api.ports.http import HttpClient, HttpReply

ERROR_BYTES_MAX = 16 * 1024
PIECE_BYTES = 256 * 1024
"""A longer body goes out in pieces, between which others have their turn."""


class EngineHttp:
    """`headers` may hold credentials. `timeout_s` is for a whole exchange."""

    def __init__(
        self, client: HttpClient, name: str, base_url: str, headers: Mapping[str, SecretStr], timeout_s: float
    ) -> None:
        self._client = client
        self._name = name
        self._base_url = base_url.rstrip("/")
        self._headers = {key: value.get_secret_value() for key, value in headers.items()}
        self._timeout_s = timeout_s

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        lines: bool = False,
        accept: Collection[int] = (),
    ) -> tuple[int, Any]:
        """The status, and the body parsed. A status other than of success is an error, unless it is in `accept`.
        `lines`: the body is a list, sent as one JSON value a line."""
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        headers = dict(self._headers)
        data: bytes | AsyncIterator[bytes] | None = None
        if body is not None:
            encoded = _lines(body) if lines else msgspec.json.encode(body)
            data = encoded if len(encoded) <= PIECE_BYTES else _pieces(encoded)
            headers["Content-Length"] = str(len(encoded))
            headers["Content-Type"] = "application/x-ndjson" if lines else "application/json"
        reply = await self._client.send(method, self._base_url + path, headers=headers, body=data, deadline=deadline)
        try:
            async with asyncio.timeout_at(deadline):
                if not 200 <= reply.status < 300 and reply.status not in accept:
                    raise self._refusal(reply, await _error_body(reply))
                return reply.status, self._parsed(await reply.read())
        except TimeoutError:
            raise ProviderTimeout(f"Provider '{self._name}' did not answer in time.") from None

    def _parsed(self, body: bytes) -> Any:
        if not body:
            return None
        try:
            return msgspec.json.decode(body)
        except UNREADABLE:
            raise ProviderError(f"Provider '{self._name}' answered with something that is not JSON.") from None

    def _refusal(self, reply: HttpReply, body: bytes) -> LlamaStackError:
        status, named = reply.status, f"Provider '{self._name}'"
        match status:
            case 401 | 403:
                return ProviderRejectedCredentials(
                    f"{named} refused the credentials (HTTP {status}). Check them in the run config.",
                    upstream_status=status,
                )
            case 408 | 504:
                return ProviderTimeout(f"{named} did not answer in time (HTTP {status}).", upstream_status=status)
            case 429:
                return RateLimited(f"{named} is asked too often.", retry_after_s=retry_after_s(reply.headers))
        said = Said.of_body(body, "")
        text = said.text
        for secret in self._headers.values():
            text = text.replace(secret, "***") if secret else text
        words = f": {text}" if text and status < 500 else "."
        return ProviderError(f"{named} refused the request (HTTP {status}){words}", upstream_status=status)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]


def _lines(body: list[Any]) -> bytes:
    return b"".join(msgspec.json.encode(line) + b"\n" for line in body)


async def _error_body(reply: HttpReply) -> bytes:
    try:
        return await reply.read(ERROR_BYTES_MAX)
    except ProviderError:  # too large, or broken off: the status says enough
        return b""
