"""DOCX: paragraphs and tables in reading order, the header before them and the footer after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llama_stack.providers._shared.parsing.draft import Draft
from llama_stack.providers._shared.parsing.formats.properties import note_properties
from llama_stack.providers._shared.parsing.kinds import DOCX
from llama_stack.providers._shared.parsing.office import check_office
from llama_stack.providers._shared.parsing.source import Source
from llama_stack.providers._shared.parsing.wire import Answer

NESTED_TABLES_MAX = 8


def read(source: Source) -> tuple[Answer, str]:
    import docx

    check_office(source)
    document = docx.Document(source.file)
    draft = Draft(source.limits)
    if source.extract_metadata:
        note_properties(draft, document.core_properties)
    for block in _all(document):
        draft.add(block)
    return draft.finish(DOCX, "python-docx")


def _all(document: Any) -> Iterator[str]:
    sections = list(document.sections)
    yield from _once(section.header for section in sections)
    yield from _blocks(document)
    yield from _once(section.footer for section in sections)


def _once(parts: Iterator[Any]) -> Iterator[str]:
    """The headers (or footers) of sections, without those that only repeat another's."""
    seen: set[str] = set()
    for part in parts:
        if part.is_linked_to_previous:
            continue
        for block in _blocks(part):
            if block not in seen:
                seen.add(block)
                yield block


def _blocks(container: Any, depth: int = 0) -> Iterator[str]:
    from docx.table import Table

    for each in container.iter_inner_content():
        if isinstance(each, Table):
            if depth < NESTED_TABLES_MAX:
                yield _table(each, depth)
        elif text := each.text.strip():
            yield _styled(each, text)


def _styled(paragraph: Any, text: str) -> str:
    """Headings as Markdown writes them, so that the structure is not lost; the items of lists with a dash."""
    style = getattr(paragraph.style, "name", None) or ""
    if style == "Title":
        return f"# {text}"
    if style.startswith("Heading ") and style[8:].isdigit():
        return f"{'#' * min(int(style[8:]), 6)} {text}"
    return f"- {text}" if style.startswith("List") else text


def _table(table: Any, depth: int) -> str:
    rows = []
    for row in table.rows:
        cells: list[str] = []
        last = None
        for cell in row.cells:
            if cell._tc is last:  # a merged cell is listed once for each column that it spans
                continue
            last = cell._tc
            cells.append(" ".join(" ".join(_blocks(cell, depth + 1)).split()))
        rows.append(" | ".join(cells))
    return "\n".join(row for row in rows if row.strip(" |"))
