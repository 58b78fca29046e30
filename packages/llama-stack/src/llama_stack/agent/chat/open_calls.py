"""Calls of the caller's tools that are being streamed, as items of the kind that the tool has."""

from __future__ import annotations

from typing import Any

from llama_stack.agent.arguments import json_object
from llama_stack.agent.chat.custom_input import InputReader, whole_input
from llama_stack.agent.chat.open_items import OpenItem, Place
from llama_stack.agent.entries import Event, Item
from llama_stack.agent.tools.base import CallerTool


class OpenCall(OpenItem):
    """`add` takes the arguments piece by piece, as the model writes them."""

    def __init__(self, kind: str, place: Place, call_id: str, tool: CallerTool, *, coalesce: bool) -> None:
        super().__init__(kind, place, coalesce=coalesce)
        self._call_id = call_id
        self._tool = tool
        self._pieces: list[str] = []

    @property
    def arguments(self) -> str:
        return "".join(self._pieces)

    def add(self, arguments: str, events: list[Event]) -> None:
        self._pieces.append(arguments)

    def _named(self, status: str, **members: Any) -> Item:
        item = {"id": self.id, "type": self.kind, "status": status, "call_id": self._call_id, "name": self._tool.name}
        if self._tool.namespace is not None:
            item["namespace"] = self._tool.namespace
        return item | members


class FunctionCall(OpenCall):
    def __init__(self, place: Place, call_id: str, tool: CallerTool, events: list[Event], *, coalesce: bool) -> None:
        super().__init__("function_call", place, call_id, tool, coalesce=coalesce)
        self._added(events)

    def add(self, arguments: str, events: list[Event]) -> None:
        super().add(arguments, events)
        if not self.coalesce:
            self._delta(arguments, events)

    def close(self, status: str, events: list[Event]) -> Item:
        if not self._pieces:
            self.add("{}", events)
        if self.coalesce:
            self._delta(self.arguments, events)
        events.append(
            self.event("response.function_call_arguments.done", name=self._tool.name, arguments=self.arguments)
        )
        return self._ended(status, events)

    def item(self, status: str) -> Item:
        return self._named(status, arguments=self.arguments)

    def _delta(self, arguments: str, events: list[Event]) -> None:
        events.append(self.event("response.function_call_arguments.delta", delta=arguments))


class CustomCall(OpenCall):
    """The model writes `{"input": "…"}`; the item has the text in it."""

    def __init__(self, place: Place, call_id: str, tool: CallerTool, events: list[Event], *, coalesce: bool) -> None:
        super().__init__("custom_tool_call", place, call_id, tool, coalesce=coalesce)
        self._reader = InputReader()
        self._input: list[str] = []
        self._added(events)

    def add(self, arguments: str, events: list[Event]) -> None:
        super().add(arguments, events)
        self._write(self._reader.feed(arguments), events)

    def close(self, status: str, events: list[Event]) -> Item:
        if not self._reader.begun:
            self._write(whole_input(self.arguments), events)
        text = "".join(self._input)
        if self.coalesce and text:
            self._delta(text, events)
        events.append(self.event("response.custom_tool_call_input.done", input=text))
        return self._ended(status, events)

    def item(self, status: str) -> Item:
        return self._named(status, input="".join(self._input))

    def _write(self, text: str, events: list[Event]) -> None:
        if text:
            self._input.append(text)
            if not self.coalesce:
                self._delta(text, events)

    def _delta(self, text: str, events: list[Event]) -> None:
        events.append(self.event("response.custom_tool_call_input.delta", delta=text))


class SearchCall(OpenCall):
    """A `tool_search` that the caller runs. No events show its arguments."""

    def __init__(self, place: Place, call_id: str, tool: CallerTool, events: list[Event], *, coalesce: bool) -> None:
        super().__init__("tool_search_call", place, call_id, tool, coalesce=coalesce)
        self._added(events)

    def close(self, status: str, events: list[Event]) -> Item:
        return self._ended(status, events)

    def item(self, status: str) -> Item:
        return {
            "id": self.id,
            "type": self.kind,
            "status": status,
            "call_id": self._call_id,
            "execution": "client",
            "arguments": json_object(self.arguments) or {},
        }


CALLS: dict[str, type[FunctionCall] | type[CustomCall] | type[SearchCall]] = {
    "function": FunctionCall,
    "custom": CustomCall,
    "tool_search": SearchCall,
}
"""By `CallerTool.kind`."""
