"""The tool calls of a streamed chat completion, put together from their pieces.

Upstreams number the pieces (`index`), or give a call whole and without a number, or give all calls the same; some
repeat name and id in every piece. A piece begins a new call if its number is new, if it has a name and another id than
the call of its number, or if it has a name and arguments where the call of its number is already whole.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from llama_stack.agent.arguments import json_object
from llama_stack.agent.chat.chunks import CallDelta, FunctionDelta
from llama_stack.agent.chat.open_calls import CALLS, OpenCall
from llama_stack.agent.chat.open_items import Place
from llama_stack.agent.entries import Entry, Event, ModelCall
from llama_stack.agent.ids import new_id
from llama_stack.agent.tools.base import BoundTool, CallerTool
from llama_stack.agent.turn import ServerCall
from llama_stack_api.errors import ProviderStreamBroken


class Output:
    """The items of one call of the model by their `output_index`; an item that was cut off leaves a gap."""

    def __init__(self, response_id: str) -> None:
        self.entries: dict[int, Entry] = {}
        self.response_id = response_id
        self._next = 0

    def place(self) -> Place:
        self._next += 1
        return Place(self._next - 1, self.response_id)


class _Call:
    def __init__(self, given_id: str | None) -> None:
        self.given_id = given_id
        self.id = ""
        self.name: str | None = None
        self.pieces: list[str] = []
        self.view: OpenCall | None = None
        self.server_item: str | None = None
        self.closed = False

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    @property
    def whole(self) -> bool:
        return json_object(self.arguments) is not None


class Calls:
    """The calls of one answer. Those of the server's tools are not shown: `for_server` has them in the end."""

    def __init__(self, tools: Mapping[str, BoundTool], output: Output, *, coalesce: bool) -> None:
        self._tools = tools
        self._output = output
        self._coalesce = coalesce
        self._calls: list[_Call] = []
        self._by_number: dict[int | None, _Call] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    @property
    def open(self) -> list[OpenCall]:
        return [call.view for call in self._calls if call.view is not None and not call.closed]

    @property
    def for_server(self) -> list[ServerCall]:
        return [
            ServerCall(call.server_item, ModelCall(call.id, call.name or "", call.arguments or "{}"))
            for call in self._calls
            if call.server_item is not None and call.closed
        ]

    def take(self, piece: CallDelta, events: list[Event]) -> None:
        function = piece.function or FunctionDelta()
        name = function.name if isinstance(function.name, str) and function.name else None
        arguments = _as_text(function.arguments)
        given_id = piece.id if isinstance(piece.id, str) and piece.id else None
        number = piece.index if isinstance(piece.index, int) else None
        call = self._by_number.get(number)
        if call is None or _is_another(call, given_id, name, arguments, numbered=number is not None):
            self._close_whole(events)
            call = _Call(given_id)
            self._calls.append(call)
        self._by_number[number] = self._by_number[None] = call
        if not call.closed:
            self._grow(call, name, arguments, events)

    def conclude(self, *, cut_off: bool, events: list[Event]) -> None:
        """All calls have come. Where the answer was `cut_off`, a call that is not whole is nobody's to run."""
        for call in self._calls:
            if call.closed:
                continue
            if cut_off and not call.whole:
                if call.view is not None:
                    call.view.cut(events)
                call.server_item = None
                call.closed = True
            else:
                self._close(call, events)

    def _grow(self, call: _Call, name: str | None, arguments: str, events: list[Event]) -> None:
        if arguments:
            call.pieces.append(arguments)
        if call.name is None:
            if name is None:
                return
            call.name = name
            self._begin(call, events)
            arguments = call.arguments
        if call.view is not None and arguments:
            call.view.add(arguments, events)

    def _begin(self, call: _Call, events: list[Event]) -> None:
        taken = {other.id for other in self._calls}
        call.id = call.given_id if call.given_id and call.given_id not in taken else f"call_{secrets.token_hex(12)}"
        name = call.name or ""
        tool = self._tools.get(name)
        if tool is not None and tool.runner is not None:
            kind = "mcp_approval_request" if tool.needs_approval else f"{tool.runner.kind}_call"
            call.server_item = new_id(kind, self._output.response_id)
            return
        caller = (tool.caller if tool else None) or CallerTool("function", name)
        call.view = CALLS[caller.kind](self._output.place(), call.id, caller, events, coalesce=self._coalesce)

    def _close_whole(self, events: list[Event]) -> None:
        for call in self._calls:
            if not call.closed and call.name is not None and call.whole:
                self._close(call, events)

    def _close(self, call: _Call, events: list[Event]) -> None:
        if call.name is None:
            raise ProviderStreamBroken("The model's provider sent a tool call without a name.")
        call.closed = True
        if call.view is not None:
            self._output.entries[call.view.index] = Entry(call.view.close("completed", events))


def _is_another(call: _Call, given_id: str | None, name: str | None, arguments: str, *, numbered: bool) -> bool:
    if name is None or call.name is None:
        return False
    if given_id is not None and call.given_id is not None:
        return given_id != call.given_id
    if not numbered:
        return True
    # Some repeat the name in every piece: what cannot be whole is not decoded again for each.
    return bool(arguments) and call.pieces != [] and call.pieces[-1].endswith("}") and call.whole


def _as_text(arguments: Any) -> str:
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return msgspec.json.encode(arguments).decode()
