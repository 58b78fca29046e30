"""A server of Docling's (docling-serve): layout, tables, scanned pages and images, on a machine that has the models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from llama_stack.net.config import NetworkConfig
from llama_stack.providers._shared.docling_document import DoclingDocument
from llama_stack.providers._shared.health import health_of
from llama_stack.providers._shared.multipart_body import MultipartBody
from llama_stack.providers._shared.parsing.draft import BETWEEN, normalized
from llama_stack_api.api import Api
from llama_stack_api.errors import (
    InvalidFile,
    InvalidRequest,
    LlamaStackError,
    Overloaded,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderTimeout,
    RateLimited,
    UnsupportedFile,
)
from llama_stack_api.ports.file_processors import Page, ParsedFile, SourceFile
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.principal import Call
from llama_stack_api.provider import HealthResponse, ProviderContext, provider

REPLY_BYTES_MAX: Final = 512 * 1024 * 1024
PIECE_BYTES: Final = 256 * 1024
READABLE: Final = frozenset(
    {
        *("pdf", "docx", "pptx", "xlsx", "html", "htm", "xhtml", "md", "csv", "adoc", "asciidoc"),
        *("png", "jpg", "jpeg", "tif", "tiff", "bmp", "webp"),
    }
)
"""Endings of names, by which docling-serve knows types."""
OPTIONS: Final = frozenset(
    {"do_ocr", "force_ocr", "ocr_engine", "ocr_lang", "pdf_backend", "table_mode", "document_timeout"}
)
"""Of a request, passed on as they are."""


class DoclingServeConfig(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True, hide_input_in_errors=True)

    base_url: str = "http://localhost:5001"
    """Where it answers `/v1/convert/file`."""
    api_key: SecretStr | None = None
    """What the server was started with as DOCLING_SERVE_API_KEY."""
    timeout: float = Field(default=600, gt=0)
    """Seconds for one file."""
    file_bytes_max: int = Field(default=512 * 1024 * 1024, ge=1)
    text_chars_max: int = Field(default=20_000_000, ge=1)
    """Characters of text that a file may give."""
    default_chunk_size_tokens: int = Field(default=800, ge=1)
    """Of chunks, where a request asks for the chunking strategy `auto`."""
    default_chunk_overlap_tokens: int = Field(default=400, ge=0)
    network: NetworkConfig = Field(default_factory=NetworkConfig)


class _Document(msgspec.Struct):
    json_content: DoclingDocument | None = None


class _Error(msgspec.Struct):
    error_message: str = ""


class _Converted(msgspec.Struct):
    document: _Document
    status: Literal["pending", "started", "failure", "success", "partial_success", "skipped"] = "success"
    errors: list[_Error] = []


@provider(
    api=Api.file_processors,
    type="remote::docling-serve",
    description="Layout, tables, scanned pages and images as Markdown with page numbers, by a docling-serve server.",
    config=DoclingServeConfig,
    sample={
        "base_url": "${env.DOCLING_SERVE_URL:=http://localhost:5001}",
        "api_key": "${env.DOCLING_SERVE_API_KEY:=}",
    },
    turned_on_by="DOCLING_SERVE_URL",
)
class DoclingServe:
    def __init__(self, config: DoclingServeConfig, context: ProviderContext) -> None:
        self.config = config
        self._name = context.provider_id
        self._url = config.base_url.rstrip("/").removesuffix("/v1")
        # A conversion says nothing until it is done.
        timeouts = config.network.timeouts().model_copy(update={"read": config.timeout})
        self._http = context.http(config.network.model_copy(update={"timeout": timeouts}))

    async def parse_file(self, source: SourceFile, options: Mapping[str, Any], call: Call) -> ParsedFile:
        suffix = PurePosixPath(source.filename).suffix.lstrip(".").lower()
        if suffix not in READABLE:
            raise UnsupportedFile(
                f"docling-serve reads files whose names end with: {', '.join(sorted(READABLE))}.", param="file"
            )
        size = (await asyncio.to_thread(source.path.stat)).st_size
        if size > self.config.file_bytes_max:
            raise InvalidFile(
                f"It has {size} bytes; file_bytes_max of file processor '{self._name}' allows "
                f"{self.config.file_bytes_max}.",
                param="file",
            )
        body = MultipartBody(
            _fields(options),
            name="files",
            filename=source.filename,
            content_type=source.content_type or "application/octet-stream",
            file=_pieces(source.path),
            size=size,
        )
        try:
            async with asyncio.timeout(self.config.timeout):
                converted = await self._converted(body)
        except TimeoutError:
            raise ProviderTimeout(
                f"Provider '{self._name}' did not read the file within {self.config.timeout:g} s; its setting timeout "
                "raises that limit."
            ) from None
        return self._parsed(converted, source)

    async def health(self) -> HealthResponse:
        return await health_of(self._answer())

    async def _answer(self) -> None:
        reply = await self._http.send("GET", f"{self._url}/health")
        await reply.aclose()
        if reply.status != 200:
            raise ProviderError(f"HTTP {reply.status}")

    async def _converted(self, body: MultipartBody) -> _Converted:
        headers = body.headers
        if self.config.api_key is not None and (key := self.config.api_key.get_secret_value()):
            headers["X-Api-Key"] = key
        reply = await self._http.send("POST", f"{self._url}/v1/convert/file", headers=headers, body=aiter(body))
        if reply.status != 200:
            await reply.aclose()
            raise self._refusal(reply)
        data = await reply.read(REPLY_BYTES_MAX)
        try:
            return await asyncio.to_thread(lambda: msgspec.json.decode(data, type=_Converted))
        except msgspec.DecodeError:
            raise ProviderError(f"Provider '{self._name}' answered with something else than a document.") from None

    def _parsed(self, converted: _Converted, source: SourceFile) -> ParsedFile:
        document = converted.document.json_content
        if converted.status not in ("success", "partial_success"):
            why = converted.errors[0].error_message[:500] if converted.errors else converted.status
            raise InvalidFile(f"docling-serve could not read it: {why}", param="file")
        if document is None:
            raise ProviderError(f"Provider '{self._name}' answered without a document.")
        text, pages = _paged(document)
        if len(text) > self.config.text_chars_max:
            raise InvalidFile(
                f"Its text is longer than {self.config.text_chars_max} characters; text_chars_max of file processor "
                f"'{self._name}' raises that limit.",
                param="file",
            )
        count = {"page_count": len(document.pages)} if document.pages else {}
        return ParsedFile(text, source.content_type, "docling-serve", pages, count)

    def _refusal(self, reply: HttpReply) -> LlamaStackError:
        status, name = reply.status, self._name
        if status in (401, 403):
            return ProviderRejectedCredentials(
                f"Provider '{name}' refused its api_key (HTTP {status}).", upstream_status=status
            )
        if status == 429:
            return RateLimited(f"Provider '{name}' is asked too often.")
        if status == 503:
            return Overloaded(f"Provider '{name}' is overloaded.")
        if status == 504:
            return ProviderTimeout(
                f"Provider '{name}' gave up on the file: its own limit (DOCLING_SERVE_MAX_SYNC_WAIT) is too short.",
                upstream_status=status,
            )
        if status in (400, 413, 415, 422):
            return InvalidFile(f"docling-serve refused the file (HTTP {status}).", param="file")
        return ProviderError(f"Provider '{name}' failed with HTTP {status}.", upstream_status=status)


def _fields(options: Mapping[str, Any]) -> dict[str, str]:
    unknown = sorted(options.keys() - OPTIONS)
    if unknown:
        raise InvalidRequest(
            f"options.{unknown[0]}: not known; known: {', '.join(sorted(OPTIONS))}.",
            param="options",
            code="invalid_value",
        )
    given = {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in options.items()
    }
    return {**given, "to_formats": "json", "image_export_mode": "placeholder", "include_images": "false"}


def _paged(document: DoclingDocument) -> tuple[str, tuple[Page, ...]]:
    """The text, and where its pages are. What stands in the text behind its own page (a footnote) is of the page that
    it was moved to."""
    parts: list[str] = []
    pages: list[Page] = []
    length = 0
    for number, block in document.blocks():
        text = normalized(block)
        start = length + len(BETWEEN) if parts else 0
        length = start + len(text)
        parts.append(text)
        if pages and (number is None or number <= pages[-1].number):
            pages[-1] = Page(pages[-1].number, pages[-1].start, length)
        elif number is not None:
            pages.append(Page(number, start, length))
    return BETWEEN.join(parts), tuple(pages)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece
    finally:
        await asyncio.to_thread(file.close)
