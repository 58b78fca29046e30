"""Parts of chat messages as Anthropic's content blocks.

    text, refusal           text
    image_url               image: an address, or the data of a `data:` URL
    file                    document: a PDF as base64, text as text
    input_audio, others     refused

`cache_control` of a part stays, and `prompt_cache_breakpoint` becomes one.
"""

from __future__ import annotations

from typing import Any, Final

from llama_stack.dialects.chat.values import Json, decoded_text, mapping, objects, parsed_data_url, text_or
from llama_stack_api.errors import InvalidRequest, UnsupportedParameter

_MEDIA: Final = {"image/jpg": "image/jpeg"}


def blocks_of(content: Any) -> list[Json]:
    """Content that is a string or a list of parts. `UnsupportedParameter` for parts that Anthropic's API has not."""
    if isinstance(content, str):
        return _texts(content, {})
    return [block for part in objects(content) for block in _blocks(part)]


def text_blocks(content: Any) -> list[Json]:
    """The text of content that has nothing else."""
    return [block for block in blocks_of(content) if block["type"] == "text"]


def _blocks(part: Json) -> list[Json]:
    match part.get("type"):
        case "text":
            return _texts(text_or(part.get("text")), part)
        case "refusal":
            return _texts(text_or(part.get("refusal")), part)
        case "image_url":
            return [{"type": "image", "source": _image_source(part.get("image_url")), **_cached(part)}]
        case "file":
            return [{**_document(mapping(part.get("file"))), **_cached(part)}]
        case other:
            raise UnsupportedParameter(f"Anthropic's models take no content of type {other!r}.", param="messages")


def _texts(text: str, part: Json) -> list[Json]:
    return [{"type": "text", "text": text, **_cached(part)}] if text.strip() else []


def _cached(part: Json) -> Json:
    mark = part.get("cache_control")
    if isinstance(mark, dict):
        return {"cache_control": mark}
    return {"cache_control": {"type": "ephemeral"}} if part.get("prompt_cache_breakpoint") else {}


def _image_source(image: Any) -> Json:
    url = text_or(mapping(image).get("url") or image)
    data = parsed_data_url(url)
    if data is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": _MEDIA.get(data[0], data[0]), "data": data[1]}


def _document(file: Json) -> Json:
    name = text_or(file.get("filename"))
    titled: Json = {"title": name} if name else {}
    given = text_or(file.get("file_data"))
    if not given:
        raise UnsupportedParameter("Anthropic's models take no files by 'file_id'. Send 'file_data'.", param="messages")
    media, data = parsed_data_url(given) or ("application/pdf", given)
    if media == "application/pdf":
        return {"type": "document", "source": {"type": "base64", "media_type": media, "data": data}, **titled}
    text = decoded_text(data)
    if text is None:
        raise InvalidRequest(f"Anthropic's models take PDF and text, no file of type '{media}'.", param="messages")
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}, **titled}
