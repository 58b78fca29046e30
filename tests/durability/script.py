"""The agent loop under test: a model that goes through five tool calls, whatever becomes of them, and sums them up.

What it says next follows from how many results it was shown, so it takes the same way again after any crash.
"""

from __future__ import annotations

from typing import Any

from tests.support.upstream import Answer, Recorded, Say, Tool, Wire

LABEL = "tools"
MODEL = "scripted/agent"
GAP_S = 0.004
ROUNDS: tuple[tuple[Tool, ...], ...] = (
    (Tool("add", {"a": 1, "b": 1}, "call_1"),),
    (Tool("add", {"a": 2, "b": 2}, "call_2"), Tool("add", {"a": 3, "b": 3}, "call_3")),
    (Tool("slow", {"seconds": 0.05}, "call_4"),),
    (Tool("add", {"a": 5, "b": 5}, "call_5"),),
)
CALLS = sum(len(tools) for tools in ROUNDS)


def results(request: Recorded) -> list[dict[str, Any]]:
    return [message for message in request.body["messages"] if message["role"] == "tool"]


def agent(request: Recorded) -> Answer:
    answered = len(results(request))
    wire = Wire(gap_s=GAP_S)
    for tools in ROUNDS:
        if answered == 0:
            text = f"Now I call {' and '.join(tool.id for tool in tools)}, one moment."
            return Say(text, tools=tools, reasoning="Which tool is next?", wire=wire)(request)
        answered -= len(tools)
    assert answered == 0, "every call was answered once"
    said = "; ".join(f"{message['tool_call_id']}: {message['content']}" for message in results(request))
    return Say(f"That is all. {said}", wire=wire)(request)


UNDISTURBED = "That is all. " + "; ".join(
    f"{call}: {said}"
    for call, said in [
        ("call_1", '{\n  "sum": 2\n}'),
        ("call_2", '{\n  "sum": 4\n}'),
        ("call_3", '{\n  "sum": 6\n}'),
        ("call_4", "done"),
        ("call_5", '{\n  "sum": 10\n}'),
    ]
)
"""The final answer where nothing was interrupted."""
EVENTS = 150
"""About as many as an undisturbed loop has; kills are spread over them."""

ORDERS: tuple[Tool, ...] = (
    Tool("order", {"what": "a table and four chairs", "to": "the house on the hill"}, "call_1"),
    Tool("order", {"what": "a lamp", "to": "the cellar"}, "call_2"),
)


def caller(request: Recorded) -> Answer:
    """A model that leaves it to the caller to call the tools."""
    return Say("I order it.", tools=ORDERS, reasoning="What is needed?", wire=Wire(gap_s=GAP_S))(request)


def model(request: Recorded) -> Answer:
    return (caller if request.body["model"] == "caller" else agent)(request)


def orders_request() -> dict[str, Any]:
    members = {"what": {"type": "string"}, "to": {"type": "string"}}
    function = {"type": "function", "name": "order", "parameters": {"type": "object", "properties": members}}
    return {"model": "scripted/caller", "input": "Furnish the house.", "tools": [function]}


def request(mcp_url: str) -> dict[str, Any]:
    """Of a response that goes through all of it."""
    tool = {"type": "mcp", "server_label": LABEL, "server_url": mcp_url, "require_approval": "never"}
    return {"model": MODEL, "input": "Use your tools.", "tools": [tool]}
