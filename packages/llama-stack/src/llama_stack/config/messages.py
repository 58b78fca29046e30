"""`server.messages`: Anthropic's Messages API over whatever models there are."""

from __future__ import annotations

from pydantic import Field, field_validator

from llama_stack.config.section import Section

AUTO = "auto"


class MessagesConfig(Section):
    model_names: dict[str, str] = Field(default_factory=lambda: {"claude-*": AUTO})
    """Which model serves a name that no provider lists: exact names go before prefixes (`claude-haiku-*`), longer
    prefixes before shorter ones, and `*` is any name. `auto` is Anthropic's own where it is configured, else the first
    model of type llm."""
    rounds_max: int = Field(default=10, ge=1)
    """Times that a model is asked for one message, where the server runs its tools."""
    tool_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds that one use of a tool may take which the server runs."""
    tools_concurrent_max: int = Field(default=8, ge=1)
    """Of the tools that one message uses, those that run at a time."""
    web_search_chars_max: int = Field(default=10_000, ge=0)
    """Characters of text that are kept of all pages that one search finds."""
    web_fetch_bytes_max: int = Field(default=10 * 1024 * 1024, ge=1)
    """Bytes of one page or PDF that is fetched."""
    web_fetch_chars_max: int = Field(default=200_000, ge=1)
    """Characters of its text that the model is shown; a request may ask for less by `max_content_tokens`."""

    @field_validator("model_names")
    @classmethod
    def _stars_at_the_end(cls, names: dict[str, str]) -> dict[str, str]:
        for name, model in names.items():
            if "*" in name[:-1] or not name:
                raise ValueError(f"{name!r} is neither a name nor a prefix: a star may only stand at its end")
            if not model:
                raise ValueError(f"{name!r} has no model: name one, or 'auto'")
        return names
