"""`server.conversations` and `server.prompts`: how much of each is kept. The stores are handed these sections."""

from __future__ import annotations

from pydantic import Field

from llama_stack.config.section import Section

_KIB = 1024
_MIB = 1024 * _KIB


class ConversationsConfig(Section):
    """What one conversation may hold. A response that finds room when it starts can always add its items."""

    items_max: int = Field(default=10_000, ge=1)
    """Items in one conversation."""
    bytes_max: int = Field(default=128 * _MIB, ge=1)
    """Bytes of all items of one conversation."""
    item_bytes_max: int = Field(default=32 * _MIB, ge=1)
    """Bytes of one item that a client adds."""


class PromptsConfig(Section):
    prompts_max: int = Field(default=1000, ge=1)
    """Prompts of one owner; requests of the same moment may exceed it by their number."""
    versions_max: int = Field(default=1000, ge=1)
    """Versions of one prompt."""
    chars_max: int = Field(default=256 * _KIB, ge=1)
    """Characters of one version."""
