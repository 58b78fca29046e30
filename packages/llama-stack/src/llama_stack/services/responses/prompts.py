"""A stored prompt in a request: its text, with the variables filled in, as what the model is instructed."""

from __future__ import annotations

from typing import Any, Protocol

from llama_stack.agent.entries import Item
from llama_stack.agent.ids import new_id
from llama_stack_api.openai.responses.request import ResponseRequest
from llama_stack_api.openai.responses.settings import PromptReference
from llama_stack_api.principal import Principal


class ResolvedPrompt(Protocol):
    """`text` has the variables that are text in it; `parts` are images and files, as parts of an input message."""

    @property
    def text(self) -> str: ...
    @property
    def parts(self) -> list[dict[str, Any]]: ...


class Prompts(Protocol):
    async def resolve(self, principal: Principal, reference: PromptReference) -> ResolvedPrompt: ...


async def instructions_of(prompts: Prompts, request: ResponseRequest, principal: Principal) -> list[Item]:
    """The prompt, and behind it the request's own `instructions`, as messages."""
    assert request.prompt is not None
    prompt = await prompts.resolve(principal, request.prompt)
    content = [{"type": "input_text", "text": prompt.text}, *prompt.parts]
    messages = [_message(content)]
    if request.instructions is not None:
        messages.append(_message([{"type": "input_text", "text": request.instructions}]))
    return messages


def _message(content: list[dict[str, Any]]) -> Item:
    return {"type": "message", "id": new_id("message"), "role": "system", "status": "completed", "content": content}
