"""Outputs of the caller's tools answer calls: one without a call is a mistake of the client, and is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from llama_stack.agent.entries import Entry, Item
from llama_stack.agent.turn import Turn
from llama_stack.services.responses.history import ResponseHistory
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.principal import Principal

OUTPUTS: Final[Mapping[str, str]] = {
    "function_call_output": "function call output",
    "custom_tool_call_output": "custom tool call output",
}

CALL_ID_CHARS_SHOWN_MAX: Final = 100


async def check_outputs(items: Sequence[Item], turn: Turn, history: ResponseHistory, who: Principal) -> None:
    """`items` are those of the request, which are in `turn.input`. `InvalidRequest` for the first output whose call is
    neither there, before or behind it, nor in what the turn goes on from. That is read only as far as it must be.

    Nobody can see which calls a compaction stands for: where there is one, any output may have had its call."""
    unmatched = _unmatched([item for item in items if item["type"] in OUTPUTS], turn.input)
    if unmatched and (turn.previous is not None or turn.conversation is not None):
        unmatched = _unmatched(unmatched, await history.newest(who, turn))
        if unmatched:
            unmatched = _unmatched(unmatched, await history.before(who, turn))
    if unmatched:
        output = unmatched[0]
        raise InvalidRequest(
            f"No tool call found for {OUTPUTS[output['type']]} with call_id "
            f"{output['call_id'][:CALL_ID_CHARS_SHOWN_MAX]}.",
            param="input",
        )


def _unmatched(outputs: Sequence[Item], among: Iterable[Entry]) -> list[Item]:
    if not outputs:
        return []
    items = [entry.item for entry in among]
    if any(item["type"] == "compaction" for item in items):
        return []
    called = {item.get("call_id") for item in items if not item["type"].endswith("_output")}
    return [output for output in outputs if output["call_id"] not in called]
