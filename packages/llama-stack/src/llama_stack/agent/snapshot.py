"""A response while it runs, as its log tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from llama_stack.agent.entries import Item
from llama_stack.agent.fold import Fold
from llama_stack.agent.response import ResponseJson
from llama_stack.agent.turn import Turn
from llama_stack.runs.model import Event, Run, RunStatus


async def snapshot(turn: Turn, run: Run, events: AsyncIterator[Event]) -> bytes:
    """The response as JSON with the items that are done and what there is of those that are not. Items that a crash cut
    off are not among them."""
    fold = await Fold.of(events)
    status = "queued" if run.status is RunStatus.QUEUED else "in_progress"
    return ResponseJson(turn, run.id).encode(status, _output(fold))


def _output(fold: Fold) -> list[Item]:
    items = {fold.places[item_id]: item for item_id, item in fold.done.items() if item.get("status") != "incomplete"}
    items |= {item.index: item.item() for item in fold.open.values()}
    return [items[place] for place in sorted(items)]
