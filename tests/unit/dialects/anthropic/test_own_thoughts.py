"""Thoughts of other vendors' models in a conversation that goes on with Claude."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack.dialects.anthropic.own_thoughts import is_own, without_foreign_thoughts

OWN = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
HIDDEN = {"type": "redacted_thinking", "data": "c2ln"}
FOREIGN = {"type": "thinking", "thinking": "Hm.", "signature": "gemini:c2ln"}
UNSIGNED = {"type": "thinking", "thinking": "Hm.", "signature": ""}
OTHERS_HIDDEN = {"type": "redacted_thinking", "data": "amazon:c2ln"}
CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
ASKED = {"role": "user", "content": "?"}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "1"}]}
BUDGET = {"type": "enabled", "budget_tokens": 1024}


def request(*blocks: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"messages": [ASKED, {"role": "assistant", "content": list(blocks)}, RESULT], **members}


@pytest.mark.parametrize(("block", "own"), [(OWN, True), (HIDDEN, True), (FOREIGN, False), (OTHERS_HIDDEN, False)])
def test_whose_it_is(block: dict[str, Any], own: bool) -> None:
    assert is_own(block) is own


def test_what_is_anthropics_stays_as_it_is() -> None:
    for said in (request(OWN, HIDDEN, CALL, thinking=BUDGET), request({"type": "text", "text": "a"}, CALL)):
        assert without_foreign_thoughts(said) is said


@pytest.mark.parametrize("foreign", [FOREIGN, UNSIGNED, OTHERS_HIDDEN])
def test_what_is_not_is_left_out(foreign: dict[str, Any]) -> None:
    """With the thinking by a budget, which Anthropic would want a thought of its own for."""
    assert without_foreign_thoughts(request(foreign, CALL, thinking=BUDGET)) == request(CALL)
    adaptive = {"type": "adaptive"}
    assert without_foreign_thoughts(request(foreign, CALL, thinking=adaptive)) == request(CALL, thinking=adaptive)
    assert without_foreign_thoughts(request(foreign, OWN, CALL, thinking=BUDGET)) == request(OWN, CALL, thinking=BUDGET)


def test_an_answer_of_thoughts_alone_is_none() -> None:
    said = {"messages": [ASKED, {"role": "assistant", "content": [FOREIGN]}, ASKED]}
    assert without_foreign_thoughts(said) == {"messages": [ASKED, ASKED]}
