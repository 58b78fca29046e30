"""How many tokens a chat is, roughly, where nobody who knows the model's tokenizer can be asked.

Its texts as `rag.tokens` counts them; a message costs four more for its frame, an image as much as OpenAI takes for one
of 1024 by 1024 in full detail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from llama_stack.rag.tokens import count_tokens

TOKENS_PER_MESSAGE: Final = 4
TOKENS_PER_IMAGE: Final = 765


def estimate_tokens(chat: Mapping[str, Any]) -> int:
    """`chat` is a chat completion's request as JSON; its `messages`, `tools` and `response_format` count."""
    tokens = 0
    for message in chat["messages"]:
        content = message.get("content") or ""
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for part in parts:
            if part["type"] == "image_url":
                tokens += TOKENS_PER_IMAGE
            else:
                tokens += count_tokens(str(part.get("text") or ""))
        tokens += TOKENS_PER_MESSAGE + _of_json(message.get("tool_calls"))
    return tokens + _of_json(chat.get("tools")) + _of_json(chat.get("response_format"))


def _of_json(value: Any) -> int:
    return count_tokens(msgspec.json.encode(value).decode()) if value else 0
