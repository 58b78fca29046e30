"""The content of items as the content of chat messages.

Only messages of the user hold images, files and audio, for that is what providers take. Whatever else has some (a
tool's output, a message of another role) gives its text there, and the rest to a message of the user right after it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import unquote_to_bytes

import msgspec

from llama_stack.agent.entries import Item

Part: TypeAlias = dict[str, Any]
"""A part of a chat message."""

_TEXT_TYPES: Final = frozenset({"input_text", "output_text", "text", "reasoning_text", "summary_text"})
_TEXT_MEDIA: Final = frozenset({
    "application/json", "application/xml", "application/yaml", "application/x-yaml", "application/toml",
    "application/javascript", "application/x-javascript", "application/sql", "application/x-sh",
})  # fmt: skip
_CHAT_TYPES: Final = frozenset({"text", "image_url", "input_audio", "file"})
_DETAILS: Final = {"original": "high"}
"""Of images: what the chat API has no word for."""


def chat_parts(content: Any) -> list[Part]:
    """The parts of a message, given as a string or as a list of parts. Those that neither contract knows (video, …) are
    the provider's to judge."""
    if isinstance(content, str):
        return [_text(content)]
    return [_chat_part(part) or part for part in content or ()]


def result_parts(result: Any) -> list[Part]:
    """What a tool answered, which may be any JSON; what is no part is text."""
    if result is None or isinstance(result, str):
        return [_text(result or "")]
    return [_result_part(part) for part in (result if isinstance(result, list) else [result])]


def content_of(parts: Sequence[Part]) -> str | list[Part]:
    """Plain text as a string, which every provider takes; its parts are lines of their own."""
    if all(part["type"] == "text" and len(part) == 2 for part in parts):
        return "\n".join(part["text"] for part in parts)
    return list(parts)


def divided(parts: Iterable[Part]) -> tuple[str, list[Part]]:
    """The text, and what only the user may say."""
    texts, others = [], []
    for part in parts:
        if part["type"] == "text":
            texts.append(part["text"])
        else:
            others.append(part)
    return "\n".join(texts), others


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else as_json(value)


def as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _result_part(part: Any) -> Part:
    if isinstance(part, dict):
        return _chat_part(part) or (part if part.get("type") in _CHAT_TYPES else _text(as_json(part)))
    return _text(as_text(part))


def _chat_part(part: Item) -> Part | None:
    kind = part.get("type")
    if kind in _TEXT_TYPES and isinstance(part.get("text"), str):
        return _marked(_text(part["text"]), part)
    if kind == "refusal":
        return _text(str(part.get("refusal") or ""))
    if kind in ("input_image", "computer_screenshot"):
        return _marked(_image(part), part)
    if kind == "input_file":
        return _marked(_file(part), part)
    return None


def _text(text: str) -> Part:
    return {"type": "text", "text": text}


def _marked(made: Part, part: Item) -> Part:
    mark = part.get("prompt_cache_breakpoint")
    return made if mark is None else {**made, "prompt_cache_breakpoint": mark}


def _image(part: Item) -> Part:
    url = part.get("image_url")
    if isinstance(url, dict):
        url = url.get("url")
    if not url:
        return _text(f"[image {part.get('file_id') or 'without content'}]")
    image = {"url": url}
    if part.get("detail") is not None:
        image["detail"] = _DETAILS.get(part["detail"], part["detail"])
    return {"type": "image_url", "image_url": image}


def _file(part: Item) -> Part:
    data, name = part.get("file_data"), part.get("filename")
    if data:
        text = _text_of(data)
        if text is not None:
            return _text(f"{name}:\n{text}" if name else text)
        return {"type": "file", "file": {"filename": name, "file_data": data} if name else {"file_data": data}}
    if part.get("file_id"):
        return {"type": "file", "file": {"file_id": part["file_id"]}}
    return _text(f"[file {part.get('file_url') or name or 'without content'}]")


def _text_of(url: str) -> str | None:
    """The text in a `data:` URL of a type that is text; None for any other."""
    head, comma, data = url.partition(",")
    media, *options = head.removeprefix("data:").lower().split(";")
    if not comma or not head.startswith("data:") or not _is_text(media.strip()):
        return None
    try:
        raw = base64.b64decode(data, validate=True) if "base64" in options else unquote_to_bytes(data)
        return raw.decode()
    except (binascii.Error, ValueError):
        return None


def _is_text(media: str) -> bool:
    return media.startswith("text/") or media in _TEXT_MEDIA or media.endswith(("+json", "+xml", "+yaml"))
