"""What a search found, in the form in which a client keeps it for us: `encrypted_content` is opaque to it.

It is what the engine said of a page, which the caller might as well have written: encoded, and neither secret nor
trusted. What Anthropic's server encrypted stays unread.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final

from llama_stack.services.messages.chat import Json

_OURS: Final = "ls1."


def kept(text: str) -> str:
    return _OURS + urlsafe_b64encode(text.encode(errors="replace")).decode()


def read(content: Any) -> str:
    """The text that was kept; empty for what is not ours."""
    if not isinstance(content, str) or not content.startswith(_OURS):
        return ""
    try:
        return urlsafe_b64decode(content[len(_OURS) :]).decode()
    except (binascii.Error, ValueError):
        return ""


def shown_results(message: Json) -> None:
    """Put results of searches down as the text that a model is to read."""
    content = message.get("content")
    for block in content if isinstance(content, list) else ():
        if block.get("type") == "web_search_tool_result" and isinstance(block.get("content"), list):
            block["content"] = [{"type": "text", "text": shown(result)} for result in block["content"]]


def shown(result: Json) -> str:
    lines = (result.get("title"), result.get("url"), result.get("page_age"), read(result.get("encrypted_content")))
    return "\n".join(line for line in lines if isinstance(line, str) and line)
