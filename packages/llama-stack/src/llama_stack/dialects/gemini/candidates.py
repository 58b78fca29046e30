"""A candidate, as it comes in one piece or many, as the deltas of a choice. Whole replies are their own stream.

text                            content
text that is a thought          reasoning_content
thoughtSignature                thinking_blocks, with the thoughts before it; and `extra_content` of its call
functionCall                    tool_calls: always whole; ids that Google did not give are derived from the reply's
inlineData                      images, as OpenRouter has them
executableCode and its result   content, as a block of code: Google ran it, there is nothing to answer
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from typing import Any

from llama_stack.dialects.chat.chunks import numbered
from llama_stack.dialects.chat.values import Json, as_json, data_url, mapping, objects, text_or
from llama_stack.dialects.gemini.endings import finish_members
from llama_stack.dialects.gemini.grounding import annotations_of
from llama_stack.dialects.gemini.signatures import block_of, extra_content

_LISTED = ("tool_calls", "thinking_blocks", "annotations", "images")


class Candidate:
    """`reply_id` is Google's name of the reply. `one_call`: the first call is the only one (`parallel_tool_calls`
    false): the model asks for the others when it has the first one's result."""

    def __init__(self, index: int, *, reply_id: str, one_call: bool) -> None:
        self.index = index
        self._reply_id = reply_id or uuid.uuid4().hex
        self._one_call = one_call
        self._text: list[str] = []
        self._thought = ""
        self._blocks = 0
        self._calls = 0
        self._grounding: Any = None
        self._finish_reason: Any = None

    @property
    def finished(self) -> bool:
        return self._finish_reason is not None

    def deltas(self, candidate: Json) -> list[Json]:
        """What a piece adds, in order."""
        self._grounding = candidate.get("groundingMetadata") or self._grounding
        self._finish_reason = candidate.get("finishReason") or self._finish_reason
        parts = objects(mapping(candidate.get("content")).get("parts"))
        return [delta for part in parts for delta in self._part(part)]

    def ending(self) -> tuple[list[Json], Json]:
        """The deltas that only the end can tell, and `finish_reason`."""
        annotations = annotations_of(self._grounding, "".join(self._text)) if self._grounding else []
        finish = finish_members(self._finish_reason, calls=self._calls > 0)
        return [{"annotations": numbered(annotations)}] if annotations else [], finish

    def _part(self, part: Json) -> Iterator[Json]:
        signature = text_or(part.get("thoughtSignature"))
        if part.get("thought") and (text := text_or(part.get("text"))):
            self._thought += text
            yield {"reasoning_content": text}
        call = part.get("functionCall")
        if isinstance(call, dict) and self._one_call and self._calls:
            return
        if signature:
            yield {"thinking_blocks": [{"index": self._blocks, **block_of(signature, self._thought)}]}
            self._blocks, self._thought = self._blocks + 1, ""
        if isinstance(call, dict):
            yield {"tool_calls": [{"index": self._calls, **self._call(call, signature)}]}
            self._calls += 1
        elif not part.get("thought"):
            yield from self._shown(part)

    def _shown(self, part: Json) -> Iterator[Json]:
        text = text_or(part.get("text")) or _code(part)
        if text:
            self._text.append(text)
            yield {"content": text}
        image = mapping(part.get("inlineData"))
        if image:
            url = data_url(text_or(image.get("mimeType")), text_or(image.get("data")))
            yield {"images": [{"type": "image_url", "image_url": {"url": url}}]}

    def _call(self, call: Json, signature: str) -> Json:
        function = {"name": text_or(call.get("name")), "arguments": as_json(mapping(call.get("args")))}
        own = extra_content(signature) if signature else {}
        return {"id": text_or(call.get("id")) or self._call_id(), "type": "function", "function": function, **own}

    def _call_id(self) -> str:
        place = f"{self._reply_id}:{self.index}:{self._calls}"
        return f"call_{hashlib.sha256(place.encode(errors='replace')).hexdigest()[:24]}"


def message_of(deltas: list[Json]) -> Json:
    """The whole message that deltas amount to."""
    message: Json = {"role": "assistant", "content": None, "refusal": None}
    for delta in deltas:
        for name, value in delta.items():
            if name in _LISTED:
                known = [{key: member for key, member in each.items() if key != "index"} for each in value]
                message.setdefault(name, []).extend(known)
            else:
                message[name] = (message.get(name) or "") + value
    return message


def completion_id(reply_id: Any) -> str:
    return f"chatcmpl-{text_or(reply_id) or uuid.uuid4().hex}"


def _code(part: Json) -> str:
    code, result = mapping(part.get("executableCode")), mapping(part.get("codeExecutionResult"))
    if code:
        return f"\n```{text_or(code.get('language')).lower()}\n{text_or(code.get('code')).strip()}\n```\n"
    if result and result.get("output"):
        return f"\n```\n{text_or(result['output']).strip()}\n```\n"
    return ""
