"""The texts in JSON values that a shield may have redacted, and the values with what is left of those."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

import msgspec

from llama_stack.agent.readable import NO_TEXT
from llama_stack.dialects.openai.errors import UNREADABLE

_KEPT: Final = NO_TEXT | {
    *("tool_call_id", "call_id", "file_id", "status", "encrypted_content"),
    *("image_url", "input_audio", "file", "file_url", "server_url"),
}
"""Members that hold no text that could be another. A shield that reads more in them is not content with what is left,
and then nothing passes."""


def texts_in(value: Any) -> list[str]:
    """All texts, in order; empty ones are left out. In arguments, which are JSON, also numbers,
    and the names of members before their values."""
    return list(_texts(value))


def with_texts(value: Any, texts: Iterable[str]) -> Any:
    """The value with other `texts`, which are as many as `texts_in` gives."""
    return _replaced(value, iter(texts))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        return iter([value] if value else ())
    if isinstance(value, dict):
        return chain.from_iterable(_texts_at(name, each) for name, each in value.items() if name not in _KEPT)
    if isinstance(value, list):
        return chain.from_iterable(map(_texts, value))
    return iter(())


def _texts_at(name: str, value: Any) -> Iterator[str]:
    told = _told(name, value)
    return _texts(value) if told is None else _told_texts(told)


def _told(name: str, value: Any) -> Any:
    """What stands in arguments, where those are JSON with members."""
    if name != "arguments" or not isinstance(value, str):
        return None
    try:
        told = msgspec.json.decode(value)
    except UNREADABLE:
        return None
    return told if isinstance(told, dict | list) else None


def _told_texts(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        return chain.from_iterable(_told_texts(each, name) for name, each in value.items())
    if isinstance(value, list):
        return chain.from_iterable(_told_texts(each, name) for each in value)
    return iter([_named(name, value)] if _is_text(value) else ())


def _named(name: str, value: Any) -> str:
    """Some secrets are known by what they are called."""
    return f"{name}: {value}" if name else str(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""


def _replaced(value: Any, texts: Iterator[str]) -> Any:
    if isinstance(value, str):
        return next(texts) if value else value
    if isinstance(value, dict):
        return {name: each if name in _KEPT else _replaced_at(name, each, texts) for name, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, texts) for each in value]
    return value


def _replaced_at(name: str, value: Any, texts: Iterator[str]) -> Any:
    told = _told(name, value)
    if told is None:
        return _replaced(value, texts)
    left = _told_replaced(told, texts)
    return value if left == told else msgspec.json.encode(left).decode()


def _told_replaced(value: Any, texts: Iterator[str], name: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _told_replaced(each, texts, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_told_replaced(each, texts, name) for each in value]
    if not _is_text(value):
        return value
    text = next(texts)
    return value if text == _named(name, value) else text.removeprefix(_named(name, ""))
