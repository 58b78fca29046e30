"""How much a request may hold: what is more would keep a server busy before anybody says no."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from llama_stack_api.anthropic.messages import MESSAGES_MAX, TOOLS_MAX, CreateMessageRequest

HI = {"role": "user", "content": "Hi"}
TOOL = {"name": "t", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("name", "value"), [("messages", [HI] * (MESSAGES_MAX + 1)), ("tools", [TOOL] * (TOOLS_MAX + 1))]
)
def test_more_messages_or_tools_than_anthropic_takes(name: str, value: list[Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        CreateMessageRequest.model_validate({"model": "m", "max_tokens": 1, "messages": [HI], name: value})
    assert [(error["loc"], error["type"]) for error in refused.value.errors()] == [((name,), "too_long")]
