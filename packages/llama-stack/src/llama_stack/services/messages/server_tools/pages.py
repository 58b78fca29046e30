"""Pages of the web as text: fetched through the egress guard, read by the file processors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Protocol
from urllib.parse import urlsplit

from llama_stack.net.egress import Egress, EgressRefused, Fetched
from llama_stack.services.files.spool import Spool
from llama_stack.services.messages.server_tools.tool import UNAVAILABLE, ToolFailed
from llama_stack_api.errors import InvalidRequest, NotImplementedByProvider, ProviderError
from llama_stack_api.ports.file_processors import ParsedFile, SourceFile
from llama_stack_api.principal import Call

_PARSED: Final = {"text/html": ".html", "application/xhtml+xml": ".html", "application/pdf": ".pdf"}
_PLAIN: Final = frozenset({"application/json", "application/xml", "application/javascript", "application/x-yaml"})
_HEADERS: Final = {"accept": "text/html, application/pdf;q=0.9, text/*;q=0.8"}


class Parser(Protocol):
    async def parse(self, source: SourceFile, call: Call) -> ParsedFile: ...


@dataclass(frozen=True, slots=True)
class Page:
    """`url` is where it was found, after redirects. `title` may be empty."""

    url: str
    title: str
    text: str


class WebPages:
    """`web_fetch.FetchesPages`. `bytes_max`: of what is read of a page."""

    def __init__(self, egress: Egress, parser: Parser, spool: Spool, *, bytes_max: int) -> None:
        self._egress = egress
        self._parser = parser
        self._spool = spool
        self._bytes_max = bytes_max

    async def page(self, url: str, call: Call) -> Page:
        """`ToolFailed` where there is no page, or none that can be read."""
        fetched = await self._fetched(url, call)
        kind = fetched.content_type or "text/html"
        if kind in _PARSED:
            return await self._parsed(fetched, kind, call)
        if kind.startswith("text/") or kind in _PLAIN or kind.endswith(("+json", "+xml")):
            return Page(fetched.url, "", fetched.body.decode("utf-8", errors="replace"))
        raise ToolFailed("unsupported_content_type")

    async def _fetched(self, url: str, call: Call) -> Fetched:
        try:
            return await self._egress.fetch(url, bytes_max=self._bytes_max, deadline=call.deadline, headers=_HEADERS)
        except EgressRefused:
            raise ToolFailed("url_not_allowed") from None
        except ProviderError as error:
            raise ToolFailed("too_many_requests" if error.upstream_status == 429 else "url_not_accessible") from None

    async def _parsed(self, fetched: Fetched, kind: str, call: Call) -> Page:
        name = PurePosixPath(urlsplit(fetched.url).path).stem or "page"
        try:
            async with self._spool.copy(_once(fetched.body)) as path:
                parsed = await self._parser.parse(SourceFile(path, name + _PARSED[kind], kind), call)
        except NotImplementedByProvider:
            raise ToolFailed(UNAVAILABLE) from None
        except InvalidRequest:
            raise ToolFailed("unsupported_content_type") from None
        return Page(fetched.url, str(parsed.metadata.get("title") or ""), parsed.text)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
