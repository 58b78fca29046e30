"""One line of a batch, carried out against our own services as a request of its owner would be."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import BaseModel

from llama_stack.services.batches.pace import Pace
from llama_stack.services.batches.usage import usage_of
from llama_stack.services.json_depth import check_depth
from llama_stack.services.parsing import parse
from llama_stack.storage.sql.batch_records import LineUsage
from llama_stack_api.errors import InvalidRequest, LlamaStackError, ProviderTimeout, UnsupportedParameter
from llama_stack_api.principal import Call

log: Final = logging.getLogger(__name__)

_WITHOUT_STREAM = ("stream", "background")
"""What asks for another way of answering than the one that a batch has."""


@dataclass(frozen=True, slots=True)
class LineReply:
    """What a client would have got: status and JSON body, an error's too, in the shape of the endpoint's API."""

    status: int
    body: bytes
    request_id: str
    usage: LineUsage | None = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One of the endpoints that lines can name.

    `request()` is the type of their bodies, imported when it is first asked for.
    `serve(request, call, key)` answers whole, `key` being the same whenever the same attempt is made again.
    `lane(request, call)` names whose pace it goes at. `refused(error, request_id)` is the reply that an error is.
    `timed` is False where the answer has time limits of its own.
    """

    request: Callable[[], type[BaseModel]]
    serve: Callable[[Any, Call, str], Awaitable[bytes]]
    lane: Callable[[Any, Call], Awaitable[str]]
    refused: Callable[[LlamaStackError, str], LineReply]
    timed: bool = True


@dataclass(frozen=True, slots=True)
class LineLimits:
    """`bytes_max` of a request and of an answer; `timeout_s` for one attempt at an answer."""

    bytes_max: int
    depth_max: int
    timeout_s: float


class LineRunner:
    """`endpoints` by their path (`/v1/chat/completions`)."""

    def __init__(self, endpoints: Mapping[str, Endpoint], pace: Pace, limits: LineLimits) -> None:
        self._endpoints = endpoints
        self._pace = pace
        self._limits = limits

    def refused(self, endpoint: str, error: LlamaStackError, request_id: str) -> LineReply:
        """What a line is answered that cannot even be tried."""
        return self._endpoints[endpoint].refused(error, request_id)

    async def run(self, endpoint: str, request: bytes, call: Call, *, batch: str, line: int) -> LineReply | None:
        """The answer to one line, be it an error; None if there was none before `call.deadline`, the batch's. It
        raises nothing but cancellation.

        Carried out again after a crash, a response that the line began is found, not begun anew.
        """
        request_id = f"req_{secrets.token_hex(16)}"
        known = self._endpoints[endpoint]
        call = replace(call, request_id=request_id)
        try:
            return await self._run(known, request, call, batch, f"{batch}:{line}")
        except LlamaStackError as error:
            return known.refused(error, request_id)
        except Exception:  # the boundary of a line: it must not take the others along
            log.exception("line %d of batch %s failed, request id %s", line, batch, request_id)
            told = f"The server failed to handle the request. Its log says why, under request id {request_id}."
            return known.refused(LlamaStackError(told), request_id)

    async def _run(self, endpoint: Endpoint, request: bytes, call: Call, batch: str, key: str) -> LineReply | None:
        parsed = self._parsed(endpoint, request)

        async def attempt(number: int) -> bytes:
            # A response that was refused for now would be found again under the same key.
            return await self._serve(endpoint, parsed, call, f"{key}:{number}" if number else key)

        lane = await endpoint.lane(parsed, call)
        try:
            body = await self._pace.carry_out(lane, batch, call.deadline, attempt)
        except ProviderTimeout:
            if call.deadline is None or asyncio.get_running_loop().time() < call.deadline:
                raise
            body = None
        if body is None:
            return None
        if len(body) > self._limits.bytes_max:
            raise LlamaStackError(
                f"The answer has {len(body)} bytes; server.batches.line_bytes_max allows more than "
                f"{self._limits.bytes_max}.",
                code="answer_too_large",
            )
        return LineReply(200, body, call.request_id, usage_of(body))

    async def _serve(self, endpoint: Endpoint, parsed: BaseModel, call: Call, key: str) -> bytes:
        if not endpoint.timed:
            return await endpoint.serve(parsed, call, key)
        limit_s = self._limits.timeout_s
        deadline = asyncio.get_running_loop().time() + limit_s
        if call.deadline is not None:
            deadline = min(deadline, call.deadline)
        try:
            async with asyncio.timeout_at(deadline) as limit:
                return await endpoint.serve(parsed, replace(call, deadline=deadline), key)
        except TimeoutError:
            if not limit.expired():
                raise
            raise ProviderTimeout(
                f"There was no answer within {limit_s:g} seconds; server.limits.request_timeout_s raises that limit.",
                code="request_timeout",
            ) from None

    def _parsed(self, endpoint: Endpoint, request: bytes) -> BaseModel:
        if len(request) > self._limits.bytes_max:
            raise InvalidRequest(
                f"The request has {len(request)} bytes; server.batches.line_bytes_max allows more than "
                f"{self._limits.bytes_max}.",
                code="request_too_large",
            )
        check_depth(request, self._limits.depth_max)
        parsed = parse(endpoint.request(), request)
        for name in _WITHOUT_STREAM:
            if getattr(parsed, name, None):
                raise UnsupportedParameter(f"A request of a batch cannot have '{name}'; leave it out.", param=name)
        return parsed
