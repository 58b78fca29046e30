"""What a line's answer says that it cost."""

from __future__ import annotations

from typing import Any

import msgspec

from llama_stack.storage.sql.batch_records import LineUsage


class _Answer(msgspec.Struct):
    usage: Any = None


_decode = msgspec.json.Decoder(_Answer).decode


def usage_of(body: bytes) -> LineUsage | None:
    """The usage in an answer of whatever endpoint, or None where it states none."""
    try:
        usage = _decode(body).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(usage, dict):
        return None
    read, written = (
        _tokens(usage, "input_tokens", "prompt_tokens"),
        _tokens(usage, "output_tokens", "completion_tokens"),
    )
    read_details = _object(usage, "input_tokens_details", "prompt_tokens_details")
    written_details = _object(usage, "output_tokens_details", "completion_tokens_details")
    return LineUsage(
        read, _tokens(read_details, "cached_tokens"), written, _tokens(written_details, "reasoning_tokens")
    )


def _tokens(usage: dict[str, Any], *names: str) -> int:
    """The first number under one of the names; floats come from lenient upstreams."""
    return next((int(usage[name]) for name in names if isinstance(usage.get(name), int | float)), 0)


def _object(usage: dict[str, Any], *names: str) -> dict[str, Any]:
    return next((usage[name] for name in names if isinstance(usage.get(name), dict)), {})
