"""PDF: text, pages, metadata; the second parser; what is locked or has no text."""

from __future__ import annotations

from pathlib import Path

import pytest

from llama_stack.providers.file_processors.pypdf import PyPdf
from llama_stack_api.errors import InvalidFile, InvalidRequest
from llama_stack_api.ports.file_processors import Page
from tests.support import documents
from tests.support.file_processors import Processor, opened, page_texts

pytestmark = pytest.mark.anyio

TWO_PAGES = documents.pdf([["The llama stood on the hill.", "It looked south."], ["Then it rained."]], title="A llama")


async def test_pages_are_exact_spans_of_the_text(auto: Processor) -> None:
    parsed = await auto.read(TWO_PAGES, "llama.pdf", "application/pdf")
    assert parsed.text == "The llama stood on the hill.\nIt looked south.\n\nThen it rained."
    assert parsed.pages == (Page(1, 0, 45), Page(2, 47, 62))
    assert page_texts(parsed)[2] == "Then it rained."
    assert (parsed.media_type, parsed.parser) == ("application/pdf", "pypdfium2")
    assert parsed.metadata["title"] == "A llama"
    assert parsed.metadata["page_count"] == 2


async def test_the_same_bytes_give_the_same_result(auto: Processor) -> None:
    assert await auto.read(TWO_PAGES, "a.pdf") == await auto.read(TWO_PAGES, "a.pdf")


async def test_blank_pages_keep_the_numbers_of_the_others(auto: Processor) -> None:
    parsed = await auto.read(documents.pdf([[], ["Second."], [], ["Fourth."]]))
    assert page_texts(parsed) == {2: "Second.", 4: "Fourth."}
    assert parsed.metadata["page_count"] == 4


async def test_a_pdf_is_known_by_its_content(auto: Processor) -> None:
    parsed = await auto.read(b"\n" * 20 + TWO_PAGES, "notes.txt", "text/plain")
    assert parsed.media_type == "application/pdf"


def miscounted(text: str) -> bytes:
    """Its tree of pages says that there are two and has one: PDFium fails on the second, pypdf walks the tree."""
    content = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET".encode()
    return documents.raw_pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Count 2 /Kids [3 0 R] >>",
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
            b"/Resources << /Font << /F1 5 0 R >> >> >>",
            4: b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
            5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        }
    )


async def test_what_pdfium_cannot_read_goes_to_pypdf(auto: Processor) -> None:
    parsed = await auto.read(miscounted("Read by the second parser."), "a.pdf")
    assert page_texts(parsed) == {1: "Read by the second parser."}
    assert parsed.parser == "pypdf"


async def test_an_encrypted_pdf_wants_its_password(auto: Processor) -> None:
    locked = documents.pdf([["Secret."]], password="sesame")
    for password in (None, "wrong"):
        with pytest.raises(InvalidFile, match=r"encrypted.*'password'") as raised:
            await auto.read(locked, "locked.pdf", password=password)
        assert "sesame" not in raised.value.message
    assert (await auto.read(locked, "locked.pdf", password="sesame")).text == "Secret."


async def test_a_pdf_without_text_says_what_reads_scans(auto: Processor) -> None:
    with pytest.raises(InvalidFile, match=r"no text.*docling"):
        await auto.read(documents.pdf([[], []]), "scan.pdf")


async def test_text_is_cleaned_where_it_is_asked_for(auto: Processor, tmp_path: Path) -> None:
    spaced = miscounted("wide     spaces")
    assert (await auto.read(spaced)).text == "wide     spaces"
    assert (await auto.read(spaced, clean_text=True)).text == "wide spaces"
    async with opened(PyPdf, tmp_path) as pypdf:
        assert (await pypdf.read(spaced)).text == "wide spaces"
        assert (await pypdf.read(spaced, clean_text=False)).text == "wide     spaces"
        assert (await pypdf.read(spaced, extract_metadata=False)).metadata == {"page_count": 1}


async def test_unknown_options_are_refused(auto: Processor) -> None:
    with pytest.raises(InvalidRequest, match=r"options\.ocr.*password"):
        await auto.read(TWO_PAGES, ocr=True)
