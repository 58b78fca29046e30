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

from llama_stack.dialects.anthropic.arguments import tool_input
from llama_stack.dialects.anthropic.messages_parts import blocks_of, text_blocks
from llama_stack.dialects.anthropic.values import Json, mapping, objects, text_or

BEGINNING: Final = "(The conversation begins.)"
"""What the user says where the assistant speaks first: Anthropic wants the user's message there."""

NO_OUTPUT: Final = ""


def conversation(messages: Any) -> tuple[list[Json], list[Json]]:
    """The blocks of `system`, and the messages."""
    system: list[Json] = []
    said = _Conversation()
    for message in objects(messages):
        match message.get("role"):
            case "system" | "developer":
                system += text_blocks(message.get("content"))
            case "assistant":
                said.add("assistant", said.assistant_blocks(message))
            case "tool" | "function":
                said.add("user", [said.result_block(message)])
            case _:
                said.add("user", blocks_of(message.get("content")))
    if not said.messages and system:
        return [], [{"role": "user", "content": system}]
    return system, said.finished()


class _Conversation:
    def __init__(self) -> None:
        self.messages: list[Json] = []
        self._function_calls = 0

    def add(self, role: str, blocks: list[Json]) -> None:
        if not blocks:
            return
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += blocks
        else:
            self.messages.append({"role": role, "content": blocks})

    def assistant_blocks(self, message: Json) -> list[Json]:
        blocks = [kept for block in objects(message.get("thinking_blocks")) if (kept := _thinking(block))]
        blocks += text_blocks(message.get("content"))
        blocks += text_blocks(message.get("refusal"))
        blocks += [_tool_use(call) for call in objects(message.get("tool_calls"))]
        legacy = message.get("function_call")
        if isinstance(legacy, dict):
            self._function_calls += 1
            blocks.append(_tool_use({"id": self._legacy_id(), "function": legacy}))
        return blocks

    def result_block(self, message: Json) -> Json:
        known = message.get("tool_call_id") if message.get("role") == "tool" else self._legacy_id()
        content = blocks_of(message.get("content"))
        if len(content) == 1 and set(content[0]) == {"type", "text"}:
            content = content[0]["text"]
        return {"type": "tool_result", "tool_use_id": _call_id(known), "content": content or NO_OUTPUT}

    def finished(self) -> list[Json]:
        for message in self.messages:
            if message["role"] == "user":
                message["content"].sort(key=lambda block: block["type"] != "tool_result")
        if self.messages and self.messages[0]["role"] == "assistant":
            self.messages.insert(0, {"role": "user", "content": [{"type": "text", "text": BEGINNING}]})
        self._trim_prefill()
        return self.messages

    def _trim_prefill(self) -> None:
        """An answer that is begun for the model may not end in white space."""
        last: Json = self.messages[-1] if self.messages else {"role": "user"}
        if last["role"] == "assistant" and last["content"][-1]["type"] == "text":
            last["content"][-1]["text"] = last["content"][-1]["text"].rstrip()

    def _legacy_id(self) -> str:
        return f"function_call_{self._function_calls}"


def _thinking(block: Json) -> Json | None:
    """A block that Anthropic made: others have no signature, and it refuses them."""
    if block.get("type") == "redacted_thinking" and block.get("data"):
        return {"type": "redacted_thinking", "data": block["data"]}
    signature = text_or(block.get("signature"))
    if block.get("type") == "thinking" and signature and ":" not in signature:  # gemini:… is what Gemini signed
        return {"type": "thinking", "thinking": text_or(block.get("thinking")), "signature": signature}
    return None


def _tool_use(call: Json) -> Json:
    custom = call.get("custom")
    if isinstance(custom, dict):
        name, given = custom.get("name"), {"input": text_or(custom.get("input"))}
    else:
        function = mapping(call.get("function"))
        name, given = function.get("name"), tool_input(function.get("arguments"))
    return {"type": "tool_use", "id": _call_id(call.get("id")), "name": text_or(name), "input": given}


def _call_id(known: Any) -> str:
    """Anthropic takes letters, digits, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text_or(known)) or "_"
