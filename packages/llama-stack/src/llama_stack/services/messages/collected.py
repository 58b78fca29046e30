"""A message put together from the events of its stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack.services.messages.chat import Json


class Collected:
    """`message` is whole once `message_stop` was fed. Events are those that this server makes: whole and in order."""

    def __init__(self) -> None:
        self.message: Json = {}
        self._arguments: dict[int, str] = {}

    @property
    def content(self) -> list[Json]:
        blocks: list[Json] = self.message.get("content", [])
        return blocks

    def feed(self, events: Iterable[Json]) -> None:
        for event in events:
            match event["type"]:
                case "message_start":
                    self.message = {**event["message"], "content": []}
                case "content_block_start":
                    self.content.append(dict(event["content_block"]))
                case "content_block_delta":
                    self._grow(event["index"], event["delta"])
                case "content_block_stop":
                    self._end(event["index"])
                case "message_delta":
                    self.message |= event["delta"]
                    self.message["usage"] = {**self.message["usage"], **event["usage"]}

    def _grow(self, index: int, delta: Json) -> None:
        block = self.content[index]
        match delta["type"]:
            case "text_delta":
                block["text"] += delta["text"]
            case "thinking_delta":
                block["thinking"] += delta["thinking"]
            case "signature_delta":
                block["signature"] = delta["signature"]
            case "input_json_delta":
                self._arguments[index] = self._arguments.get(index, "") + delta["partial_json"]
            case "citations_delta":
                block["citations"] = [*(block.get("citations") or ()), delta["citation"]]

    def _end(self, index: int) -> None:
        arguments = self._arguments.pop(index, "")
        if arguments:
            self.content[index]["input"] = _object(arguments)


def _object(arguments: str) -> Any:
    """What a model wrote as arguments; nothing where it is no JSON object, as for a message that is no stream."""
    try:
        given = msgspec.json.decode(arguments)
    except UNREADABLE:
        return {}
    return given if isinstance(given, dict) else {}
