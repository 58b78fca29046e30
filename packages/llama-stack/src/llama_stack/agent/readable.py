"""What a shield can read: the text in JSON values, and chat messages whose every word is content.

Shields look at the content of messages, most of them at its text alone. What a model is shown beside that (earlier
thoughts, calls, parts of types that only its provider knows) is put down as text for them.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from llama_stack.dialects.openai.errors import UNREADABLE

NO_TEXT: Final = frozenset({"role", "type", "id", "index", "signature", "data", "expires_at", "file_data"})
"""Members that hold no words: `data` is encrypted thought, or sound whose transcript stands beside it."""

_CONTRACT: Final = {
    *("content", "text", "refusal", "name", "arguments", "input", "function", "custom", "tool_calls", "function_call"),
    *("reasoning", "reasoning_content", "reasoning_details", "thinking_blocks", "thinking", "summary", "format"),
    *("audio", "transcript", "annotations", "url_citation", "file_citation", "url", "title", "start_index"),
    *("end_index", "file", "filename", "file_id"),
}
"""Names of members that are the API's own words. All others may be the model's, or the caller's."""

_SEEN: Final = frozenset({"text", "image_url", "input_audio", "file"})
"""Types of parts that stay as they are, for shields that look at more than text."""

_STAYS: Final = frozenset({"role", "content", "tool_call_id"})


def text_in(values: Iterable[Any]) -> str:
    """All that can be read in JSON values. Strings at the same place of one and the next are pieces of one text."""
    texts: dict[tuple[str | int, ...], list[str]] = {}
    for value in values:
        for place, text in _strings(value, ()):
            texts.setdefault(place, []).append(text)
    return "\n".join("".join(pieces) for pieces in texts.values())


def plain(arguments: str) -> str:
    """JSON without escapes, behind which a word could hide from a shield; what is no JSON stays as it is."""
    try:
        return msgspec.json.encode(msgspec.json.decode(arguments)).decode()
    except UNREADABLE:
        return arguments


def readable(message: Mapping[str, Any]) -> dict[str, Any]:
    """A chat message for a shield: what it holds beside content that shields know follows as text of its content."""
    content = message.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    # The name of a function's message belongs to its form.
    form = _STAYS | {"name"} if message.get("role") == "function" else _STAYS
    beside = {name: value for name, value in message.items() if name not in form and value is not None}
    texts = [*map(_unseen, parts), text_in([beside])]
    hidden = "\n".join(text for text in texts if text)
    if not hidden:
        return dict(message)
    kept = {name: message[name] for name in form if name in message}
    if isinstance(content, list):
        seen = [part for part in parts if part.get("type") in _SEEN]
        return {**kept, "content": [*seen, {"type": "text", "text": hidden}]}
    return {**kept, "content": f"{content}\n{hidden}" if content else hidden}


def _unseen(part: Mapping[str, Any]) -> str:
    if part.get("type") == "file":
        file = part.get("file")
        return _file_text(file) if isinstance(file, dict) else ""
    return "" if part.get("type") in _SEEN else text_in([part])


def _file_text(file: Mapping[str, Any]) -> str:
    """Its name, and what stands in it if it is text."""
    head, _, data = str(file.get("file_data") or "").partition(",")
    if not head.startswith("data:text/"):
        return str(file.get("filename") or "")
    try:
        body = b64decode(data).decode(errors="replace") if head.endswith(";base64") else data
    except binascii.Error:
        body = data
    return f"{file.get('filename') or ''}\n{body}".strip()


def _strings(value: Any, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield place, plain(value) if place[-1:] == ("arguments",) else value
    elif isinstance(value, dict):
        for name, each in value.items():
            if name in NO_TEXT:
                continue
            if name not in _CONTRACT:
                yield (*place, name, "its name"), name
            yield from _strings(each, (*place, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _strings(each, (*place, number))
