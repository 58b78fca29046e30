"""Citations of a message that comes by way of a chat completion: its sentences are attributed to the sources of the
request, and to what this server's tools found, by the words that they share. The model is not asked to mark anything.

They are made where the caller wants them of a document or search result, and of what `web_search` found always; a
request without any of these is not touched.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import msgspec

from llama_stack.dialects.chat.values import Json, mapping
from llama_stack.services.inference import Served
from llama_stack.services.messages.chat import Events, Opened
from llama_stack.services.messages.citations_claims import AT_ONCE_CHARS, Claims
from llama_stack.services.messages.citations_events import CitedEvents, cited_message
from llama_stack.services.messages.citations_sources import Citable, Readings, Sources, is_cited, sources_in
from llama_stack.services.streams import begun
from llama_stack_api.errors import InvalidRequest


class Citing:
    """Of one message. `readings` are to be filled, before `hear` is told of the request's messages, with what was read
    of documents that are cited and no text; None if there are none to cite."""

    def __init__(self, request: Json) -> None:
        """Before anything of the request is changed. `InvalidRequest` where the reply must be JSON."""
        blocks = list(sources_in(request["messages"]))
        wanted = any(map(is_cited, blocks))
        self.readings: Readings | None = {} if wanted else None
        self._sources = Sources()
        self._found: list[Citable] = []
        self._claims: Claims | None = None
        self._structured = _is_structured(request)
        if self._structured and wanted:
            raise InvalidRequest(
                "Citations cannot be combined with structured outputs: leave out either 'output_config.format' or "
                "'citations.enabled'.",
                param="output_config.format",
            )
        self.hear([block for block in blocks if block["type"] == "web_search_result"])

    def hear(self, content: Any) -> None:
        """What the model is shown may be cited from now on."""
        if self._structured:
            return
        found = list(self._sources.of(content, self.readings or {}))
        if found:
            self._found += found
            self._claims = None

    async def ready(self) -> None:
        """Look through what was heard, before the model is asked: nothing can be cited of it until then."""
        if self._claims is None and self._found:
            slow = sum(len(source.text) for source in self._found) > AT_ONCE_CHARS
            self._claims = await asyncio.to_thread(Claims, self._found) if slow else Claims(self._found)

    async def message(self, served: Served) -> Served:
        """The whole message with its citations."""
        if self._claims is None:
            return served
        assert isinstance(served.body, bytes), "a whole reply was asked for"
        message = await asyncio.to_thread(cited_message, msgspec.json.decode(served.body), self._claims)
        return replace(served, body=msgspec.json.encode(message))

    async def stream(self, opened: Opened) -> Opened:
        """The message's events with its citations."""
        if self._claims is None:
            return opened
        return replace(opened, events=await begun(_cited(opened.events, self._claims)))


async def _cited(events: Events, claims: Claims) -> Events:
    """The first list is empty: it is taken before the stream is handed out."""
    cited = CitedEvents(claims)
    async with aclosing(events):
        yield []
        async for some in events:
            yield await asyncio.to_thread(cited.feed, some) if claims.is_slow else cited.feed(some)


def _is_structured(request: Json) -> bool:
    form = mapping(request.get("output_config")).get("format") or request.get("output_format")
    return mapping(form).get("type") == "json_schema"
