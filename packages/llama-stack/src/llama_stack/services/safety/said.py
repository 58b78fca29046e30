"""What a model said in a choice of a completion, and what is left of a choice that a shield does not let pass.

Of a guarded reply only members that are known leave the server: what nobody would look at is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from llama_stack.agent.entries import ModelCall
from llama_stack.agent.guardrails import CANNOT, Guardrails
from llama_stack.agent.ports import Violation
from llama_stack.agent.readable import text_in

REPLY_MEMBERS: Final = (
    "id", "object", "created", "model", "usage", "service_tier", "system_fingerprint", "metadata",
)  # fmt: skip
"""Of a reply, or a chunk of one, besides its choices."""

ENDING_MEMBERS: Final = ("stop_reason", "matched_stop")
"""Of a choice: which of the caller's stop sequences ended it."""

CALLS: Final = ("tool_calls", "function_call")


def envelope(reply: Mapping[str, Any]) -> dict[str, Any]:
    return {name: reply[name] for name in REPLY_MEMBERS if name in reply}


async def passed(message: Mapping[str, Any], rails: Guardrails) -> Violation | dict[str, Any]:
    """What of a whole message of the model's may go on: its text, its calls, and whatever else can be read in it.

    A member beside text and calls that would have to be redacted is left out: what is sound or signed cannot be.
    """
    left = dict(message)
    for name in message.keys() - set(CALLS):
        text = text_in([{name: message[name]}])
        found = await rails.answer(text)
        if isinstance(found, Violation):
            return found
        if found != text:
            left[name] = found if name == "content" or message[name] == text else None
    called = message.get("tool_calls")
    if isinstance(called, list):
        calls = [await _passed_call(call, rails) for call in called]
        left["tool_calls"] = calls
        blocked = next((call for call in calls if isinstance(call, Violation)), None)
        if blocked is not None:
            return blocked
    if message.get("function_call"):
        call = await _passed_call({"function": message["function_call"]}, rails)
        if isinstance(call, Violation):
            return call
        left["function_call"] = call["function"]
    return left


async def _passed_call(call: Any, rails: Guardrails) -> Violation | Any:
    """The function that is called, and whatever else stands in the call."""
    function = call.get("function") if isinstance(call, dict) else None
    custom = call.get("custom") if isinstance(call, dict) else None
    if _is_plain(function):
        arguments = function.get("arguments") or ""
        made = await rails.arguments(ModelCall(str(call.get("id")), function.get("name") or "", arguments))
        if isinstance(made, Violation):
            return made
        if made.arguments != arguments:
            call = {**call, "function": {**function, "arguments": made.arguments}}
        beside = text_in([{name: value for name, value in call.items() if name != "function"}])
    else:
        if isinstance(custom, dict) and isinstance(custom.get("input"), str):
            said = await rails.answer(custom["input"])
            if isinstance(said, Violation):
                return said
            call = {**call, "custom": {**custom, "input": said}}
        beside = text_in([call])
    found = await rails.answer(beside)
    if isinstance(found, Violation):
        return found
    return call if found == beside else Violation("", CANNOT)


def _is_plain(function: Any) -> TypeGuard[dict[str, str | None]]:
    if not isinstance(function, dict) or not function.keys() <= {"name", "arguments"}:
        return False
    return all(isinstance(each, str | None) for each in function.values())


def blocked_choice(choice: Mapping[str, Any], violation: Violation) -> dict[str, Any]:
    """In place of a whole choice: not a word of it is left."""
    blocked: dict[str, Any] = {"index": choice.get("index", 0), "finish_reason": "content_filter", "logprobs": None}
    if "message" in choice:
        return blocked | {"message": {"role": "assistant", "content": None, "refusal": violation.message}}
    return blocked | {"text": ""}
