"""The messages of a Messages request as those of a chat completion.

    system                      one system message; one in mid-conversation stays where it is
    user                        user messages; results of tools go to their calls
    assistant                   text, and `tool_calls` with the results right behind, as `tool` messages
    thinking                    `reasoning_content`; `thinking_blocks` where there are signatures or redacted blocks
    images, files in results    a message of the user after the results, ahead of what the user says there

What comes out satisfies every provider: each call is followed by its result, and no result is alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llama_stack.dialects.anthropic.chat_calls import Call, Pairing, is_result, paired
from llama_stack.dialects.anthropic.chat_parts import block_parts, content_of, divided, parts_of, text_part
from llama_stack.dialects.chat.values import Json, objects, text_or


def chat_messages(system: Any, messages: Any) -> list[Json]:
    """`system` and `messages` as in a request of the Messages API."""
    said = objects(messages)
    chat = _Chat(paired(said))
    chat.instruct(system)
    for message in said:
        if message.get("role") == "assistant":
            chat.assist(message.get("content"))
        elif message.get("role") == "system":
            chat.instruct(message.get("content"))
        else:
            chat.ask(message.get("content"))
    chat.settle()
    return chat.messages


class _Chat:
    """The members with `_` are of the assistant's message being made; `_shown` waits for the user's next one.
    `_answered`: a result stood in it, so that what follows was written after it, as a message of its own."""

    def __init__(self, pairing: Pairing) -> None:
        self.messages: list[Json] = []
        self._pairing = pairing
        self._texts: list[str] = []
        self._thoughts: list[Json] = []
        self._calls: list[Call] = []
        self._answered = False
        self._shown: list[Json] = []

    def instruct(self, content: Any) -> None:
        self.settle()
        text, _ = divided(parts_of(content))
        if text:
            self.messages.append({"role": "system", "content": text})

    def ask(self, content: Any) -> None:
        blocks = [text_block(content)] if isinstance(content, str) else objects(content)
        said: list[Json] = []
        for block in blocks:
            orphan = self._pairing.orphans.get(id(block))
            if orphan is not None:
                self._calls.append(orphan)
            elif not is_result(block):
                said += block_parts(block)
        self._flush()
        if self._shown or said:
            self.messages.append({"role": "user", "content": content_of([*self._shown, *said])})
            self._shown = []

    def assist(self, content: Any) -> None:
        if self._shown:
            self.settle()
        for block in [text_block(content)] if isinstance(content, str) else objects(content):
            if is_result(block):
                self._answered = True
            elif self._answered:
                self._flush()
            self._add(block)

    def settle(self) -> None:
        """Put down all that waits."""
        self._flush()
        if self._shown:
            self.messages.append({"role": "user", "content": content_of(self._shown)})
            self._shown = []

    def _add(self, block: Json) -> None:
        match block.get("type"):
            case _ if id(block) in self._pairing.calls:
                self._calls.append(self._pairing.calls[id(block)])
            case "text":
                self._texts.append(text_or(block.get("text")))
            case "thinking" | "redacted_thinking":
                self._thoughts.append(block)
            case "compaction":
                self._texts.append(text_or(block.get("content")))
            case _ if id(block) in self._pairing.orphans:
                self._calls.append(self._pairing.orphans[id(block)])
            case _ if isinstance(block.get("text"), str):
                self._texts.append(block["text"])

    def _flush(self) -> None:
        """The assistant's message is complete: put it and its results down."""
        text = "".join(self._texts)
        if text or self._calls:
            message: Json = {"role": "assistant", "content": text or None, **thoughts_members(self._thoughts)}
            if self._calls:
                message["tool_calls"] = [call.as_tool_call() for call in self._calls]
            self.messages.append(message)
            self._put_results()
        self._texts, self._thoughts, self._calls, self._answered = [], [], [], False

    def _put_results(self) -> None:
        for call in self._calls:
            message, others = call.as_tool_message()
            self.messages.append(message)
            if others:
                self._shown += [text_part(f"Output of {call.name}:"), *others]


def text_block(text: str) -> Json:
    return {"type": "text", "text": text}


def thoughts_members(blocks: Iterable[Json]) -> Json:
    """What an assistant's chat message has of thinking blocks. One without a signature is its text alone."""
    blocks = list(blocks)
    members: Json = {}
    texts = [text_or(block.get("thinking")) for block in blocks if block.get("type") == "thinking"]
    if any(texts):
        members["reasoning_content"] = "".join(texts)
    kept = [_thinking_block(block) for block in blocks if block.get("signature") or block.get("data")]
    if kept:
        members["thinking_blocks"] = kept
    return members


def _thinking_block(block: Json) -> Json:
    if block.get("type") == "redacted_thinking":
        return {"type": "redacted_thinking", "data": text_or(block.get("data"))}
    return {
        "type": "thinking",
        "thinking": text_or(block.get("thinking")),
        "signature": text_or(block.get("signature")),
    }
