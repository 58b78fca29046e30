"""A whole reply of Converse as a chat completion."""

from __future__ import annotations

from llama_stack.dialects.chat.completions import completion
from llama_stack.dialects.chat.values import Json, as_json, mapping, objects, text_or
from llama_stack.dialects.converse.completions import cited, finish_members, reply_members, usage_of
from llama_stack.dialects.converse.to_converse import AS_IT_IS, Reading


def completion_of(reply: Json, *, id: str, model: str, created: int, reading: Reading = AS_IT_IS) -> Json:
    """`created` in seconds since 1970."""
    message = _message(objects(mapping(mapping(reply.get("output")).get("message")).get("content")), reading)
    finish = finish_members(
        text_or(reply.get("stopReason")), mapping(reply.get("trace")), calls="tool_calls" in message
    )
    choice: Json = {"index": 0, "message": message, "logprobs": None, **finish}
    if fields := reply.get("additionalModelResponseFields"):
        choice["additionalModelResponseFields"] = fields
    usage = usage_of(mapping(reply.get("usage")))
    return {
        **completion(id=id, model=model, created=created, choices=[choice], usage=usage),
        **reply_members(reply),
    }


def _message(blocks: list[Json], reading: Reading) -> Json:
    said = _Said(reading)
    for block in blocks:
        said.add(block)
    found = {
        "content": said.text,
        "reasoning_content": said.thoughts,
        "thinking_blocks": said.kept,
        "tool_calls": said.calls[: reading.calls_max],
        "annotations": said.annotations,
    }
    message: Json = {"role": "assistant", "content": None, "refusal": None}
    return {**message, **{name: value for name, value in found.items() if value}}


class _Said:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.text = ""
        self.thoughts = ""
        self.kept: list[Json] = []
        self.calls: list[Json] = []
        self.annotations: list[Json] = []

    def add(self, block: Json) -> None:
        match block:
            case {"text": str(text)}:
                self._say(text)
            case {"reasoningContent": dict(thought)}:
                self._think(thought)
            case {"toolUse": dict(call)}:
                self._call(call)
            case {"citationsContent": dict(content)}:
                start = len(self.text)
                self._say("".join(text_or(part.get("text")) for part in objects(content.get("content"))))
                if self._reading.answer_tool is None:
                    self.annotations += cited(objects(content.get("citations")), start, len(self.text))

    def _say(self, text: str) -> None:
        if self._reading.answer_tool is None:
            self.text += text
        else:
            self.thoughts += text

    def _think(self, thought: Json) -> None:
        spoken = mapping(thought.get("reasoningText"))
        self.thoughts += text_or(spoken.get("text"))
        if kept := kept_reasoning(spoken, thought.get("redactedContent"), self._reading):
            self.kept.append(kept)

    def _call(self, call: Json) -> None:
        arguments = as_json(mapping(call.get("input")))
        if call.get("name") == self._reading.answer_tool:
            # One that is given twice would be no JSON.
            self.text = self.text or arguments
            return
        function = {"name": text_or(call.get("name")), "arguments": arguments}
        self.calls.append({"id": text_or(call.get("toolUseId")), "type": "function", "function": function})


def kept_reasoning(spoken: Json, redacted: object, reading: Reading) -> Json | None:
    """A block to send back later; one without a signature has nothing that its text has not."""
    if isinstance(redacted, str) and redacted:
        return {"type": "redacted_thinking", "data": reading.signer + redacted}
    if signature := text_or(spoken.get("signature")):
        return {
            "type": "thinking",
            "thinking": text_or(spoken.get("text")),
            "signature": reading.signer + signature,
        }
    return None
