"""A client that must not miss anything: it follows a response over every death of the server, and remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import openai
from openai.types.responses import Response

RETRY_S = 0.02


@dataclass(slots=True)
class Follower:
    """Creates a response with an idempotency key, and comes back with `starting_after` whenever it is cut off.

    `url` is asked anew for each connection: a server may come back elsewhere.
    """

    url: Callable[[], str]
    key: str
    request: dict[str, Any]
    events: list[Any] = field(default_factory=list)
    connections: int = 0
    response_id: str | None = None

    async def follow(self) -> Response:
        """The response as its terminal event has it."""
        while True:
            try:
                await self._connect()
            except (openai.APIConnectionError, openai.InternalServerError, openai.APIError) as error:
                if isinstance(error, openai.APIStatusError) and error.status_code < 500:
                    raise
            if self.events and self.events[-1].type in ("response.completed", "response.incomplete", "response.failed"):
                response: Response = self.events[-1].response
                return response
            await asyncio.sleep(RETRY_S)

    async def _connect(self) -> None:
        async with openai.AsyncOpenAI(base_url=f"{self.url()}/v1", api_key="none", max_retries=0, timeout=30) as client:
            self.connections += 1
            if self.response_id is None:
                stream = await client.responses.create(
                    **self.request, stream=True, extra_headers={"Idempotency-Key": self.key}
                )
            else:
                after = self.events[-1].sequence_number
                stream = await client.responses.retrieve(self.response_id, stream=True, starting_after=after)
            async for event in stream:
                assert event.sequence_number == len(self.events), "no gap, no repeat"
                self.events.append(event)
                if event.type == "response.created":
                    self.response_id = event.response.id
