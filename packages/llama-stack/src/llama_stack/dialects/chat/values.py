"""Reading decoded JSON whose shape nobody has checked."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any, Final, TypeAlias

import msgspec

from llama_stack.dialects.openai.errors import UNREADABLE

Json: TypeAlias = dict[str, Any]
"""A JSON object."""

CALL_ID_CHARS_MAX: Final = 40
"""OpenAI takes no longer ids of calls."""


def objects(values: Any) -> list[Json]:
    """The objects of a list; none of what is no list."""
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def strings(values: Any) -> list[str]:
    """The texts of a list; none of what is no list."""
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def mapping(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def text_or(value: Any, default: str = "") -> str:
    return value if isinstance(value, str) else default


def as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def without_nulls(value: Json) -> Json:
    return {name: member for name, member in value.items() if member is not None}


def json_object(text: str) -> Json | None:
    """The object that `text` is the whole JSON of, else None."""
    try:
        value = msgspec.json.decode(text)
    except UNREADABLE:
        return None
    return value if isinstance(value, dict) else None


def chat_call_id(call_id: str) -> str:
    """The id, or a digest of it where OpenAI would refuse it."""
    if 0 < len(call_id) <= CALL_ID_CHARS_MAX:
        return call_id
    return f"call_{hashlib.sha256(call_id.encode(errors='replace')).hexdigest()[:24]}"


def data_url(media_type: str, data: str) -> str:
    return f"data:{media_type};base64,{data}"


def parsed_data_url(url: str) -> tuple[str, str] | None:
    """Media type and base64 data of a `data:` URL in base64; None for any other URL."""
    head, comma, data = url.partition(",")
    media, *options = head.removeprefix("data:").split(";")
    if not comma or not head.startswith("data:") or "base64" not in [option.strip().lower() for option in options]:
        return None
    return media.strip().lower(), data


def decoded_text(data: str) -> str | None:
    """The text that base64 data holds, or None where it holds none."""
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
