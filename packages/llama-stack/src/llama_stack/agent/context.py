"""What the model is shown of a response: how large it is, and what of it goes first where it is too large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from llama_stack.agent.entries import Entry

CHARS_PER_TOKEN: Final = 4
"""A guess that costs next to nothing, as all of a conversation is measured in each round; `rag.tokens` looks closer."""
ATTACHMENT_TOKENS: Final = 1000
"""An image or a file, which is sent in base64, is no text."""
DROPPED_SHARE: Final = 0.25
ANSWER_SHARE: Final = 0.25
"""Of a model's context: what an answer is left at most, where tools would fill it."""


def is_instruction(entry: Entry) -> bool:
    return entry.item.get("role") in ("system", "developer")


def is_user(entry: Entry) -> bool:
    return entry.item.get("role") == "user"


def tokens_of(entries: Sequence[Entry]) -> int:
    """A guess, where the model has not told."""
    return sum(_tokens(entry.item if entry.shown is None else entry.shown) for entry in entries)


def _tokens(value: Any) -> int:
    if isinstance(value, str):
        return ATTACHMENT_TOKENS if value.startswith("data:") else 1 + len(value) // CHARS_PER_TOKEN
    if isinstance(value, dict):
        return sum(map(_tokens, value.values()))
    if isinstance(value, list):
        return sum(map(_tokens, value))
    return 1


def room_for_tools(context_length: int, instructions: Any, output_tokens_max: int | None) -> int:
    """Tokens that a model's context has for the conversation and what tools give, when it is to answer as well."""
    answer = min(output_tokens_max or context_length, int(ANSWER_SHARE * context_length))
    return max(0, context_length - answer - _tokens(instructions or ""))


def since_compaction(entries: list[Entry]) -> list[Entry]:
    """The last compaction stands for what is before it, save instructions."""
    at = next((at for at in reversed(range(len(entries))) if entries[at].item.get("type") == "compaction"), 0)
    return [*filter(is_instruction, entries[:at]), *entries[at:]]


def newest_user_turn(entries: Sequence[Entry]) -> range:
    """Where the user's last messages stand."""
    end = next((at + 1 for at in reversed(range(len(entries))) if is_user(entries[at])), 0)
    start = end
    while start and is_user(entries[start - 1]):
        start -= 1
    return range(start, end)


def without_oldest(entries: Sequence[Entry]) -> list[Entry] | None:
    """The entries without the oldest quarter of what may go; None if nothing may.

    Instructions, the user's last messages and what the model has not seen yet (the outputs at the end) stay; a call
    goes together with its output. Where nothing else is left to go, of the user's messages the last one stays.
    """
    newest = newest_user_turn(entries)
    return _without_oldest(entries, newest) or _without_oldest(entries, newest[-1:])


def _without_oldest(entries: Sequence[Entry], asked: range) -> list[Entry] | None:
    kept = {*asked, *_at_the_end(entries)}
    kept |= {at for at, entry in enumerate(entries) if is_instruction(entry)}
    calls_kept = {_call_id(entries[at]) for at in kept} - {None}
    droppable = [at for at, entry in enumerate(entries) if at not in kept and _call_id(entry) not in calls_kept]
    if not droppable:
        return None
    wanted = max(1, int(DROPPED_SHARE * sum(tokens_of([entries[at]]) for at in droppable)))
    dropped: set[int] = set()
    for at in droppable:
        dropped.add(at)
        wanted -= tokens_of([entries[at]])
        if wanted <= 0:
            break
    calls = {_call_id(entries[at]) for at in dropped} - {None}
    return [entry for at, entry in enumerate(entries) if at not in dropped and _call_id(entry) not in calls]


def _at_the_end(entries: Sequence[Entry]) -> range:
    start = len(entries)
    while start and str(entries[start - 1].item.get("type", "")).endswith("_output"):
        start -= 1
    return range(min(start, max(0, len(entries) - 1)), len(entries))


def _call_id(entry: Entry) -> str | None:
    call_id = entry.item.get("call_id")
    return call_id if isinstance(call_id, str) else None
