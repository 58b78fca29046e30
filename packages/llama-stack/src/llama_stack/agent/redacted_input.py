"""The input of a response as shields leave it, before it is stored and before a model sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from llama_stack.agent.chat.messages import chat_messages
from llama_stack.agent.entries import Entry, Item
from llama_stack.agent.guardrails import Guardrails
from llama_stack.agent.ports import Violation
from llama_stack.agent.seals import Unseal
from llama_stack.agent.turn import Turn


async def redact(turn: Turn, rails: Guardrails, unseal: Unseal) -> None:
    """Puts what is left in place of the turn's input and instructions. Of an input that is blocked, everything stays:
    the run says no to it."""
    given: list[Any] = [{"instructions": turn.request.get("instructions")}, *_values(turn.input)]

    def shown(value: list[Any]) -> list[dict[str, Any]]:
        instructions = value[0]["instructions"]
        return chat_messages(_entries(turn.input, value[1:]), instructions=instructions, unseal=unseal)

    left = await rails.texts(given, shown)
    if isinstance(left, Violation):
        return
    turn.checked = True
    if left is not given:
        turn.input = _entries(turn.input, left[1:])
        turn.request["instructions"] = left[0]["instructions"]


async def redacted(entries: Sequence[Entry], rails: Guardrails, unseal: Unseal) -> Sequence[Entry]:
    """The entries as they are left; as they are where they are blocked."""
    values = _values(entries)
    left = await rails.texts(values, lambda value: chat_messages(_entries(entries, value), unseal=unseal))
    return entries if isinstance(left, Violation) or left is values else _entries(entries, left)


def _values(entries: Sequence[Entry]) -> list[dict[str, Item | Any]]:
    return [{"role": entry.item.get("role"), "item": entry.item, "shown": entry.shown} for entry in entries]


def _entries(entries: Sequence[Entry], values: Sequence[dict[str, Any]]) -> list[Entry]:
    return [
        msgspec.structs.replace(entry, item=value["item"], shown=value["shown"])
        for entry, value in zip(entries, values, strict=True)
    ]
