"""The arguments of a call as a model wrote them: text that should be a JSON object."""

from __future__ import annotations

from typing import Any

import msgspec

from llama_stack.dialects.openai.errors import UNREADABLE


def json_object(text: str) -> dict[str, Any] | None:
    """The object that `text` is the whole JSON of, else None."""
    try:
        value = msgspec.json.decode(text)
    except UNREADABLE:
        return None
    return value if isinstance(value, dict) else None
