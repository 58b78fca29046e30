"""How many tokens a chat is, roughly, where nobody who knows the model's tokenizer can be asked.

A token is four bytes of UTF-8 (English: a little fewer tokens than that, Chinese or code: a little more), a message
costs four more for its frame, an image as much as OpenAI takes for one of 1024 by 1024 in full detail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

BYTES_PER_TOKEN: Final = 4
TOKENS_PER_MESSAGE: Final = 4
TOKENS_PER_IMAGE: Final = 765


def estimate_tokens(chat: Mapping[str, Any]) -> int:
    """`chat` is a chat completion's request as JSON; its `messages`, `tools` and `response_format` count."""
    size, images = 0, 0
    for message in chat["messages"]:
        content = message.get("content") or ""
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for part in parts:
            if part["type"] == "image_url":
                images += 1
            else:
                size += len(str(part.get("text") or "").encode())
        size += _json_bytes(message.get("tool_calls"))
    size += _json_bytes(chat.get("tools")) + _json_bytes(chat.get("response_format"))
    return -(-size // BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE * len(chat["messages"]) + TOKENS_PER_IMAGE * images


def _json_bytes(value: Any) -> int:
    return len(msgspec.json.encode(value)) if value else 0
