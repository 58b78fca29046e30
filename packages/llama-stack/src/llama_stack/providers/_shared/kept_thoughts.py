"""What an assistant's message holds of its thoughts, as an upstream takes it: most refuse members they do not know.

Clients return messages as they came, from whichever model. Thoughts in words go under the upstream's own name for them,
or stay behind where it has none; so does what another dialect alone can read: signed thoughts (`thinking_blocks`, and
Google's in `extra_content` of a call), and members of answers that are none of questions (`annotations`, `images`).
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.chat_messages import AssistantMessage

THOUGHTS: Final = ("reasoning_content", "reasoning")
"""How upstreams call thoughts in words. The first that is there is taken."""
_OF_ANSWERS: Final = frozenset({*THOUGHTS, "thinking_blocks", "annotations", "images"})
_OF_CALLS: Final = frozenset({"extra_content"})


def with_thoughts_as(member: str | None, params: ChatCompletionRequest) -> ChatCompletionRequest:
    """The request itself where nothing is to be changed; else a copy. `member`: the upstream's name for thoughts."""
    known = frozenset() if member is None else frozenset({member})
    messages = [_fitted(message, member) if _is_odd(message, known) else message for message in params.messages]
    if all(new is old for new, old in zip(messages, params.messages, strict=True)):
        return params
    return params.model_copy(update={"messages": messages})


def _is_odd(message: BaseModel, known: frozenset[str]) -> bool:
    if not isinstance(message, AssistantMessage):
        return False
    if not _OF_ANSWERS.isdisjoint((message.model_extra or {}).keys() - known):
        return True
    return any(not _OF_CALLS.isdisjoint(call.model_extra or ()) for call in message.tool_calls or ())


def _fitted(message: BaseModel, member: str | None) -> AssistantMessage:
    said = message.model_dump(exclude_unset=True)
    thoughts = next((said[name] for name in THOUGHTS if isinstance(said.get(name), str)), None)
    said = {name: value for name, value in said.items() if name not in _OF_ANSWERS}
    if member is not None and thoughts is not None:
        said[member] = thoughts
    for call in said.get("tool_calls") or ():
        for name in _OF_CALLS:
            call.pop(name, None)
    return AssistantMessage.model_validate(said)
