"""The messages of a chat completion request as those of a Messages request.

    system, developer       the request's `system`, wherever they stand, as Anthropic's own OpenAI endpoint has it
    user                    text, image and document blocks
    assistant               thinking blocks first (those that Anthropic signed), then text, then tool_use
    tool, function          tool_result blocks, ahead of all else in the user's message

Messages of one role in a row become one. Text without a visible character is left out: Anthropic refuses it.
"""

from __future__ import annotations

import re
from typing import Any, Final

from llama_stack.dialects.anthropic.messages_parts import blocks_of, text_blocks
from llama_stack.dialects.anthropic.own_thoughts import is_own
from llama_stack.dialects.chat.arguments import tool_input
from llama_stack.dialects.chat.history import with_function_calls
from llama_stack.dialects.chat.turns import BEGINNING, Turns
from llama_stack.dialects.chat.values import Json, mapping, objects, text_or

NO_OUTPUT: Final = ""


def conversation(messages: Any) -> tuple[list[Json], list[Json]]:
    """The blocks of `system`, and the messages."""
    system: list[Json] = []
    said = Turns()
    for message in with_function_calls(messages):
        match message.get("role"):
            case "system" | "developer":
                system += text_blocks(message.get("content"))
            case "assistant":
                said.add("assistant", _assistant_blocks(message))
            case "tool":
                said.add("user", [_result_block(message)])
            case _:
                said.add("user", blocks_of(message.get("content")))
    if not said.messages and system:
        return [], [{"role": "user", "content": system}]
    beginning = {"type": "text", "text": BEGINNING}
    return system, said.finished(beginning=beginning, is_result=lambda block: block["type"] == "tool_result")


def _assistant_blocks(message: Json) -> list[Json]:
    blocks = [kept for block in objects(message.get("thinking_blocks")) if (kept := _thinking(block))]
    blocks += text_blocks(message.get("content"))
    blocks += text_blocks(message.get("refusal"))
    return blocks + [_tool_use(call) for call in objects(message.get("tool_calls"))]


def _result_block(message: Json) -> Json:
    content: Any = blocks_of(message.get("content"))
    if len(content) == 1 and set(content[0]) == {"type", "text"}:
        content = content[0]["text"]
    known = _call_id(message.get("tool_call_id"))
    return {"type": "tool_result", "tool_use_id": known, "content": content or NO_OUTPUT}


def _thinking(block: Json) -> Json | None:
    """A block that Anthropic made: it refuses others."""
    members = {"redacted_thinking": ("data",), "thinking": ("thinking", "signature")}.get(text_or(block.get("type")))
    if members is None or not is_own(block):
        return None
    return {"type": block["type"], **{name: text_or(block.get(name)) for name in members}}


def _tool_use(call: Json) -> Json:
    function = mapping(call.get("function"))
    given = tool_input(function.get("arguments"))
    return {"type": "tool_use", "id": _call_id(call.get("id")), "name": text_or(function.get("name")), "input": given}


def _call_id(known: Any) -> str:
    """Anthropic takes letters, digits, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text_or(known)) or "_"
