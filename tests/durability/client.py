"""Clients that must not miss anything: they follow a response over every death of the server, and remember."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import openai
from openai.types.responses import Response

RETRY_S = 0.02
TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=30) as client:
        yield client


@dataclass(slots=True)
class Follower:
    """Creates a response with an idempotency key, and comes back with `starting_after` whenever it is cut off.

    `url` is asked anew for each connection: a server may come back elsewhere. `helper`: by `responses.stream()`, which
    accumulates what it sees, instead of plain events.
    """

    url: Callable[[], str]
    key: str
    request: dict[str, Any]
    helper: bool = False
    events: list[Any] = field(default_factory=list)
    connections: int = 0
    response_id: str | None = None
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1].type in TERMINAL

    async def follow(self) -> Response:
        """The response as its terminal event has it."""
        while not self.ended:
            try:
                await self._connect()
            except openai.APIError as error:
                if isinstance(error, openai.APIStatusError) and error.status_code < 500:
                    raise
            except OSError:
                pass
            if not self.ended:
                await asyncio.sleep(RETRY_S)
        response: Response = self.events[-1].response
        return response

    async def seen(self, count: int) -> None:
        """Until so many events were seen, or all."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.events) >= count or self.ended)

    async def _connect(self) -> None:
        async with client_of(self.url()) as client:
            self.connections += 1
            if self.helper:
                await self._stream_by_helper(client)
            elif self.response_id is None:
                await self._take(await self._created(client))
            else:
                await self._take(
                    await client.responses.retrieve(self.response_id, stream=True, starting_after=self._after)
                )

    @property
    def _after(self) -> int | openai.Omit:
        return self.events[-1].sequence_number if self.events else openai.omit

    async def _stream_by_helper(self, client: openai.AsyncOpenAI) -> None:
        headers = {"Idempotency-Key": self.key}
        manager = (
            client.responses.stream(**self.request, extra_headers=headers)
            if self.response_id is None
            else client.responses.stream(response_id=self.response_id, starting_after=self._after)
        )
        async with manager as stream:
            await self._take(stream)
            if self.ended:
                final = await stream.get_final_response()
                assert final.output_text == self.events[-1].response.output_text

    async def _created(self, client: openai.AsyncOpenAI) -> Any:
        return await client.responses.create(**self.request, stream=True, extra_headers={"Idempotency-Key": self.key})

    async def _take(self, stream: Any) -> None:
        async for event in stream:
            assert event.sequence_number == len(self.events), "no gap, no repeat"
            async with self._news:
                self.events.append(event)
                if event.type == "response.created":
                    self.response_id = event.response.id
                self._news.notify_all()
