"""The families of Anthropic's tools: what their types are called without a date."""

from __future__ import annotations

import re

FAMILIES = (
    "web_search", "web_fetch", "bash", "text_editor", "code_execution", "memory", "tool_search_tool_bm25",
    "tool_search_tool_regex", "mcp_toolset",
)  # fmt: skip
"""A tool of the vendor's has a type `<family>_<date>`. What a later date adds to one is kept like any unknown field."""

_DATED = re.compile(r"_\d{8}$")


def family_of(kind: str) -> str:
    """`web_search` of `web_search_20250305`."""
    return _DATED.sub("", kind)
