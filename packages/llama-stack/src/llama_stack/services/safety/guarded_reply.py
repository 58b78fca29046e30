"""A whole completion under guard: each choice passes as it is, or not at all."""

from __future__ import annotations

from typing import Any

import msgspec

from llama_stack.agent.guardrails import Guardrails
from llama_stack.services.safety.said import ENDING_MEMBERS, blocked_choice, envelope, violation_in


async def guarded_reply(body: bytes, rails: Guardrails, *, identifier: str | None = None) -> bytes:
    """A chat completion or completion as JSON. `identifier` takes the place of its id."""
    reply: dict[str, Any] = msgspec.json.decode(body)
    choices = [await _checked(choice, rails) for choice in reply.get("choices") or ()]
    own = {} if identifier is None else {"id": identifier}
    return msgspec.json.encode({**envelope(reply), **own, "choices": choices})


async def _checked(choice: dict[str, Any], rails: Guardrails) -> dict[str, Any]:
    said = choice["message"] if isinstance(choice.get("message"), dict) else {"content": choice.get("text")}
    violation = await violation_in(said, rails)
    if violation is not None:
        return blocked_choice(choice, violation)
    kept = ("index", "message", "text", "finish_reason", "logprobs", *ENDING_MEMBERS)
    return {name: choice[name] for name in kept if name in choice}
