"""`web_fetch`: the text of a page that the conversation names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from llama_stack.config.messages import MessagesConfig
from llama_stack.dialects.anthropic.client_tools import known_tool
from llama_stack.net.domains import is_page
from llama_stack.services.messages.chat import Json
from llama_stack.services.messages.server_tools.domains import Domains
from llama_stack.services.messages.server_tools.pages import Page
from llama_stack.services.messages.server_tools.tool import (
    INVALID_INPUT,
    ToolFailed,
    Uses,
    server_tool_failure,
    server_tool_result,
    server_tool_use,
)
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.principal import Call

URL_CHARS_MAX: Final = 2048
CHARS_PER_TOKEN: Final = 4
_ADDRESS: Final = re.compile(r"https?://[^\s<>\"'`|\\^{}]{1,2048}", re.IGNORECASE)
_AFTER: Final = ".,;:!?)]}'*_"
SIGNS_MAX: Final = 8
"""Of those, as many may stand behind an address."""


class FetchesPages(Protocol):
    async def page(self, url: str, call: Call) -> Page:
        """`ToolFailed` where there is no page, or none that can be read."""
        ...


class Addresses:
    """What may be fetched: addresses that the user, a tool or a search has named. A model that was talked into it could
    else carry out what it knows, in an address of its own making."""

    def __init__(self, found: Iterator[str]) -> None:
        self._known = {reading for url in found for reading in _readings(url)}

    def add(self, content: Any) -> None:
        self._known.update(reading for url in _addresses(content) for reading in _readings(url))

    def __contains__(self, url: str) -> bool:
        return _bare(url) in self._known


def addresses_in(messages: Sequence[Json]) -> Addresses:
    """Those of all that the model did not write itself."""
    return Addresses(url for message in messages for url in _named_by_others(message))


class WebFetch:
    """See `tool.ServerTool`."""

    counter = "web_fetch_requests"

    def __init__(self, tool: Json, pages: FetchesPages, addresses: Addresses, config: MessagesConfig) -> None:
        self.name: str = tool.get("name") or "web_fetch"
        self._addresses = addresses
        self._pages = pages
        self._domains = Domains.of(tool)
        self._uses = Uses(tool.get("max_uses"))
        self._citations = tool.get("citations")
        asked = tool.get("max_content_tokens")
        self._chars_max = min(
            config.web_fetch_chars_max, asked * CHARS_PER_TOKEN if asked else config.web_fetch_chars_max
        )

    def definition(self) -> Json:
        known = known_tool("web_fetch_")
        assert known is not None
        return {"name": self.name, "description": known.description, "input_schema": known.parameters}

    def use(self) -> Json:
        return server_tool_use("web_fetch")

    async def result(self, use: Json, call: Call) -> Json:
        url = use["input"].get("url")
        if not isinstance(url, str) or not is_page(url):
            raise ToolFailed(INVALID_INPUT)
        if len(url) > URL_CHARS_MAX:
            raise ToolFailed("url_too_long")
        self._uses.take()
        if url not in self._addresses or not self._domains.admit(url):
            raise ToolFailed("url_not_allowed")
        page = await self._pages.page(url, call)
        if not self._domains.admit(page.url):
            raise ToolFailed("url_not_allowed")
        return server_tool_result(use, self._fetched(page))

    def failure(self, use: Json, error: LlamaStackError | ToolFailed) -> Json:
        return server_tool_failure(use, error)

    def _fetched(self, page: Page) -> Json:
        document = {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": page.text[: self._chars_max]},
            "title": page.title or None,
            "citations": self._citations,
        }
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"type": "web_fetch_result", "url": page.url, "content": document, "retrieved_at": now}


def _named_by_others(message: Json) -> Iterator[str]:
    content = message.get("content")
    if message.get("role") != "assistant":
        yield from _addresses(content)
    elif isinstance(content, list):
        yield from _addresses([block for block in content if str(block.get("type")).endswith("_tool_result")])


def _addresses(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield from _ADDRESS.findall(content)
    elif isinstance(content, list):
        for each in content:
            yield from _addresses(each)
    elif isinstance(content, dict):
        for each in content.values():
            yield from _addresses(each)


def _readings(url: str) -> Iterator[str]:
    """The address, and what it is without each of the signs that a sentence may have put behind it."""
    end = len(url)
    while end > 0 and len(url) - end <= SIGNS_MAX:
        yield _bare(url[:end])
        if url[end - 1] not in _AFTER:
            return
        end -= 1


def _bare(url: str) -> str:
    """Without a fragment and the last slash; the host in lower case. Nothing else is the same address: in the case of
    letters and in signs at its end, a model could send off what it knows."""
    scheme, separator, rest = url.partition("#")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}{separator}{host.lower()}{slash}{path}".removesuffix("/")
