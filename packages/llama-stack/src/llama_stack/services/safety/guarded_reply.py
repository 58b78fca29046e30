"""A whole completion under guard: each choice passes as it is, with texts that were redacted, or not at all."""

from __future__ import annotations

from typing import Any

import msgspec

from llama_stack.agent.guardrails import Guardrails
from llama_stack.agent.ports import Violation
from llama_stack.agent.readable import text_in
from llama_stack.services.safety.guarded_tokens import chosen, spelled
from llama_stack.services.safety.said import ENDING_MEMBERS, blocked_choice, envelope, passed


async def guarded_reply(body: bytes, rails: Guardrails, *, identifier: str | None = None) -> bytes:
    """A chat completion or completion as JSON. `identifier` takes the place of its id."""
    reply: dict[str, Any] = msgspec.json.decode(body)
    choices = [await _checked(choice, rails) for choice in reply.get("choices") or ()]
    own = {} if identifier is None else {"id": identifier}
    return msgspec.json.encode({**envelope(reply), **own, "choices": choices})


async def _checked(choice: dict[str, Any], rails: Guardrails) -> dict[str, Any]:
    said = {name: choice[name] for name in ("message", "text") if choice.get(name) is not None}
    logprobs = chosen(choice.get("logprobs"))
    left = await _left(said, rails)
    if not isinstance(left, Violation) and logprobs and (left != said or spelled(logprobs) != _text_of(said)):
        # Tokens that are not the text beside them. Of a text that was redacted, they would spell the whole.
        tokens = spelled(logprobs)
        found = await rails.answer(tokens)
        logprobs = logprobs if left == said and found == tokens else None
        left = found if isinstance(found, Violation) else left
    if isinstance(left, Violation):
        return blocked_choice(choice, left)
    kept = ("index", "finish_reason", *ENDING_MEMBERS)
    return {**{name: choice[name] for name in kept if name in choice}, **left, "logprobs": logprobs}


async def _left(said: dict[str, Any], rails: Guardrails) -> Violation | dict[str, Any]:
    """Of a choice's message, and of a text: of completions, or beside it."""
    left = {}
    for name, value in said.items():
        message = value if isinstance(value, dict) else {"content": text_in([value])}
        found = await passed(message, rails)
        if isinstance(found, Violation):
            return found
        left[name] = value if found == message else found if isinstance(value, dict) else found["content"]
    return left


def _text_of(said: dict[str, Any]) -> Any:
    message = said.get("message")
    return said.get("text") or (message.get("content") if isinstance(message, dict) else None)
