"""The messages of a chat completion request as `system` and `messages` of Converse.

    system, developer       `system`, wherever they stand
    user                    text, images, documents, audio
    assistant               reasoning that this vendor signed, then text, then `toolUse`
    tool, function          `toolResult`, ahead of all else in the user's turn

Roles alternate in Converse: messages of one role in a row become one. What Bedrock insists on is seen to:

- a conversation begins with the user, and says so where it does not;
- a document comes with a text, and one is written where there is none;
- models that take no results of tools beside other content have the assistant acknowledge them in between;
- calls and their results want tools: where a request offers none, they are told as text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any, Final

from llama_stack.dialects.chat.arguments import tool_input
from llama_stack.dialects.chat.history import with_function_calls
from llama_stack.dialects.chat.turns import BEGINNING, Turns
from llama_stack.dialects.chat.values import Json, as_json, mapping, objects, text_or
from llama_stack.dialects.converse.families import ANTHROPIC, Traits
from llama_stack.dialects.converse.parts import Parts

ACKNOWLEDGED: Final = "(The results have arrived.)"
DOCUMENT_ALONE: Final = "(See the document.)"
NO_OUTPUT: Final = "(no output)"
CALL_ID_CHARS_MAX: Final = 64


def conversation(messages: Any, traits: Traits, *, vendor: str, has_tools: bool) -> tuple[list[Json], list[Json]]:
    """The blocks of `system`, and the messages."""
    said = _Conversation(traits, vendor, has_tools=has_tools)
    system: list[Json] = []
    for message in with_function_calls(messages):
        match message.get("role"):
            case "system" | "developer":
                system += said.parts.texts(message.get("content"))
            case "assistant":
                said.add("assistant", said.assistant_blocks(message))
            case "tool":
                said.add("user", said.result_blocks(message))
            case _:
                said.add("user", said.parts.blocks(message.get("content")))
    if not said.messages and system:
        return [], [{"role": "user", "content": system}]
    return system, said.turns()


def signed_by(vendor: str) -> str:
    """What signatures of reasoning begin with in chat messages: nothing for Anthropic's, which are the same everywhere;
    others must not be shown to models of another vendor."""
    return "" if vendor in ("", ANTHROPIC) else f"{vendor}:"


class _Conversation(Turns):
    def __init__(self, traits: Traits, vendor: str, *, has_tools: bool) -> None:
        super().__init__()
        self.parts = Parts(caches=traits.caches)
        self._traits = traits
        self._signer = signed_by(vendor)
        self._has_tools = has_tools
        self._names: dict[str, str] = {}

    def assistant_blocks(self, message: Json) -> list[Json]:
        blocks = [kept for block in objects(message.get("thinking_blocks")) if (kept := self._reasoning(block))]
        blocks += self.parts.texts(message.get("content"))
        blocks += self.parts.texts(message.get("refusal"))
        blocks += [self._tool_use(call) for call in objects(message.get("tool_calls"))]
        return blocks

    def result_blocks(self, message: Json) -> list[Json]:
        known = message.get("tool_call_id")
        blocks = self.parts.blocks(message.get("content"))
        points = [block for block in blocks if "cachePoint" in block]
        content = [block for block in blocks if "cachePoint" not in block] or [{"text": NO_OUTPUT}]
        if self._has_tools:
            return [{"toolResult": {"toolUseId": _call_id(known), "content": content}}, *points]
        texts = [block["text"] for block in content if "text" in block]
        others = [block for block in content if "text" not in block]
        name = self._names.get(text_or(known), "the tool")
        return [{"text": f"[{name} answered: {' '.join(texts)}]"}, *others]

    def turns(self) -> list[Json]:
        messages = self.finished(beginning={"text": BEGINNING}, is_result=lambda block: "toolResult" in block)
        for message in messages:
            if message["role"] == "user":
                _accompany(message["content"])
        return messages if self._traits.mixes_results else [part for message in messages for part in _apart(message)]

    def _reasoning(self, block: Json) -> Json | None:
        """A block that this vendor signed: other models refuse it. `data` that is no base64 is not Bedrock's."""
        sealed = text_or(block.get("data" if block.get("type") == "redacted_thinking" else "signature"))
        signer, colon, own = sealed.rpartition(":")
        if not own or signer + colon != self._signer:
            return None
        match block.get("type"):
            case "redacted_thinking" if _is_base64(own):
                return {"reasoningContent": {"redactedContent": own}}
            case "thinking":
                spoken = {"text": text_or(block.get("thinking")), "signature": own}
                return {"reasoningContent": {"reasoningText": spoken}}
        return None

    def _tool_use(self, call: Json) -> Json:
        function = mapping(call.get("function"))
        name, given = text_or(function.get("name")), tool_input(function.get("arguments"))
        if self._has_tools:
            return {"toolUse": {"toolUseId": _call_id(call.get("id")), "name": name, "input": given}}
        self._names[text_or(call.get("id"))] = name
        return {"text": f"[called {name} with {as_json(given)}]"}


def _accompany(content: list[Json]) -> None:
    if any("document" in block for block in content) and not any("text" in block for block in content):
        content.append({"text": DOCUMENT_ALONE})


def _apart(message: Json) -> list[Json]:
    """A turn with results and more as a turn with the results, and one with the rest."""
    results = [block for block in message["content"] if "toolResult" in block]
    rest = [block for block in message["content"] if "toolResult" not in block]
    if not results or not rest:
        return [message]
    between = {"role": "assistant", "content": [{"text": ACKNOWLEDGED}]}
    return [{"role": "user", "content": results}, between, {"role": "user", "content": rest}]


def _call_id(known: Any) -> str:
    """Bedrock takes letters, digits and `_.:-`, and at most 64 of them."""
    call_id = re.sub(r"[^A-Za-z0-9_.:-]", "_", text_or(known)) or "_"
    if len(call_id) <= CALL_ID_CHARS_MAX:
        return call_id
    return f"call_{hashlib.sha256(call_id.encode()).hexdigest()[:32]}"


def _is_base64(data: str) -> bool:
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
