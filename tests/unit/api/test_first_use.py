"""Validators are built on first use, not on import."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest

def is_built(model):
    return bool(model.__pydantic_complete__)

print(is_built(ChatCompletionRequest), is_built(ChatCompletion))
ChatCompletionRequest.model_validate_json('{"model": "m", "messages": [{"role": "user", "content": "hi"}]}')
print(is_built(ChatCompletionRequest), is_built(ChatCompletion))
"""


def test_a_validator_is_built_by_its_first_request() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["False False", "True False"]
