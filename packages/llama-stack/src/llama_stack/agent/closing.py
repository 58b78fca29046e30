"""The last words of a response whose loop cannot say them: cancelled, failed, out of time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from llama_stack.agent.entries import Entry, Item
from llama_stack.agent.fold import Fold, cut_off
from llama_stack.agent.include import visible
from llama_stack.agent.ports import AgentMetrics
from llama_stack.agent.record import Record
from llama_stack.agent.response import ResponseJson
from llama_stack.agent.turn import TURN, Turn
from llama_stack.runs.handle import Ending
from llama_stack.runs.model import Closing, RunError, RunStatus

CUT_SHORT: Final = "The response ended before this call had a result."


async def close(ending: Ending, metrics: AgentMetrics | None = None) -> Closing:
    """Ends what is open, and keeps what is complete. Of a run without a store nothing is known."""
    turn = msgspec.json.decode(ending.payload, type=Turn)
    fold, record = await Fold.of(ending.log()), Record.of(ending.replay.steps)
    output = [_entry(item, record) for item in _complete(fold, record)]
    response = ResponseJson(turn, ending.run.id)
    cancelled = ending.outcome.status is RunStatus.CANCELLED
    status = "cancelled" if cancelled else "failed"
    if metrics is not None:
        metrics.response_done(status, record.rounds)
    body = response.encode(
        status,
        [entry.item for entry in output],
        usage=record.usage,
        error=None if cancelled else ending.outcome.error or RunError("server_error", "the response failed"),
    )
    numbers = iter(range(ending.replay.next_event, 1 << 62))
    events = []
    if not ending.replay.next_event:
        events.append(response.event("response.created", next(numbers), response.encode("queued")))
    include = frozenset(turn.request.get("include") or ())
    for item in fold.open.values():
        event = cut_off(item)
        shown = {**event, "item": visible(event["item"], include), "output_index": item.index}
        events.append(msgspec.json.encode({**shown, "sequence_number": next(numbers)}))
    kind = "response.incomplete" if cancelled else "response.failed"
    events.append(response.event(kind, next(numbers), body))
    return Closing(events, body, {TURN: msgspec.json.encode([*turn.input, *output])})


def _complete(fold: Fold, record: Record) -> Iterator[Item]:
    """Items that the log ends with, without what was cut off."""
    for item_id in sorted(fold.done, key=fold.places.__getitem__):
        item = fold.done[item_id]
        if item_id in record.entries or item.get("status") != "incomplete":
            yield item


def _entry(item: Item, record: Record) -> Entry:
    known = record.entries.get(item["id"])
    if known is not None:
        return known
    call = record.calls.get(item["id"])
    return Entry(item) if call is None else Entry(item, call=call, shown=CUT_SHORT)
