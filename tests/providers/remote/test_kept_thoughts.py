"""An assistant's messages as an upstream takes them that refuses what it does not know."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack.providers._shared.kept_thoughts import with_thoughts_as
from tests.providers.remote.bench import chat

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PLAIN = {"role": "assistant", "content": "Yes.", "tool_calls": [CALL]}
AS_IT_CAME = {
    **PLAIN,
    "tool_calls": [{**CALL, "extra_content": {"google": {"thought_signature": "s"}}}],
    "reasoning_content": "Hm.",
    "thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}],
    "annotations": [],
    "x_own": 1,
}


def sent(message: dict[str, Any], member: str | None) -> Any:
    params = chat(messages=[{"role": "user", "content": "?", "x_own": 2}, message])
    said = with_thoughts_as(member, params).model_dump(mode="json", exclude_unset=True)["messages"]
    assert said[0] == {"role": "user", "content": "?", "x_own": 2}
    return said[1]


@pytest.mark.parametrize("member", [None, "reasoning", "reasoning_content"])
def test_thoughts_go_under_the_upstreams_name(member: str | None) -> None:
    assert sent(AS_IT_CAME, member) == {**PLAIN, "x_own": 1, **({} if member is None else {member: "Hm."})}
    assert sent({**PLAIN, "reasoning": "Hm."}, member) == {**PLAIN, **({} if member is None else {member: "Hm."})}


def test_what_fits_is_not_copied() -> None:
    for message, member in ((PLAIN, None), ({**PLAIN, "reasoning": "Hm."}, "reasoning")):
        params = chat(messages=[message])
        assert with_thoughts_as(member, params) is params
