"""`inline::markitdown` in its process, within its limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from llama_stack.providers.file_processors.markitdown import MarkItDown
from llama_stack_api.errors import InvalidFile, UnsupportedFile
from tests.support import documents
from tests.support.file_processors import Processor, opened

pytestmark = pytest.mark.anyio


@pytest.fixture
async def markitdown(tmp_path: Path) -> AsyncIterator[Processor]:
    async with opened(MarkItDown, tmp_path, timeout_s=60, cpu_seconds_max=60) as processor:
        yield processor


async def test_documents_become_markdown(markitdown: Processor) -> None:
    sheet = await markitdown.read(documents.xlsx({"Ages": [["Name", "Age"], ["Ada", 36]]}), "ages.xlsx")
    assert "| Ada | 36 |" in sheet.text
    assert sheet.parser == "markitdown"
    page = await markitdown.read(b"<html><title>A page</title><body><h1>Llamas</h1><p>spit</p></body></html>", "a.html")
    assert page.text == "# Llamas\n\nspit"
    assert page.metadata == {"title": "A page"}
    assert len(markitdown.pids) == 1


async def test_what_is_hostile_to_us_does_not_get_there(markitdown: Processor) -> None:
    with pytest.raises(UnsupportedFile, match="archives are not opened"):
        await markitdown.read(documents.with_member(b"PK\5\6" + bytes(18), "a", b"x"), "a.zip")
    bomb = documents.with_member(documents.docx(lambda document: None), "word/document.xml", b" " * 30_000_000)
    with pytest.raises(InvalidFile, match="zip bomb"):
        await markitdown.read(bomb, "bomb.docx")
