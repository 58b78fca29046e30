"""Calls of MCP tools that wait for the caller's word, and what it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llama_stack.agent.entries import Entry, Item, ModelCall
from llama_stack.agent.ids import derived_id
from llama_stack.agent.tools.base import BoundTool


@dataclass(frozen=True, slots=True)
class Approved:
    """A call that the caller has approved. `pin` is the digest of the definition that the request showed."""

    request_id: str
    response_id: str
    label: str
    name: str
    call: ModelCall
    pin: str | None

    def is_of(self, tool: BoundTool) -> bool:
        return tool.label == self.label and (tool.bare_name or tool.name) == self.name

    def item_id(self, kind: str, run_id: str) -> str:
        """Of the item that comes of it in the response `run_id`."""
        return derived_id(kind, run_id, self.request_id, self.response_id)


def approved(before: Sequence[Entry], input: Sequence[Entry]) -> Iterator[Approved]:
    """Calls that the input approves and that have had no verdict yet, each once. One that is denied needs nothing: the
    items say so."""
    requests = {entry.item.get("id"): entry for entry in (*before, *input) if _is(entry, "mcp_approval_request")}
    settled = {entry.item.get("approval_request_id") for entry in (*before, *input) if _is(entry, "mcp_call")}
    settled |= {entry.item.get("approval_request_id") for entry in before if _is(entry, "mcp_approval_response")}
    for entry in input:
        request_id = entry.item.get("approval_request_id")
        request = requests.get(request_id) if _is(entry, "mcp_approval_response") else None
        if request is not None and request_id not in settled:
            settled.add(request_id)
            if entry.item.get("approve"):
                yield _approved(entry.item, request)


def _approved(verdict: Item, request: Entry) -> Approved:
    item = request.item
    return Approved(
        request_id=item["id"],
        response_id=str(verdict.get("id")),
        label=item["server_label"],
        name=item["name"],
        call=request.call or ModelCall(item["id"], item["name"], item["arguments"]),
        pin=request.pin,
    )


def approval_request(item_id: str, call: ModelCall, tool: BoundTool, *, pin: str | None = None) -> Entry:
    item: Item = {
        "id": item_id,
        "type": "mcp_approval_request",
        "server_label": tool.label or "",
        "name": tool.bare_name or tool.name,
        "arguments": call.arguments,
    }
    return Entry(item, call=call, pin=pin or tool.pin)


def _is(entry: Entry, kind: str) -> bool:
    return entry.item.get("type") == kind
