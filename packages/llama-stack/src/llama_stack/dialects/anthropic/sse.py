"""Events of the Messages API on the wire: named, and ended by `message_stop` instead of a `[DONE]`."""

from __future__ import annotations

from typing import Any

import msgspec

from llama_stack.dialects.chat.values import text_or
from llama_stack.dialects.openai.sse import data_of

__all__ = ["data_of", "encoded"]


def encoded(event: dict[str, Any]) -> bytes:
    """An event with its name, as the SDKs need it: they pass over events without one."""
    name = text_or(event.get("type"), "message").encode()
    return b"event: " + name + b"\ndata: " + msgspec.json.encode(event) + b"\n\n"
