"""`server.messages`: Anthropic's Messages API over whatever models there are."""

from __future__ import annotations

from pydantic import Field

from llama_stack.config.section import Section


class MessagesConfig(Section):
    model_names: dict[str, str] = Field(default_factory=lambda: {"claude-*": "auto"})
    """Which model serves a name that no provider lists: exact names go before prefixes (`claude-haiku-*`), and longer
    prefixes before shorter ones. `auto` is the first model of type llm."""
    rounds_max: int = Field(default=10, ge=1)
    """Times that a model is asked for one message, where the server runs its tools."""
