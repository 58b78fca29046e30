"""`remote::docling-serve` against its wire format on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from llama_stack.providers.file_processors.docling_serve import DoclingServe
from llama_stack_api.errors import (
    InvalidFile,
    InvalidRequest,
    LlamaStackError,
    Overloaded,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderTimeout,
    ProviderUnreachable,
    RateLimited,
    UnsupportedFile,
)
from llama_stack_api.provider import HealthStatus
from tests.support.file_processors import Processor, opened, page_texts
from tests.support.upstream import Answer, Recorded, Upstream, Wire

pytestmark = pytest.mark.anyio

CONVERT = "/v1/convert/file"


def text(label: str, words: str, page: int | None = None, **more: Any) -> dict[str, Any]:
    prov = [] if page is None else [{"page_no": page, "bbox": {"l": 0, "t": 1, "r": 2, "b": 3}, "charspan": [0, 5]}]
    return {"label": label, "text": words, "orig": words, "prov": prov, "children": [], **more}


def refs(*targets: str) -> list[dict[str, str]]:
    return [{"$ref": f"#/{target}"} for target in targets]


DOCUMENT: dict[str, Any] = {
    "schema_name": "DoclingDocument",
    "version": "1.5.0",
    "name": "scan",
    "body": {"self_ref": "#/body", "children": refs("texts/0", "texts/1", "groups/0", "tables/0", "texts/4", "body")},
    "furniture": {"self_ref": "#/furniture", "children": []},
    "groups": [{"label": "list", "children": refs("texts/2", "texts/3", "groups/0")}],
    "texts": [
        text("title", "A scan", 1),
        text("section_header", "Llamas", 1, level=1),
        text("list_item", "first", 1, marker="-", enumerated=False),
        text("list_item", "se\u0301cond", 3),
        text("footnote", "said on page one", 1),
        text("caption", "Ages", 3),
        text("page_footer", "page 1 of 3", 1, content_layer="furniture"),
    ],
    "tables": [
        {
            "label": "table",
            "prov": [{"page_no": 3}],
            "captions": refs("texts/5"),
            "children": refs("texts/5"),
            "data": {
                "num_rows": 2,
                "num_cols": 2,
                "grid": [[{"text": "Name"}, {"text": "Age"}], [{"text": "Ada"}, {"text": "36"}]],
            },
        }
    ],
    "pictures": [],
    "pages": {str(number): {"page_no": number, "size": {"width": 1, "height": 1}} for number in (1, 2, 3)},
}


def converted(status: str = "success", document: Any = DOCUMENT, **more: Any) -> Answer:
    body = {
        "document": {"filename": "scan.pdf", "md_content": None, "json_content": document},
        "status": status,
        "errors": [],
        "processing_time": 0.1,
        **more,
    }
    return Wire().body(json.dumps(body).encode(), "application/json")


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
async def docling(up: Upstream, tmp_path: Path) -> AsyncIterator[Processor]:
    async with opened(DoclingServe, tmp_path, base_url=up.url, api_key="the-key", timeout=5) as processor:
        yield processor


async def test_the_document_comes_back_with_exact_pages(docling: Processor, up: Upstream) -> None:
    up.always(converted(), on=CONVERT)
    parsed = await docling.read(b"%PDF-1.7 scanned", "scan.pdf", "application/pdf")
    assert page_texts(parsed) == {
        1: "# A scan\n\n## Llamas\n\n- first",
        3: "- sécond\n\nName | Age\nAda | 36\n\nAges\n\nsaid on page one",
    }
    assert parsed.metadata == {"page_count": 3}
    assert (parsed.media_type, parsed.parser) == ("application/pdf", "docling-serve")


async def test_the_file_is_sent_as_a_form_with_the_key(docling: Processor, up: Upstream) -> None:
    up.always(converted(), on=CONVERT)
    content = bytes(range(256)) * 4000
    await docling.read(content, 'a "scan".pdf', "application/pdf", do_ocr=False, ocr_lang="en")
    sent = up.last
    assert (sent.method, sent.path) == ("POST", CONVERT)
    assert sent.headers["x-api-key"] == "the-key"
    assert content in sent.raw
    for field, value in {"to_formats": b"json", "do_ocr": b"false", "ocr_lang": b"en"}.items():
        assert b'name="%s"\r\n\r\n%s\r\n' % (field.encode(), value) in sent.raw
    assert b'name="files"; filename="a %22scan%22.pdf"' in sent.raw
    assert int(sent.headers["content-length"]) == len(sent.raw)


async def test_a_document_that_cannot_be_converted_is_set_aside(docling: Processor, up: Upstream) -> None:
    up.always(converted("failure", None, errors=[{"error_message": "Input document is not valid."}]), on=CONVERT)
    with pytest.raises(InvalidFile, match="Input document is not valid"):
        await docling.read(b"x", "scan.pdf")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, ProviderRejectedCredentials),
        (403, ProviderRejectedCredentials),
        (422, InvalidFile),
        (429, RateLimited),
        (500, ProviderError),
        (503, Overloaded),
        (504, ProviderTimeout),
    ],
)
async def test_refusals_have_names(docling: Processor, up: Upstream, status: int, error: type[LlamaStackError]) -> None:
    up.always(Wire().body(b'{"detail":"no"}', "application/json", status), on=CONVERT)
    with pytest.raises(error) as raised:
        await docling.read(b"x", "scan.pdf")
    assert type(raised.value) is error
    assert "the-key" not in raised.value.message


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"document":{"json_content":null},"status":"success"}'])
async def test_answers_that_are_no_documents_are_errors(docling: Processor, up: Upstream, body: bytes) -> None:
    up.always(Wire().body(body, "application/json"), on=CONVERT)
    with pytest.raises(ProviderError):
        await docling.read(b"x", "scan.pdf")


async def test_nothing_is_sent_of_what_it_would_not_read(docling: Processor, up: Upstream) -> None:
    for name in ("a.py", "noname", "a.eml"):
        with pytest.raises(UnsupportedFile):
            await docling.read(b"x", name)
    with pytest.raises(InvalidRequest, match=r"options\.password.*do_ocr"):
        await docling.read(b"x", "a.pdf", password="x")


async def test_a_server_that_does_not_answer_is_given_up(up: Upstream, tmp_path: Path) -> None:
    up.always(Wire(stall_head=True).body(b"", "application/json"), on=CONVERT)
    async with opened(DoclingServe, tmp_path, base_url=up.url, timeout=0.2) as processor:
        with pytest.raises(ProviderTimeout, match="timeout"):
            await processor.read(b"x", "a.pdf")
        assert (await processor.impl.health()).status == HealthStatus.ERROR
    url = up.url
    up.stop()
    async with opened(DoclingServe, tmp_path, base_url=url) as processor:
        with pytest.raises(ProviderUnreachable):
            await processor.read(b"x", "a.pdf")


async def test_health(docling: Processor, up: Upstream) -> None:
    def healthy(request: Recorded) -> Answer:
        return Wire().body(b'{"status":"ok"}', "application/json")

    up.always(healthy, on="/health")
    assert (await docling.impl.health()).status == HealthStatus.OK
