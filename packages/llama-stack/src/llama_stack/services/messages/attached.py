"""Images and documents of a request, brought to where the model's provider can read them.

for a provider that speaks Messages   our files in the place of their ids; all else as it came
for a chat API                        images as data, from wherever they are; documents as text, save PDFs where
                                      the provider takes files
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from llama_stack.agent.attachments import FetchedAttachments
from llama_stack.agent.entries import Entry
from llama_stack.services.files.spool import Spool
from llama_stack.services.messages.chat import Json
from llama_stack.services.messages.providers import Abilities
from llama_stack.services.messages.server_tools.kept import shown_results
from llama_stack_api.anthropic.messages import CountTokensRequest
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.ports.file_processors import ParsedFile, SourceFile
from llama_stack_api.principal import Call

P = TypeVar("P", bound=CountTokensRequest)


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

    async def for_chat(self, request: Json, abilities: Abilities, call: Call) -> Json:
        """The request itself, changed. `InvalidRequest` for what cannot be had or read."""
        for message in request["messages"]:
            shown_results(message)
        blocks = [block for block in _media(request["messages"]) if _part(block, abilities) is not None]
        if blocks:
            parts = await self._inlined([_part(block, abilities) for block in blocks], call)
            for block, part in zip(blocks, parts, strict=True):
                block["source"] = await self._source(block, part, abilities, call)
        return request

    async def _replace_own(self, block: Json, call: Call) -> None:
        kind = "input_image" if block["type"] == "image" else "input_file"
        try:
            (part,) = await self._inlined([{"type": kind, "file_id": block["source"].get("file_id")}], call)
        except InvalidRequest as error:
            if error.code in ("image_file_not_found", "invalid_prompt") and "does not exist" in error.message:
                return
            raise
        block["source"] = _source_of(part)

    async def _inlined(self, parts: Iterable[Json | None], call: Call) -> list[Json]:
        entry = Entry({"type": "message", "role": "user", "content": list(parts)})
        (inlined,) = await self._attachments.inline([entry], call)
        content: list[Json] = inlined.item["content"]
        return content

    async def _source(self, block: Json, part: Json, abilities: Abilities, call: Call) -> Json:
        source = _source_of(part)
        if block["type"] == "image" or source["type"] == "text":
            return source
        if abilities.takes_files and source["media_type"] == "application/pdf":
            return source
        name = block.get("title") or part.get("filename") or "document"
        text = await self._read(b64decode(source["data"]), name, source["media_type"], call)
        if not text.strip():
            raise InvalidRequest(
                f"The document {name!r} holds no text, and this model's provider reads text alone: send its pages as "
                "images.",
                param="messages",
            )
        return {"type": "text", "media_type": "text/plain", "data": text}

    async def _read(self, body: bytes, name: str, media_type: str, call: Call) -> str:
        async with self._spool.copy(_once(body)) as path:
            return (await self._parser.parse(SourceFile(path, name, media_type), call)).text


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


def _part(block: Json, abilities: Abilities) -> Json | None:
    """What is to be had, as the agent's attachments are asked for it; None for what is here."""
    source, is_image = block["source"], block["type"] == "image"
    match source.get("type"):
        case "url":
            return _asked(is_image, "image_url" if is_image else "file_url", source.get("url"))
        case "file":
            return _asked(is_image, "file_id", source.get("file_id"))
        case "base64" if not is_image and not _is_kept(source, abilities):
            data = f"data:{source.get('media_type') or 'application/pdf'};base64,{source.get('data') or ''}"
            return {**_asked(is_image, "file_data", data), "filename": block.get("title") or "document.pdf"}
    return None


def _is_kept(source: Json, abilities: Abilities) -> bool:
    kind = source.get("media_type") or "application/pdf"
    return bool(kind.startswith("text/")) or (abilities.takes_files and kind == "application/pdf")


def _asked(is_image: bool, field: str, value: Any) -> Json:
    return {"type": "input_image" if is_image else "input_file", field: value}


def _source_of(part: Json) -> Json:
    if "text" in part:
        # Behind a heading for models, which say by tags what a document is.
        return {"type": "text", "media_type": "text/plain", "data": part["text"].partition(":\n\n")[2]}
    url = part.get("image_url") or part.get("file_data")
    if not isinstance(url, str):
        raise InvalidRequest("A source names neither an address, nor a file, nor data.", param="messages")
    head, _, data = url.partition(",")
    return {"type": "base64", "media_type": head[5:].partition(";")[0], "data": data}
