"""DOCX, PPTX and XLSX as office programs write them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.support import documents
from tests.support.file_processors import Processor, page_texts

pytestmark = pytest.mark.anyio


def report(document: Any) -> None:
    document.core_properties.title = "Annual report"
    document.core_properties.author = "Ada"
    document.sections[0].header.paragraphs[0].text = "Confidential"
    document.add_heading("Llamas", level=1)
    document.add_paragraph("They are camelids.")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(
        [cell for row in table.rows for cell in row.cells], ("Name", "Age", "Ada", "36"), strict=True
    ):
        cell.text = text
    document.add_paragraph("After the table.")
    document.add_paragraph("A point", style="List Bullet")


async def test_docx_is_in_reading_order(auto: Processor) -> None:
    parsed = await auto.read(documents.docx(report), "report.docx")
    assert parsed.text.split("\n\n") == [
        "Confidential",
        "# Llamas",
        "They are camelids.",
        "Name | Age\nAda | 36",
        "After the table.",
        "- A point",
    ]
    assert parsed.media_type == "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    assert parsed.metadata["title"] == "Annual report"
    assert parsed.metadata["author"] == "Ada"
    assert parsed.pages == ()


async def test_merged_cells_of_docx_stand_once(auto: Processor) -> None:
    def fill(document: Any) -> None:
        table = document.add_table(rows=1, cols=3)
        table.rows[0].cells[0].merge(table.rows[0].cells[1]).text = "wide"
        table.rows[0].cells[2].text = "narrow"

    assert (await auto.read(documents.docx(fill))).text == "wide | narrow"


async def test_an_office_file_is_known_by_its_content(auto: Processor) -> None:
    parsed = await auto.read(documents.docx(report), "report.pdf", "application/pdf")
    assert parsed.parser == "python-docx"


async def test_slides_are_pages_with_their_notes(auto: Processor) -> None:
    def fill(presentation: Any) -> None:
        from pptx.util import Inches

        first = presentation.slides.add_slide(presentation.slide_layouts[1])
        first.shapes.title.text = "Why llamas"
        first.placeholders[1].text = "They carry things.\nThey spit."
        first.notes_slide.notes_text_frame.text = "Smile here."
        second = presentation.slides.add_slide(presentation.slide_layouts[6])
        table = second.shapes.add_table(1, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
        table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
        group = second.shapes.add_group_shape()
        group.shapes.add_textbox(Inches(1), Inches(3), Inches(2), Inches(1)).text_frame.text = "in a group"

    parsed = await auto.read(documents.pptx(fill), "talk.pptx")
    assert page_texts(parsed) == {
        1: "# Why llamas\nThey carry things.\nThey spit.\nNotes: Smile here.",
        2: "left | right\nin a group",
    }
    assert parsed.metadata["page_count"] == 2


async def test_sheets_are_pages_of_values(auto: Processor) -> None:
    parsed = await auto.read(
        documents.xlsx(
            {
                "Prices": [["Item", "Price"], ["Hay", 1.5], ["Oats", 2.0], [None, None], ["Since", True]],
                "Empty": [],
                "Dates": [[datetime.date(2026, 1, 5), datetime.datetime.fromisoformat("2026-01-05T10:30")], ["=1+1"]],
            }
        ),
        "prices.xlsx",
    )
    assert page_texts(parsed) == {
        1: "# Prices\nItem | Price\nHay | 1.5\nOats | 2\nSince | TRUE",
        3: "# Dates\n2026-01-05 | 2026-01-05 10:30:00",  # a formula that no program has calculated has no value
    }
