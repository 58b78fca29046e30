"""XLSX: each sheet is a page, its rows are lines, the values of cells stand between bars."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from llama_stack.providers._shared.parsing.draft import Draft, too_long
from llama_stack.providers._shared.parsing.formats.properties import note_properties
from llama_stack.providers._shared.parsing.kinds import XLSX
from llama_stack.providers._shared.parsing.office import check_office
from llama_stack.providers._shared.parsing.source import Source
from llama_stack.providers._shared.parsing.wire import Answer


def read(source: Source) -> tuple[Answer, str]:
    import openpyxl

    check_office(source)
    # Values as they were last calculated, row by row: formulas, styles and the whole of a sheet are never held.
    book = openpyxl.load_workbook(source.file, read_only=True, data_only=True, keep_links=False)
    draft = Draft(source.limits)
    sheets = book.worksheets
    draft.check_pages(len(sheets))
    if source.extract_metadata:
        properties = book.properties
        draft.note("author", properties.creator)
        note_properties(draft, properties)
    draft.note("page_count", len(sheets))
    for number, sheet in enumerate(sheets, start=1):
        rows = list(_rows(sheet, draft.chars_max))
        if rows:
            draft.add("\n".join((f"# {sheet.title}", *rows)), number)
    return draft.finish(XLSX, "openpyxl")


def _rows(sheet: Any, chars_max: int) -> Iterator[str]:
    sheet.reset_dimensions()  # what a sheet says of its size may be wrong, or a trap
    length = 0
    for row in sheet.iter_rows(values_only=True):
        cells = [_shown(value) for value in row]
        while cells and not cells[-1]:
            cells.pop()
        if not cells:
            continue
        line = " | ".join(cells)
        length += len(line) + 1
        if length > chars_max:
            raise too_long(chars_max)
        yield line


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case datetime.datetime() if value.time() == datetime.time():
            return value.date().isoformat()
        case datetime.datetime():
            return value.isoformat(sep=" ")
        case datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return " ".join(str(value).split())
