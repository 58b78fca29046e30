"""Token counts of a reply, wherever the upstream put them."""

from __future__ import annotations

from typing import Any, NamedTuple


class Usage(NamedTuple):
    """Tokens read and tokens written."""

    input: int
    output: int


def usage_of(usage: Any) -> Usage | None:
    """The counts in a `usage` object, or None where it has none that are numbers."""
    if not isinstance(usage, dict):
        return None
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    if isinstance(read, int | float) and isinstance(written, int | float):
        return Usage(int(read), int(written))
    return None
