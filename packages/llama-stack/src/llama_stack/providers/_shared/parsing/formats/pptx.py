"""PPTX: each slide is a page, with its shapes in their order and its notes after them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llama_stack.providers._shared.parsing.draft import Draft
from llama_stack.providers._shared.parsing.formats.properties import note_properties
from llama_stack.providers._shared.parsing.kinds import PPTX
from llama_stack.providers._shared.parsing.office import check_office
from llama_stack.providers._shared.parsing.source import Source
from llama_stack.providers._shared.parsing.wire import Answer

NESTED_GROUPS_MAX = 32


def read(source: Source) -> tuple[Answer, str]:
    import pptx

    check_office(source)
    presentation = pptx.Presentation(source.file)
    draft = Draft(source.limits)
    draft.check_pages(len(presentation.slides))
    if source.extract_metadata:
        note_properties(draft, presentation.core_properties)
    draft.note("page_count", len(presentation.slides))
    for number, slide in enumerate(presentation.slides, start=1):
        draft.add("\n".join(_lines(slide)), number)
    return draft.finish(PPTX, "python-pptx")


def _lines(slide: Any) -> Iterator[str]:
    title = slide.shapes.title
    if title is not None and title.has_text_frame and title.text_frame.text.strip():
        yield f"# {' '.join(title.text_frame.text.split())}"
    for shape in _flat(slide.shapes):
        if title is None or shape.shape_id != title.shape_id:
            yield from _shape_lines(shape)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = slide.notes_slide.notes_text_frame.text.strip()
        if notes:
            yield f"Notes: {notes}"


def _flat(shapes: Any, depth: int = 0) -> Iterator[Any]:
    from pptx.shapes.group import GroupShape

    for shape in shapes:
        if not isinstance(shape, GroupShape):
            yield shape
        elif depth < NESTED_GROUPS_MAX:
            yield from _flat(shape.shapes, depth + 1)


def _shape_lines(shape: Any) -> Iterator[str]:
    if shape.has_text_frame:
        for paragraph in shape.text_frame.paragraphs:
            if text := paragraph.text.replace("\v", " ").strip():
                yield text
    elif getattr(shape, "has_table", False):
        for row in shape.table.rows:
            yield " | ".join(" ".join(cell.text.split()) for cell in row.cells)
