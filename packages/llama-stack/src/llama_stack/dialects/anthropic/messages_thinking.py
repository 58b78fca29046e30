"""How much a model of Anthropic's is to think.

    none                        thinking is disabled
    minimal, low, …, max        adaptive thinking with that effort; older models are given a budget of tokens

The request's own `thinking` goes before `reasoning_effort`. Thinking is left off where Anthropic refuses it: while the
last assistant's message calls tools without a thought of its own ahead of the calls (another model made it), where the
answer is begun for the model, where a call is forced, and where `max_tokens` leaves no room for a budget.
"""

from __future__ import annotations

import re
from typing import Final

from llama_stack.dialects.anthropic.own_thoughts import begins_with_thought
from llama_stack.dialects.chat.values import Json, mapping, objects
from llama_stack_api.errors import UnsupportedParameter

BUDGET_MIN: Final = 1024
BUDGETS: Final = {"minimal": 1024, "low": 4096, "medium": 16384, "high": 32768, "xhigh": 49152, "max": 65536}
"""Tokens, by effort: the largest budgets that `to_chat` reads as these efforts, and more beyond."""

_NEVER_THINKS: Final = re.compile(r"claude-(instant|v?2|3-(haiku|sonnet|opus)|3[-.]5)")
_THINKS_BY_BUDGET: Final = re.compile(r"claude-(3[-.]7|(opus|sonnet|haiku)-4([-.][015])?(?![-.]?\d\b))")
"""Models before 4.6. `claude-opus-4-20250514` is one: its date is no minor version."""


def thinking_members(chat: Json, request: Json) -> Json:
    """`thinking` and `output_config.effort` for a request whose `messages`, `tool_choice` and `max_tokens` are made."""
    own, effort = chat.get("thinking"), chat.get("reasoning_effort")
    if isinstance(own, dict):
        return {"thinking": own} if own.get("type") == "disabled" or _may_think(request) else {}
    if effort is None:
        return {}
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    if effort not in BUDGETS:
        raise UnsupportedParameter(f"'reasoning_effort' {effort!r} is not known.", param="reasoning_effort")
    model = str(request.get("model"))
    if _NEVER_THINKS.search(model):
        raise UnsupportedParameter(f"The model '{model}' does not reason.", param="reasoning_effort")
    if _THINKS_BY_BUDGET.search(model):
        budget = min(BUDGETS[effort], request["max_tokens"] * 3 // 4)
        if budget < BUDGET_MIN or not _may_think(request):
            return {}
        return {"thinking": {"type": "enabled", "budget_tokens": budget}}
    members: Json = {"output_config": {"effort": "low" if effort == "minimal" else effort}}
    if _may_think(request):
        members["thinking"] = {"type": "adaptive", "display": "summarized"}
    return members


def _may_think(request: Json) -> bool:
    if mapping(request.get("tool_choice")).get("type") in ("any", "tool"):
        return False
    messages = objects(request.get("messages"))
    if messages and messages[-1]["role"] == "assistant":
        return False
    return begins_with_thought(messages)
