"""Items that a request only names, wherever they are: in the turns before it, in a stored response, which the id of an
item leads to, or in a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from llama_stack.agent.entries import Entry, Item
from llama_stack.agent.ids import RESPONSE, link_of
from llama_stack.agent.turn import TURN
from llama_stack.runs.reader import RunReader
from llama_stack.services.items import REFERENCE
from llama_stack.storage.sql.conversations import ConversationStore, StoredItem
from llama_stack_api.errors import InvalidRequest, NotFound
from llama_stack_api.principal import Principal

REFERENCES_MAX: Final = 4096
"""Items that one request may name that are not in the turns before it."""
ID_CHARS_SHOWN_MAX: Final = 100

_entries = msgspec.json.Decoder(list[Entry])
_entry = msgspec.json.Decoder(Entry)


class References(Protocol):
    """Where an item may be that a request only names."""

    async def find(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Entry]:
        """Those of the items that the principal has stored; the others are not among them."""
        ...


class StoredItems:
    """`References` over the journal and the conversations. Ids that are none of ours are not looked for."""

    def __init__(self, journal: RunReader, conversations: ConversationStore) -> None:
        self._journal = journal
        self._conversations = conversations

    async def find(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Entry]:
        wanted = {each for each in ids if link_of(each)}
        if len(wanted) > REFERENCES_MAX:
            raise InvalidRequest(
                f"The input refers to more than {REFERENCES_MAX} items that are not in the turns before it: send them "
                "whole.",
                param="input",
            )
        found: dict[str, Entry] = {}
        for link in sorted({link_of(each) for each in wanted}):
            for document in await self._journal.documents(principal, f"{RESPONSE}_{link}", TURN):
                found |= _named(_entries.decode(document), wanted)
        rest = sorted(wanted - found.keys())
        return found | _named(_kept(await self._conversations.find_items(principal, rest)), wanted)


async def resolved(
    items: Sequence[Item], before: Iterable[Entry], references: References, who: Principal
) -> list[Entry]:
    """The items as entries, references replaced by what they name: of `before`, or of any stored response.

    What is in `before` already is not said twice: a reference to it is left out. `NotFound` names the first id that is
    nowhere."""
    named = {item["id"] for item in items if item["type"] == REFERENCE}
    if not named:
        return [Entry(item) for item in items]
    known = {entry.item["id"] for entry in before}
    found = await references.find(who, sorted(named - known))
    entries = []
    for place, item in enumerate(items):
        if item["type"] != REFERENCE:
            entries.append(Entry(item))
        elif item["id"] in found:
            entries.append(found[item["id"]])
        elif item["id"] not in known:
            raise NotFound(
                f"There is no item {item['id'][:ID_CHARS_SHOWN_MAX]!r}. Items of responses with store false are not "
                "kept: send them whole.",
                param=f"input[{place}].id",
            )
    return entries


def _named(entries: Iterable[Entry], wanted: set[str]) -> dict[str, Entry]:
    return {item_id: entry for entry in entries if (item_id := entry.item.get("id", "")) in wanted}


def _kept(items: Iterable[StoredItem]) -> Iterator[Entry]:
    """Under the ids that they have in their conversations."""
    for stored in items:
        entry = _entry.decode(stored.body)
        yield msgspec.structs.replace(entry, item={**entry.item, "id": stored.id})
