"""How much a model of Bedrock's is to reason, in the words of its family, for `additionalModelRequestFields`.

    Claude          thinking, output_config.effort, as the Messages API has them
    Nova 2          reasoningConfig: low, medium, high
    gpt-oss         reasoning_effort: low, medium, high
    others          refused; what a family has of its own can be sent in `additionalModelRequestFields`

`none` is what models do that reason only when told, and needs no word to most. `minimal` is low, `xhigh` and `max` are
high where there is no more.
"""

from __future__ import annotations

from typing import Final

from llama_stack.dialects.anthropic.messages_content import conversation
from llama_stack.dialects.anthropic.messages_thinking import thinking_members
from llama_stack.dialects.chat.values import Json
from llama_stack.dialects.converse.families import Traits, foundation_of
from llama_stack_api.errors import UnsupportedParameter

CLAUDE_TOKENS_MAX: Final = 32_000
"""Of an answer that is not limited, of which a budget to think with is a part."""

_EFFORTS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


def thinking_fields(chat: Json, traits: Traits, *, model: str, forced: bool, max_tokens: int | None) -> Json:
    """`forced`: a tool must be called, which Claude cannot do while it thinks."""
    effort = chat.get("reasoning_effort")
    if traits.thinking == "claude":
        if effort is None and not isinstance(chat.get("thinking"), dict):
            return {}
        request = {
            "model": foundation_of(model),
            "messages": conversation(chat.get("messages"))[1],
            "max_tokens": max_tokens or CLAUDE_TOKENS_MAX,
            "tool_choice": {"type": "any"} if forced else None,
        }
        return thinking_members(chat, request)
    if effort is None or (effort == "none" and not traits.thinking and not traits.always_reasons):
        return {}
    if traits.thinking == "nova" and effort == "none":
        return {"reasoningConfig": {"type": "disabled"}}
    if traits.thinking and effort in _EFFORTS:
        level = _EFFORTS[effort]
        if traits.thinking == "nova":
            return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}
        return {"reasoning_effort": level}
    raise UnsupportedParameter(
        f"The model '{chat.get('model')}' takes no 'reasoning_effort' {effort!r}. What it has of its own can be "
        "sent in 'additionalModelRequestFields'.",
        param="reasoning_effort",
    )
