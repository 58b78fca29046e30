"""Citations in what the model says, found while it says it.

    [title](url), a bare url    of a source: stays, and becomes a `url_citation` over these characters
    【mark】 [mark]               a source by its `mark_of`: becomes ` ([host](url))`, as OpenAI does it (the text alone
                                says where it comes from); of a file, nothing stays
    <|file_id|>                 a file: nothing stays; a `file_citation` at its place
    【n】 【n†…】 [n]              the n-th source, if they are `numbered`: like a mark, but [n] stays as it is

A mark of a source that is not there stays as it is, save `<|file-…|>`, which cannot mean anything to a reader. Results
that a model sees bear marks, since numbers would begin anew with each search: they mean something only where all
sources are of one search. Indices count characters (code points) of the text as it is shown. Nothing in code
(backticks) is a link or a number.

Of the passages of files, where they are given, each `file_citation` says which one it means (`attribution.PLACE`); a
text that cites no file is searched for what rests on them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from llama_stack.agent.attribution import Attribution, Passage
from llama_stack.agent.entries import Item, Source

_MARK: Final = re.compile(
    r" ?(?:【(?P<number>\d{1,3})(?:†[^【】\n]{0,40})?】"
    r"|【(?P<wide>[a-z]\d{4})】"
    r"|\[(?P<narrow>[a-z]\d{4})\](?!\()"
    r"|<\|(?P<file>[\w.:-]{1,128})\|>)"
)
_BEGUN: Final = re.compile(
    r" ?(?:【(?:\d{1,3}(?:†[^【】\n]{0,40})?|[a-z]\d{0,4})?"
    r"|\[(?:[a-z]\d{0,3}|[a-z]\d{4}\]?)?"
    r"|<(?:\|(?:[\w.:-]{1,128}\|?)?)?)?\Z"
)
"""The beginning of a mark at the end of what came so far. A space may belong to the mark after it."""

_CITED: Final = re.compile(
    r"(?P<code>```[\s\S]*?(?:```|\Z)|`[^`\n]+`)"
    r"|\[(?P<label>(?:[^\[\]\n]|\[[^\[\]\n]{0,100}\]){0,300})\]"
    r"\(<?(?P<url>https?://[^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)*)>?(?:\s+\"[^\"\n]{0,300}\")?\)"
    r"|(?P<bare>https?://[^\s<>\"`|\\^{}\[\]【】]{1,2048})"
    r"|\[(?P<number>\d{1,3})\](?![(:])",
    re.IGNORECASE,
)


class Citations:
    """The citations of one text that comes piece by piece. How it is cut makes no difference to what is found."""

    def __init__(self, sources: Sequence[Source], *, numbered: bool = False, passages: Sequence[Passage] = ()) -> None:
        self._sources = sources
        self._attribution = Attribution(passages) if passages else None
        self._numbered = numbered
        self._files = {source.file_id: source for source in sources if source.file_id is not None}
        self._pages: dict[str, Source] = {}
        self._marks: dict[str, Source | None] = {}
        for source in sources:
            if source.url is not None:
                self._pages.setdefault(_canonical(source.url), source)
                self._pages.setdefault(_canonical(_link_target(source.url)), source)
            mark = mark_of(source)
            same = mark not in self._marks or self._marks[mark] == source
            self._marks[mark] = source if same else None
        self._held = ""
        self._shown: list[str] = []
        self._length = 0
        self._last = ""
        self._found: list[tuple[int, Item]] = []

    def feed(self, delta: str) -> str:
        """What may be shown now: all but the beginning of a mark."""
        if not self._sources:
            return delta
        text = self._held + delta
        begun = _BEGUN.search(text)
        end = len(text) if begun is None else begun.start()
        self._held = text[end:]
        return self._show(text[:end])

    def finish(self) -> tuple[str, list[Item]]:
        """The rest of the text, and the annotations in the order of their places."""
        rest, self._held = self._show(self._held), ""
        text = "".join(self._shown)
        self._found += self._in_text(text)
        if self._attribution is not None:
            self._attribute(text, self._attribution)
        self._found.sort(key=lambda found: found[0])
        return rest, [annotation for _, annotation in self._found]

    def _attribute(self, text: str, attribution: Attribution) -> None:
        marked = [annotation for _, annotation in self._found if annotation["type"] == "file_citation"]
        for annotation in marked:
            annotation.update(attribution.meant_at(text, annotation["index"], annotation["file_id"]))
        if not marked:
            self._found += [
                (index, {**_file_citation(source, index), **place}) for index, source, place in attribution.cited(text)
            ]

    def _show(self, text: str) -> str:
        start, before = 0, len(self._shown)
        for mark in _MARK.finditer(text):
            replaced, source = self._meant(mark)
            if not replaced:
                continue
            self._add(text[start : mark.start()])
            start = mark.end()
            if source is not None:
                self._cite(source)
        self._add(text[start:])
        return "".join(self._shown[before:])

    def _add(self, text: str) -> None:
        if text:
            self._shown.append(text)
            self._length += len(text)
            self._last = text[-1]

    def _meant(self, mark: re.Match[str]) -> tuple[bool, Source | None]:
        """Whether the mark is taken out, and the source that it cites."""
        if (file_id := mark["file"]) is not None:
            return file_id in self._files or file_id.startswith("file-"), self._files.get(file_id)
        number = mark["number"]
        source = self._nth(number) if number is not None else self._marks.get(mark["wide"] or mark["narrow"])
        return source is not None, source

    def _cite(self, source: Source) -> None:
        if source.url is None:
            self._found.append((self._length, _file_citation(source, self._length)))
        else:
            space = "" if not self._last or self._last.isspace() or self._last in "([{" else " "
            self._add(f"{space}([{_host(source.url)}]({_link_target(source.url)}))")

    def _nth(self, number: str) -> Source | None:
        place = int(number) - 1
        return self._sources[place] if self._numbered and 0 <= place < len(self._sources) else None

    def _in_text(self, text: str) -> Iterator[tuple[int, Item]]:
        for match in _CITED.finditer(text) if self._sources else ():
            end = match.end()
            if match["number"] is not None:
                source = self._nth(match["number"])
            elif match["bare"] is not None:
                url = _without_punctuation(match["bare"])
                end = match.start() + len(url)
                source = self._pages.get(_canonical(url))
            else:
                source = self._pages.get(_canonical(match["url"])) if match["url"] is not None else None
            if source is None:
                continue
            if source.url is None:
                yield match.start(), _file_citation(source, end)
            else:
                yield match.start(), _url_citation(source, source.url, match.start(), end)


def mark_of(source: Source) -> str:
    """A short mark (`k4417`) by which a model may cite the source, the same wherever it is listed."""
    digest = hashlib.blake2b((source.url or source.file_id or source.title).encode(), digest_size=8).digest()
    number = int.from_bytes(digest)
    return f"{'abcdefghjkmnpqrstuvwxyz'[number % 23]}{number // 23 % 10_000:04}"


def _url_citation(source: Source, url: str, start: int, end: int) -> Item:
    return {"type": "url_citation", "url": url, "title": source.title, "start_index": start, "end_index": end}


def _file_citation(source: Source, index: int) -> Item:
    return {"type": "file_citation", "file_id": source.file_id or "", "filename": source.title, "index": index}


def _canonical(url: str) -> str:
    """What two ways to write the same page's address have in common."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    query = f"?{parts.query}" if parts.query else ""
    return parts.netloc.lower().removeprefix("www.") + parts.path.rstrip("/") + query


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or url).removeprefix("www.")
    except ValueError:
        return url


def _link_target(url: str) -> str:
    """The address in a form that does not end a markdown link early."""
    return url.replace("(", "%28").replace(")", "%29").replace(" ", "%20").replace("<", "%3C").replace(">", "%3E")


def _without_punctuation(url: str) -> str:
    """A bare address without what belongs to the sentence around it."""
    while True:
        shorter = url.rstrip(".,;:!?*_~'")
        if shorter.endswith(")") and shorter.count("(") < shorter.count(")"):
            shorter = shorter[:-1]
        if shorter == url:
            return url
        url = shorter
