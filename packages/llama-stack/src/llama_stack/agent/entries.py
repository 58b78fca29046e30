"""What a turn consists of: items as JSON, and what the model was shown of them where the item does not say."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

Item: TypeAlias = dict[str, Any]
"""An item as JSON, in the shape of `llama_stack_api.openai.responses.items`. What we make ourselves has an `id`, and a
`status` where its type has one."""

Event: TypeAlias = dict[str, Any]
"""A streaming event as JSON, in the shape of `llama_stack_api.openai.responses.events`."""

ITEM_ADDED: Final = "response.output_item.added"
ITEM_DONE: Final = "response.output_item.done"
"""The types of the events with which an item begins and ends."""


class ModelCall(msgspec.Struct, frozen=True):
    """A call as the model made it: `arguments` is JSON as it wrote it, which need not be valid."""

    id: str
    name: str
    arguments: str


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an answer may rest on: a web page by its `url`, or a stored file by its `file_id`. `title` is the page's, or
    the file's name."""

    title: str
    url: str | None = None
    file_id: str | None = None


class Entry(msgspec.Struct, omit_defaults=True):
    """An item of a turn, as it is stored and given to the next turn.

    The item is whole: what a client sees only if its `include` asks for it is taken out on the way to it
    (`agent.include`). `call` and `shown` are there for what the server ran: the model's call, and the content of the
    tool message that answered it (text, or parts of a chat message). `sources` may be cited by what comes after. `pin`
    is the digest of the definition that a tool had then. `together`: the model made this call in one breath with that
    of the entry before.
    """

    item: Item
    call: ModelCall | None = None
    shown: str | list[dict[str, Any]] | None = None
    sources: list[Source] = []
    pin: str | None = None
    together: bool = False
