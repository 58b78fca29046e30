"""What a message may cite, and how a citation says where in it something stands.

    text                            char_location               characters
    PDF                             page_location               pages, as the file processors tell them
    blocks (custom content)         content_block_location      blocks, each as a whole
    search_result                   search_result_location      its blocks, each as a whole
    result of `web_search`          web_search_result_location  the address

A PDF whose reader tells no pages is cited like a text: by the characters of the text that was read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from operator import itemgetter
from typing import Any, Final, Protocol, TypeAlias

from llama_stack.dialects.chat.values import Json, decoded_text, mapping, objects, text_or
from llama_stack.services.messages.server_tools.kept import kept, read
from llama_stack_api.ports.file_processors import Page, ParsedFile

WEB_CHARS_MAX: Final = 150
"""Of a page of the web, as the contract has it."""

Span: TypeAlias = tuple[int, int]
Readings: TypeAlias = dict[int, ParsedFile]
"""What was read of the documents that are no text, by the identity of their blocks."""


class Citable(Protocol):
    """Something with a text. `parts` of it do not belong together: a passage is of one."""

    @property
    def text(self) -> str: ...

    @property
    def parts(self) -> Sequence[Span]: ...

    def citation(self, start: int, end: int) -> Json:
        """Of `text[start:end]`, which is within a part."""
        ...


@dataclass(frozen=True, slots=True)
class TextDocument:
    """`about` is what all citations of the document say of it."""

    about: Json
    text: str

    @property
    def parts(self) -> Sequence[Span]:
        return [(0, len(self.text))]

    def citation(self, start: int, end: int) -> Json:
        place = {"start_char_index": start, "end_char_index": end}
        return {"type": "char_location", "cited_text": self.text[start:end], **self.about, **place}


@dataclass(frozen=True, slots=True)
class PagedDocument:
    about: Json
    text: str
    pages: Sequence[Page]

    @property
    def parts(self) -> Sequence[Span]:
        return [(page.start, page.end) for page in self.pages]

    def citation(self, start: int, end: int) -> Json:
        page = self.pages[bisect_right(self.pages, start, key=lambda page: page.start) - 1].number
        place = {"start_page_number": page, "end_page_number": page + 1}
        return {"type": "page_location", "cited_text": self.text[start:end], **self.about, **place}


@dataclass(frozen=True)
class Blocks:
    """A document in blocks, or a search result: `about` says which. A block is cited as a whole."""

    about: Json
    texts: Sequence[str]

    @cached_property
    def text(self) -> str:
        return "".join(self.texts)

    @cached_property
    def parts(self) -> Sequence[Span]:
        ends = list(accumulate(map(len, self.texts)))
        return list(zip([0, *ends], ends, strict=False))

    def citation(self, start: int, end: int) -> Json:
        block = bisect_right(self.parts, start, key=itemgetter(0)) - 1
        place = {"start_block_index": block, "end_block_index": block + 1}
        return {"cited_text": self.texts[block], **self.about, **place}


@dataclass(frozen=True, slots=True)
class WebPage:
    url: str
    title: str | None
    text: str

    @property
    def parts(self) -> Sequence[Span]:
        return [(0, len(self.text))]

    def citation(self, start: int, end: int) -> Json:
        return {
            "type": "web_search_result_location",
            "cited_text": self.text[start : min(end, start + WEB_CHARS_MAX)],
            "url": self.url,
            "title": self.title,
            "encrypted_index": kept(f"{start}-{end}"),
        }


class Sources:
    """What may be cited of all that is shown to it: documents and search results are counted in that order, those too
    that do not want to be cited."""

    def __init__(self) -> None:
        self._documents = 0
        self._results = 0

    def of(self, content: Any, readings: Mapping[int, ParsedFile]) -> Iterator[Citable]:
        for block in sources_in(content):
            match block["type"]:
                case "document":
                    index, self._documents = self._documents, self._documents + 1
                    if is_cited(block):
                        yield from _document(block, index, readings.get(id(block)))
                case "search_result":
                    index, self._results = self._results, self._results + 1
                    if is_cited(block):
                        yield _search_result(block, index)
                case "web_search_result" if text := read(block.get("encrypted_content")):
                    yield WebPage(text_or(block.get("url")), block.get("title"), text)


def sources_in(content: Any) -> Iterator[Json]:
    """The blocks that can be cited, wherever they stand: results of tools hold some."""
    for each in content if isinstance(content, list) else (content,):
        if isinstance(each, dict):
            if each.get("type") in ("document", "search_result", "web_search_result"):
                yield each
            elif isinstance(each.get("content"), list | dict):
                yield from sources_in(each["content"])


def is_cited(block: Json) -> bool:
    """Whether the caller wants it to be cited."""
    return mapping(block.get("citations")).get("enabled") is True


def _document(block: Json, index: int, reading: ParsedFile | None) -> Iterator[Citable]:
    about = {"document_index": index, "document_title": block.get("title"), "file_id": None}
    source = mapping(block.get("source"))
    if source.get("type") == "content":
        yield Blocks({"type": "content_block_location", **about}, _texts(source.get("content")))
    elif reading is not None and reading.pages and reading.media_type == "application/pdf":
        yield PagedDocument(about, reading.text, reading.pages)
    elif reading is not None:
        yield TextDocument(about, reading.text)
    elif source.get("type") == "text":
        yield TextDocument(about, text_or(source.get("data")))
    elif text_or(source.get("media_type")).startswith("text/"):
        yield TextDocument(about, decoded_text(text_or(source.get("data"))) or "")


def _search_result(block: Json, index: int) -> Blocks:
    about = {
        "type": "search_result_location",
        "search_result_index": index,
        "source": text_or(block.get("source")),
        "title": block.get("title"),
    }
    return Blocks(about, _texts(block.get("content")))


def _texts(content: Any) -> list[str]:
    """One for each block: pictures have their number too."""
    return [content] if isinstance(content, str) else [text_or(block.get("text")) for block in objects(content)]
