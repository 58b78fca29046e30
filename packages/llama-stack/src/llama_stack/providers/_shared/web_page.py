"""The results in the HTML page that a search engine shows to people.

A result is a link that is marked as one (`result__a`, `result-link`) or is a heading, and leads away from the engine;
its text is what follows in an element marked as a snippet, or in a paragraph. Whatever else the page has is passed
over, so that a change of its looks costs as little as can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Final
from urllib.parse import parse_qs, urljoin, urlsplit

from llama_stack.providers._shared.keyed_service import one_line

RESULTS_MAX: Final = 50
TEXT_CHARS_MAX: Final = 2000
_LINKS: Final = frozenset({"result__a", "result-link", "result_link"})
_SNIPPETS: Final = ("snippet", "content", "description", "abstract")
_HEADINGS: Final = frozenset({"h2", "h3", "h4"})
_UNSEEN: Final = frozenset({"script", "style", "noscript", "template", "svg"})
DUCKDUCKGO: Final = "duckduckgo.com"
"""By way of which its page of another host, or a mirror of that, links."""
_TARGETS: Final = ("uddg", "url", "u", "q")
"""Under which parameter a link through the engine keeps its target."""


@dataclass(slots=True)
class Found:
    url: str
    title: str = ""
    text: str = ""


class ResultsPage(HTMLParser):
    """Feed it the page of `address`; `found` are the results, in their order."""

    def __init__(self, address: str) -> None:
        super().__init__(convert_charrefs=True)
        self._address = address
        self._own_host = urlsplit(address).hostname
        self.found: list[Found] = []
        self._title: list[str] | None = None
        self._text: list[str] | None = None
        self._text_tag = ""
        self._text_depth = 0
        self._in_heading = False
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        classes = (attributes.get("class") or "").lower().split()
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag in _HEADINGS:
            self._in_heading = True
        elif tag == "a" and (self._in_heading or not _LINKS.isdisjoint(classes)):
            self._open_result(attributes.get("href"))
        if self._text is not None:
            self._text_depth += tag == self._text_tag
        elif self.found and not self.found[-1].text and self._title is None and _is_snippet(tag, classes):
            self._text, self._text_tag, self._text_depth = [], tag, 1

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag in _HEADINGS:
            self._in_heading = False
        if tag == "a" and self._title is not None:
            self.found[-1].title = one_line("".join(self._title))
            self._title = None
        if self._text is not None and tag == self._text_tag:
            self._text_depth -= 1
            if self._text_depth == 0:
                self._close_text()

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        if self._title is not None:
            self._title.append(data)
        elif self._text is not None:
            self._text.append(data)

    def close(self) -> None:
        super().close()
        if self._text is not None:
            self._close_text()

    def _open_result(self, href: str | None) -> None:
        url = self._target(href) if href else None
        if url is None or len(self.found) >= RESULTS_MAX:
            return
        if self._text is not None:
            self._close_text()
        self.found.append(Found(url))
        self._title = []

    def _close_text(self) -> None:
        self.found[-1].text = one_line("".join(self._text or ()))[:TEXT_CHARS_MAX]
        self._text = None

    def _target(self, href: str) -> str | None:
        """Where a link leads in the end; None if it stays with the engine (settings, further pages, advertisements)."""
        try:
            parts = urlsplit(urljoin(self._address, href))
            if self._is_away(parts.hostname):
                return parts.geturl() if parts.scheme in ("http", "https") else None
            parameters = parse_qs(parts.query)
            for name in _TARGETS:
                target = urlsplit(parameters.get(name, [""])[0])
                if target.scheme in ("http", "https") and self._is_away(target.hostname):
                    return target.geturl()
        except ValueError:  # an address that is none
            pass
        return None

    def _is_away(self, host: str | None) -> bool:
        own = (self._own_host or "", DUCKDUCKGO)
        return bool(host) and not f".{host}".endswith(tuple(f".{site}" for site in own))


def _is_snippet(tag: str, classes: list[str]) -> bool:
    return tag == "p" or any(word in name for name in classes for word in _SNIPPETS)
