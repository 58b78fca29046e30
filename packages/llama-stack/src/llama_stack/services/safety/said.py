"""What a model said in a choice of a completion, and what is left of a choice that a shield does not let pass.

Of a guarded reply only members that are known leave the server: what nobody would look at is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from llama_stack.agent.entries import ModelCall
from llama_stack.agent.guardrails import Guardrails
from llama_stack.agent.ports import Violation

REPLY_MEMBERS: Final = (
    "id", "object", "created", "model", "usage", "service_tier", "system_fingerprint", "metadata",
)  # fmt: skip
"""Of a reply, or a chunk of one, besides its choices."""

ENDING_MEMBERS: Final = ("stop_reason", "matched_stop")
"""Of a choice: which of the caller's stop sequences ended it."""

CALLS: Final = ("tool_calls", "function_call")

_NO_TEXT: Final = frozenset({"role", "type", "id", "index", "signature", "data", "expires_at"})
"""Members that hold no words: `data` is encrypted thought, or sound whose transcript stands beside it."""


def envelope(reply: Mapping[str, Any]) -> dict[str, Any]:
    return {name: reply[name] for name in REPLY_MEMBERS if name in reply}


async def violation_in(message: Mapping[str, Any], rails: Guardrails) -> Violation | None:
    """Of a whole message of the model's: its text, its calls, and whatever else can be read in it."""
    others = {name: value for name, value in message.items() if name not in CALLS and name != "content"}
    for text in (text_in([{"content": message.get("content")}]), *(text_in([{k: v}]) for k, v in others.items())):
        violation = await rails.answer(text)
        if violation is not None:
            return violation
    for call in _calls(message):
        violation = await rails.arguments(call)
        if violation is not None:
            return violation
    return None


def text_in(values: Iterable[Any]) -> str:
    """All that can be read in JSON values. Strings at the same place of one and the next are pieces of one text."""
    texts: dict[tuple[str | int, ...], list[str]] = {}
    for value in values:
        for place, text in _strings(value, ()):
            texts.setdefault(place, []).append(text)
    return "\n".join("".join(pieces) for pieces in texts.values())


def _strings(value: Any, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, each in value.items():
            if name not in _NO_TEXT:
                yield from _strings(each, (*place, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _strings(each, (*place, number))


def _calls(message: Mapping[str, Any]) -> Iterator[ModelCall]:
    called = message.get("tool_calls")
    for call in called if isinstance(called, list) else ():
        if isinstance(call, dict):
            yield _call(call.get("id"), call.get("function") or call.get("custom") or call)
    if isinstance(message.get("function_call"), dict):
        yield _call(None, message["function_call"])


def _call(call_id: Any, said: Any) -> ModelCall:
    said = said if isinstance(said, dict) else {}
    known = {"name", "arguments"}
    if known >= said.keys() and all(isinstance(each, str | None) for each in said.values()):
        return ModelCall(str(call_id), said.get("name") or "", said.get("arguments") or "")
    return ModelCall(str(call_id), str(said.get("name") or ""), text_in([said]))


def blocked_choice(choice: Mapping[str, Any], violation: Violation) -> dict[str, Any]:
    """In place of a whole choice: not a word of it is left."""
    blocked: dict[str, Any] = {"index": choice.get("index", 0), "finish_reason": "content_filter", "logprobs": None}
    if "message" in choice:
        return blocked | {"message": {"role": "assistant", "content": None, "refusal": violation.message}}
    return blocked | {"text": ""}
