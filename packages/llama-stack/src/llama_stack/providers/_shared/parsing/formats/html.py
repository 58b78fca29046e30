"""HTML: the text that a reader of the page sees, a line for each block, headings and lists marked."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

from llama_stack.providers._shared.parsing.draft import Draft
from llama_stack.providers._shared.parsing.kinds import HTML
from llama_stack.providers._shared.parsing.source import Source
from llama_stack.providers._shared.parsing.wire import Answer

_UNSEEN: Final = frozenset({"script", "style", "template", "svg", "noscript", "iframe", "object", "math", "head"})
_WITHOUT_END: Final = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})
_HEADINGS: Final = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_BLOCKS: Final = frozenset(
    {
        *(
            "address",
            "article",
            "aside",
            "blockquote",
            "body",
            "caption",
            "dd",
            "details",
            "div",
            "dl",
            "dt",
            "fieldset",
        ),
        *("figcaption", "figure", "footer", "form", "header", "hr", "html", "li", "main", "nav", "ol", "p", "pre"),
        *("section", "summary", "table", "tr", "ul", *_HEADINGS),
    }
)
_SPACES: Final = re.compile(r"[ \t\r\n\f]+")
_META: Final = frozenset({"author", "description", "keywords"})


def read(source: Source) -> tuple[Answer, str]:
    page = PageText()
    page.feed(source.text(markup=True))
    page.close()
    draft = Draft(source.limits)
    if source.extract_metadata:
        draft.note("title", page.title)
        for name, value in page.meta.items():
            draft.note(name, value)
    title = page.title.strip()
    text = page.text()
    if title and not text.startswith(f"# {title}"):
        draft.add(title)
    draft.add(text)
    return draft.finish(HTML, "html.parser")


def text_of(markup: str) -> str:
    page = PageText()
    page.feed(markup)
    page.close()
    return page.text()


class PageText(HTMLParser):
    """Feed it a page: `text()` is what is seen of it, `title` and `meta` what it says of itself."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.meta: dict[str, str] = {}
        self.title = ""
        self._lines: list[str] = []
        self._line: list[str] = []
        self._prefix = ""
        self._unseen: list[str] = []
        self._in_title = False
        self._pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._in_title = not self.title
        elif tag == "meta":
            self._note(dict(attrs))
        elif tag == "body":
            self._unseen.clear()
        if tag in _UNSEEN:
            self._unseen.append(tag)
        elif not self._unseen:
            self._begin(tag, dict(attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _WITHOUT_END:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag in _UNSEEN:
            if tag in self._unseen:
                del self._unseen[self._unseen.index(tag) :]
        elif tag in _BLOCKS:
            self._break()
            self._pre -= tag == "pre" and self._pre > 0
            if tag in _HEADINGS or tag in ("p", "ul", "ol", "table", "pre"):
                self._gap()
        elif tag in ("td", "th"):
            self._line.append(" | ")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif not self._unseen:
            if self._pre:
                first, *others = data.split("\n")
                self._line.append(first)
                for other in others:
                    self._break()
                    self._line.append(other)
            else:
                self._line.append(_SPACES.sub(" ", data))

    def parse_html_declaration(self, i: int) -> int:
        try:
            return super().parse_html_declaration(i)
        except AssertionError:  # of a section that is in no standard; browsers take it for a comment
            return self.parse_bogus_comment(i)

    def close(self) -> None:
        super().close()
        self._break()

    def text(self) -> str:
        return re.sub(r"\n{3,}", "\n\n", "\n".join(self._lines)).strip()

    def _begin(self, tag: str, attrs: dict[str, str | None]) -> None:
        if tag in _BLOCKS:
            self._break()
            self._pre += tag == "pre"
            if tag in _HEADINGS or tag in ("p", "table", "pre"):
                self._gap()
            self._prefix = _HEADINGS.get(tag, "- " if tag == "li" else "")
        elif tag == "br":
            self._break()
        elif tag == "img" and (alt := attrs.get("alt")):
            self._line.append(f" {alt} ")

    def _note(self, attrs: dict[str, str | None]) -> None:
        name = (attrs.get("name") or "").lower()
        if name in _META and (content := attrs.get("content")):
            self.meta.setdefault(name, content)

    def _break(self) -> None:
        line = "".join(self._line)
        line = line.rstrip() if self._pre else _SPACES.sub(" ", line).strip().removesuffix("|").rstrip()
        self._line.clear()
        if line or self._pre:
            self._lines.append(self._prefix + line)
            self._prefix = ""

    def _gap(self) -> None:
        if self._lines and self._lines[-1]:
            self._lines.append("")
