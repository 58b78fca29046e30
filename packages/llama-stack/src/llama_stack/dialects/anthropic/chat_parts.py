"""Blocks of Anthropic's messages as the parts of chat messages.

    text                text
    image               image_url: an address, or a `data:` URL; an uploaded one is a `file`
    document            text between tags that name its title and context; a PDF is a `file`; blocks are their parts
    search_result       text between tags that name its title and source
    container_upload    text that names the file
    other blocks        their text, or else their JSON

`cache_control` and the request for citations have no words in the chat API and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from llama_stack.dialects.chat.values import Json, as_json, data_url, decoded_text, mapping, objects, text_or
from llama_stack_api.errors import InvalidRequest

_NO_WORDS = ("cache_control", "citations")


def parts_of(content: Any) -> list[Json]:
    """The parts of content that is a string or a list of blocks. `InvalidRequest` for what chat cannot hold."""
    if isinstance(content, str):
        return [text_part(content)] if content else []
    return [part for block in objects(content) for part in block_parts(block)]


def block_parts(block: Json) -> list[Json]:
    """A block as parts, in their order."""
    match block.get("type"):
        case "text":
            return parts_of(text_or(block.get("text")))
        case "image":
            return [_image(mapping(block.get("source")))]
        case "document":
            return _document(block)
        case "search_result":
            attributes = {"title": block.get("title"), "source": block.get("source")}
            return _between("search_result", attributes, parts_of(block.get("content")))
        case "tool_reference":
            return [text_part(text_or(block.get("tool_name")))]
        case "container_upload":
            return [text_part(f"[file {text_or(block.get('file_id'))}]")]
    if isinstance(block.get("text"), str):
        return parts_of(block["text"])
    return [text_part(as_json({name: value for name, value in block.items() if name not in _NO_WORDS}))]


def text_part(text: str) -> Json:
    return {"type": "text", "text": text}


def content_of(parts: Sequence[Json]) -> str | list[Json]:
    """Plain text as a string, which every provider takes; its parts are lines of their own."""
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return list(parts)


def divided(parts: Iterable[Json]) -> tuple[str, list[Json]]:
    """The text, and what only a user's message may hold."""
    parts = list(parts)
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    return text, [part for part in parts if part["type"] != "text"]


def _image(source: Json) -> Json:
    match source.get("type"):
        case "base64":
            url = data_url(text_or(source.get("media_type"), "image/png"), text_or(source.get("data")))
        case "url":
            url = text_or(source.get("url"))
        case "file":
            return {"type": "file", "file": {"file_id": text_or(source.get("file_id"))}}
        case other:
            raise InvalidRequest(f"An image's source of type {other!r} is not known.", param="messages")
    return {"type": "image_url", "image_url": {"url": url}}


def _document(block: Json) -> list[Json]:
    source, title = mapping(block.get("source")), text_or(block.get("title"))
    attributes = {"title": title, "context": block.get("context")}
    match source.get("type"):
        case "text":
            parts = parts_of(text_or(source.get("data")))
        case "content":
            parts = parts_of(source.get("content"))
        case "base64":
            return _file(source, title, attributes)
        case "file":
            return _about(attributes, {"file_id": text_or(source.get("file_id"))})
        case "url":
            raise InvalidRequest(
                "This model's provider does not fetch documents. Send the document itself, as base64 or text.",
                param="messages",
            )
        case other:
            raise InvalidRequest(f"A document's source of type {other!r} is not known.", param="messages")
    return _between("document", attributes, parts)


def _file(source: Json, title: str, attributes: Json) -> list[Json]:
    media, data = text_or(source.get("media_type"), "application/pdf"), text_or(source.get("data"))
    text = decoded_text(data) if media.startswith("text/") else None
    if text is not None:
        return _between("document", attributes, parts_of(text))
    return _about(attributes, {"filename": title or "document.pdf", "file_data": data_url(media, data)})


def _about(attributes: Json, file: Json) -> list[Json]:
    """A file, behind what is said about it. Its title is its name."""
    context = text_or(attributes.get("context"))
    return [*parts_of(context), {"type": "file", "file": file}]


def _between(tag: str, attributes: Json, parts: list[Json]) -> list[Json]:
    """Parts between tags, so that the model sees where a source begins and ends. Text alone is one part."""
    named = "".join(
        f" {name}={quoteattr(value)}" for name, value in attributes.items() if value and isinstance(value, str)
    )
    around = [text_part(f"<{tag}{named}>"), *parts, text_part(f"</{tag}>")]
    text, others = divided(around)
    return around if others else [text_part(text)]
