"""Images and documents of a request, brought to where the model's provider can read them.

for a provider that speaks Messages   our files in the place of their ids; all else as it came
for a chat API                        images as data, from wherever they are; documents as text, save PDFs where
                                      the provider takes files
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from llama_stack.agent.attachments import FetchedAttachments, Part, Reference, UnknownFile
from llama_stack.services.files.spool import Spool
from llama_stack.services.messages.chat import Json
from llama_stack.services.messages.citations_sources import Readings, is_cited
from llama_stack.services.messages.providers import Abilities
from llama_stack.services.messages.server_tools.kept import shown_results
from llama_stack_api.errors import InvalidRequest, NotImplementedByProvider
from llama_stack_api.ports.file_processors import ParsedFile, SourceFile
from llama_stack_api.principal import Call

if TYPE_CHECKING:
    from llama_stack_api.anthropic.messages import CountTokensRequest

P = TypeVar("P", bound="CountTokensRequest")


class Parser(Protocol):
    async def parse(self, source: SourceFile, call: Call) -> ParsedFile: ...


class AttachedContent:
    """`attachments` gets what is elsewhere, within the limits of `server.responses.attachments`; `parser` reads PDFs,
    which lie in `spool` for that time."""

    def __init__(self, attachments: FetchedAttachments, parser: Parser, spool: Spool) -> None:
        self._attachments = attachments
        self._parser = parser
        self._spool = spool

    async def for_messages(self, params: P, call: Call) -> P:
        """`InvalidRequest` for files of ours that cannot be had. Files that we do not have are the provider's."""
        if not any(_names_file(message.content) for message in params.messages):
            return params
        request = params.model_dump(mode="json", exclude_unset=True, by_alias=True)
        for block in _media(request["messages"]):
            if block["source"].get("type") == "file":
                await self._replace_own(block, call)
        return type(params).model_validate(request)

    async def for_chat(self, request: Json, abilities: Abilities, call: Call, readings: Readings | None = None) -> Json:
        """The request itself, changed; `readings` get what was read of its documents, and of files that are to be
        cited. `InvalidRequest` for what cannot be had or read."""
        for message in request["messages"]:
            shown_results(message)
        blocks = [
            (block, reference)
            for block in _media(request["messages"])
            if (reference := _elsewhere(block, abilities)) is not None
        ]
        # The same picture may come again with every turn.
        references = list(dict.fromkeys(reference for _, reference in blocks))
        loaded = dict(zip(references, await self._attachments.load(references, call), strict=True))
        for block, reference in blocks:
            block["source"] = await self._source(block, loaded[reference], abilities, call, readings)
        if readings is not None:
            for block in _media(request["messages"]):
                if block["type"] == "document" and is_cited(block) and _is_pdf(block["source"]):
                    await self._read_to_cite(block, call, readings)
        return request

    async def _replace_own(self, block: Json, call: Call) -> None:
        try:
            (part,) = await self._attachments.load([_reference(block, "file_id", block["source"].get("file_id"))], call)
        except UnknownFile:
            return
        block["source"] = _source_of(part)

    async def _source(
        self, block: Json, part: Part, abilities: Abilities, call: Call, readings: Readings | None
    ) -> Json:
        source = _source_of(part)
        if block["type"] == "image" or source["type"] == "text":
            return source
        if abilities.takes_files and source["media_type"] == "application/pdf":
            return source
        name = block.get("title") or part.get("filename") or "document"
        reading = await self._read(b64decode(source["data"]), name, source["media_type"], call)
        if readings is not None:
            readings[id(block)] = reading
        if not reading.text.strip():
            raise InvalidRequest(
                f"The document {name!r} holds no text, and this model's provider reads text alone: send its pages as "
                "images.",
                param="messages",
            )
        return {"type": "text", "media_type": "text/plain", "data": reading.text}

    async def _read_to_cite(self, block: Json, call: Call, readings: Readings) -> None:
        """The model reads the file itself. What we cannot read is not cited."""
        source, name = block["source"], block.get("title") or "document.pdf"
        with suppress(InvalidRequest, NotImplementedByProvider, binascii.Error):
            readings[id(block)] = await self._read(b64decode(source["data"]), name, "application/pdf", call)

    async def _read(self, body: bytes, name: str, media_type: str, call: Call) -> ParsedFile:
        async with self._spool.copy(_once(body)) as path:
            return await self._parser.parse(SourceFile(path, name, media_type), call)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _names_file(content: Any) -> bool:
    return isinstance(content, list) and any(
        getattr(getattr(block, "source", None), "type", None) == "file" or _names_file(getattr(block, "content", None))
        for block in content
    )


def _media(content: Any) -> Iterator[Json]:
    """The images and documents in messages, wherever they stand: results of tools hold some."""
    for each in content if isinstance(content, list) else (content,):
        if isinstance(each, dict):
            if each.get("type") in ("image", "document") and isinstance(each.get("source"), dict):
                yield each
            yield from _media(each.get("content"))


def _elsewhere(block: Json, abilities: Abilities) -> Reference | None:
    """Where its content is to be had; None where it can stay as it is."""
    source = block["source"]
    match source.get("type"):
        case "url":
            return _reference(block, "image_url" if block["type"] == "image" else "file_url", source.get("url"))
        case "file":
            return _reference(block, "file_id", source.get("file_id"))
        case "base64" if block["type"] == "document" and not _is_kept(source, abilities):
            data = f"data:{source.get('media_type') or 'application/pdf'};base64,{source.get('data') or ''}"
            return _reference(block, "file_data", data)
    return None


def _is_pdf(source: Json) -> bool:
    """Whether it still is one, for a provider that takes files."""
    kind = source.get("media_type") or "application/pdf"
    return source.get("type") == "base64" and kind == "application/pdf" and isinstance(source.get("data"), str)


def _reference(block: Json, field: str, value: Any) -> Reference:
    if not isinstance(value, str) or not value:
        raise InvalidRequest("A source names neither an address, nor a file, nor data.", param="messages")
    return "input_image" if block["type"] == "image" else "input_file", field, value


def _is_kept(source: Json, abilities: Abilities) -> bool:
    kind = source.get("media_type") or "application/pdf"
    return bool(kind.startswith("text/")) or (abilities.takes_files and kind == "application/pdf")


def _source_of(part: Part) -> Json:
    if "text" in part:
        return {"type": "text", "media_type": "text/plain", "data": part["text"]}
    head, _, data = (part.get("image_url") or part["file_data"]).partition(",")
    return {"type": "base64", "media_type": head[5:].partition(";")[0], "data": data}
