"""Ids of items: new ones where the model's answer is journalled with them, derived ones where a second attempt must
come to the same.

The id of an item begins as that of its response does (`link_of`), so that a stored item is found by its id alone. What
follows is as unguessable as the rest of the response's id.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Final

PREFIXES: Final[Mapping[str, str]] = {
    "message": "msg",
    "reasoning": "rs",
    "compaction": "cmp",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "cto",
    "mcp_list_tools": "mcpl",
    "mcp_call": "mcp",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpa",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "tool_search_call": "tsc",
    "tool_search_output": "tso",
}
"""By the type of an item."""

RESPONSE: Final = "resp"
"""The prefix of the id of a response."""

_OTHER: Final = "item"
_CHARS: Final = 48
_LINK_CHARS: Final = 16
_OURS = re.compile(rf"[a-z]+_[0-9a-f]{{{_CHARS}}}")


def random_id(prefix: str) -> str:
    """An unguessable id of what is no item."""
    return f"{prefix}_{secrets.token_hex(_CHARS // 2)}"


def new_id(kind: str, of: str = "") -> str:
    """An unguessable id for an item of type `kind`. `of`: the id of its response, or of another of its items."""
    link = link_of(of)
    return _prefixed(kind, link + secrets.token_hex((_CHARS - len(link)) // 2))


def derived_id(kind: str, response_id: str, *parts: str) -> str:
    """The same for the same response and `parts`, which tell its items apart."""
    link = link_of(response_id)
    digest = hashlib.sha256(" ".join((response_id, *parts)).encode()).hexdigest()
    return _prefixed(kind, link + digest[: _CHARS - len(link)])


def link_of(own_id: str) -> str:
    """What the ids of a response and of its items have in common; empty for an id that is none of ours."""
    return own_id.partition("_")[2][:_LINK_CHARS] if _OURS.fullmatch(own_id) else ""


def id_as(kind: str, item_id: str) -> str:
    """The id of an item that nobody has seen yet, for one of type `kind` that takes its place."""
    return _prefixed(kind, item_id.rpartition("_")[2])


def _prefixed(kind: str, rest: str) -> str:
    return f"{PREFIXES.get(kind, _OTHER)}_{rest}"
