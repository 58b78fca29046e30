"""How much a Gemini model is to think.

    effort          from Gemini 3: thinkingLevel        2.5: thinkingBudget, in tokens
    none            the least that there is             0
    minimal         minimal (Pro: low)                  1024
    low             low                                 1024
    medium          medium (3 Pro: high)                8192
    high            high                                24576
    xhigh, max      high                                24576 (Pro: 32768)

The numbers are those of Google's own OpenAI endpoint. A model that always thinks (Pro, and all from Gemini 3 on)
thinks as little as it can for `none`. The thoughts come back wherever an effort is asked for. `thinking_config` is
Google's own and goes before it all.
"""

from __future__ import annotations

from typing import Any, Final

from llama_stack.dialects.chat.values import Json
from llama_stack.dialects.gemini.generations import generation
from llama_stack_api.errors import UnsupportedParameter

BUDGETS: Final = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
LEVELS: Final = {"none": "minimal", "xhigh": "high", "max": "high"}
"""Efforts whose level has another name."""

PRO_BUDGET_MIN: Final = 128
PRO_BUDGET_MAX: Final = 32768


def thinking_config(effort: Any, model: str) -> Json | None:
    """`thinkingConfig` for a `reasoning_effort`; None where there is nothing to say."""
    if effort is None:
        return None
    if effort != "none" and effort not in BUDGETS:
        raise UnsupportedParameter(f"'reasoning_effort' {effort!r} is not known.", param="reasoning_effort")
    known = generation(model)
    if known < (2, 5):
        if effort == "none":
            return None
        raise UnsupportedParameter(
            f"The model '{model}' does not reason: leave out 'reasoning_effort'.", param="reasoning_effort"
        )
    thoughts: Json = {} if effort == "none" else {"includeThoughts": True}
    if known < (3, 0):
        return {"thinkingBudget": _budget(effort, model), **thoughts}
    return {"thinkingLevel": _level(effort, model), **thoughts}


def _budget(effort: str, model: str) -> int:
    pro = "pro" in model
    if effort == "none":
        return PRO_BUDGET_MIN if pro else 0
    return PRO_BUDGET_MAX if pro and effort in ("xhigh", "max") else BUDGETS[effort]


def _level(effort: str, model: str) -> str:
    level = LEVELS.get(effort, effort)
    if "pro" in model and level == "minimal":
        return "low"
    if "pro" in model and level == "medium" and generation(model) == (3, 0):
        return "high"
    return level
