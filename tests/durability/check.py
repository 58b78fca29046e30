"""All that must hold of a response, whatever was killed under it."""

from __future__ import annotations

import json
from typing import Any

import openai
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response

from tests.durability.client import Follower, client_of
from tests.durability.script import CALLS, ROUNDS, UNDISTURBED
from tests.support.mcp_server import CallLog


def check_loop(log: CallLog, response: Response) -> None:
    """Every call is there, ran once, or says that it was interrupted; the answer is that of an undisturbed loop."""
    assert response.status == "completed"
    calls = [item for item in response.output if item.type == "mcp_call"]
    assert [(item.name, item.arguments) for item in calls] == [
        (tool.name, tool.text) for tools in ROUNDS for tool in tools
    ]
    done = {"add": log.calls("add"), "slow": log.calls("slow")}
    for item in calls:
        # An MCP tool is not known to be idempotent: it ran once, or at most once if its item says it was interrupted.
        times = done[item.name].count(json.loads(item.arguments))
        if item.error is None:
            assert times == 1
            assert item.status == "completed"
        else:
            assert times <= 1
            assert "interrupted" in str(item.error)
    assert sum(map(len, done.values())) <= CALLS
    if all(item.error is None for item in calls):
        assert response.output_text.endswith(UNDISTURBED)


async def check_log(url: str, follower: Follower, response: Response) -> None:
    """The follower saw exactly the log, and the log tells of the response and of what was cut off, and of no more."""
    async with client_of(url) as client:
        log = [event async for event in await client.responses.retrieve(response.id, stream=True)]
        stored = await client.responses.retrieve(response.id)
    assert stored.to_dict() == log[-1].response.to_dict()  # type: ignore[union-attr]
    if follower.helper:  # its events are richer than those of the log
        seen = [(event.sequence_number, event.type) for event in follower.events]
        assert [(event.sequence_number, event.type) for event in log] == seen
    else:
        assert [event.to_dict() for event in log] == [event.to_dict() for event in follower.events]
    final = {item.id for item in response.output}
    cut = {
        event.item.id
        for event in log
        if event.type == "response.output_item.done" and getattr(event.item, "status", None) == "incomplete"
    }
    assert not cut & final, "an item that the crash cut off is in the log as incomplete, and nowhere else"
    added = [event.item.id for event in log if event.type == "response.output_item.added"]
    assert len(added) == len(set(added)), "no item begins twice"
    assert set(added) == final | cut
    state: Any = ResponseStreamState(input_tools=openai.omit, text_format=openai.omit)
    for event in log:
        state.handle_event(event)
