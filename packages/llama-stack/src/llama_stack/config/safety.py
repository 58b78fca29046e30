"""`safety`: which shields stand where nobody names one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from llama_stack.config.section import Section

GuardedApi = Literal["chat", "completions", "embeddings", "responses", "messages"]
GuardedSide = Literal["input", "output"]
GUARDED_APIS: tuple[GuardedApi, ...] = ("chat", "completions", "embeddings", "responses", "messages")
GUARDED_SIDES: tuple[GuardedSide, ...] = ("input", "output")


class GuardConfig(Section):
    """Shields that every request to some APIs passes, whether it names them or not."""

    shields: list[str] = Field(min_length=1)
    """Ids of registered shields, asked in this order."""
    apis: list[GuardedApi] = Field(default_factory=lambda: list(GUARDED_APIS))
    check: list[GuardedSide] = Field(default_factory=lambda: list(GUARDED_SIDES), min_length=1)
    """`input`: what the model is shown, results of tools included; `output`: what it answers."""


class ModerationLimits(Section):
    """Of one request for a moderation."""

    inputs_max: int = Field(default=1024, ge=1)
    """Texts of a list, or parts."""
    chars_max: int = Field(default=1_000_000, ge=1)
    """Of all texts together."""
    concurrent_max: int = Field(default=8, ge=1)
    """Texts that a shield judges at a time."""


class SafetyConfig(Section):
    default_shield_id: str | None = None
    """The shield that moderation uses when a request names none."""
    guards: list[GuardConfig] = Field(default_factory=list)
    moderation: ModerationLimits = Field(default_factory=ModerationLimits)
