"""`/docs`: all of the OpenAPI document, nothing of anybody else."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from llama_stack.http.docs_page import docs_page
from tests.support.edge import client, edge

pytestmark = pytest.mark.anyio

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Fails on tags that do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids |= {value for name, value in attrs if name == "id" and value}
        self.links |= {value for name, value in attrs if name in {"href", "src"} and value}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_the_page_holds_every_operation_and_type_and_no_foreign_address(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        replies = await asyncio.gather(*(http.get(path) for path in ("/docs", "/redoc", "/docs", "/openapi.json")))
        document = replies[-1].json()
    assert len({reply.text for reply in replies[:3]}) == 1
    reply = replies[0]
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    page = Page(reply.text)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert f"{method.upper()}{path}{operation['summary']}" in page.text
    for name, schema in document["components"]["schemas"].items():
        assert f"type-{name}" in page.ids
        for described in schema.get("properties", {}).values():
            assert "".join(described.get("description", "").split("\n\n")) in page.text
    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "form", "object"})
    assert not [name for name in page.attributes if name.startswith("on") or name == "style"]
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= page.ids
    assert [link for link in page.links if not link.startswith("#")] == ["openapi.json"]
    assert not re.search(r"https?:|@import|url\(", reply.text.split("</style>")[0])


def test_what_the_document_says_is_text() -> None:
    evil = "<script>\"&'</script>"
    schema: dict[str, Any] = {
        "type": "object",
        "description": evil,
        "required": [evil],
        "properties": {evil: {"enum": [evil], "description": evil, "default": evil}, "x": {"type": evil}},
    }
    operation = {
        "tags": [evil],
        "summary": evil,
        "description": evil,
        "parameters": [{"name": evil, "in": "query", "schema": {"$ref": f"#/components/schemas/{evil}"}}],
        "requestBody": {"content": {evil: {"schema": schema}}},
        "responses": {evil: {"description": evil, "content": {evil: {"schema": {"const": evil}}}}},
    }
    document = {
        "info": {"title": evil, "version": evil},
        "paths": {evil: {evil: operation}},
        "components": {"schemas": {evil: schema}},
    }
    text = docs_page(document).decode()
    page = Page(text)
    assert "script" not in page.tags
    assert "<script" not in text
    assert page.text.count("<script>") >= 10


def test_types_in_words() -> None:
    properties = {
        "a": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": 20},
        "b": {"type": "array", "items": {"$ref": "#/components/schemas/B"}},
        "c": {"type": "object", "additionalProperties": {"type": "string"}},
        "d": {"enum": ["x", "y"], "type": "string"},
        "e": {},
        "f": {"type": ["string", "null"], "maxLength": 5},
    }
    document = {
        "info": {"title": "t", "version": "1"},
        "paths": {},
        "components": {"schemas": {"A": {"properties": properties, "required": ["b"]}, "B": {"type": "string"}}},
    }
    text = Page(docs_page(document).decode()).text
    for words in (
        *("ainteger | null default 20, ≥ 1", "b requiredarray of B", "cmap to string", 'd"x" | "y"', "eany"),
        "fstring | null length ≤ 5",
    ):
        assert words in text
