"""Which values attributes have, for engines that cannot order them: a record in the provider's own KV store.

A value is remembered before the first chunk that has it is written, and forgotten with its index. One that no chunk has
any more costs a tag in a query and changes nothing that is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Set

import msgspec

from llama_stack.providers._shared.vector_filters.tagged import (
    Order,
    Resolved,
    Value,
    bears,
    joined,
    key_tag,
    kind_of,
    tag,
)
from llama_stack_api.filters import ComparisonFilter, CompoundFilter, Filter, matches
from llama_stack_api.ports.kv import KV
from llama_stack_api.ports.vector_io import Attributes, Index

IN_KEY_CHARS_MAX = 300
"""A longer value is kept as one; shorter ones are part of the key, so that a scan is all that it takes to read them."""
WRITES_AT_ONCE = 32


class AttributeValues:
    """`ordered`: kinds of values ("string", "number") that the engine orders itself, which then need no record."""

    def __init__(self, kv: KV, *, ordered: Set[str] = frozenset()) -> None:
        self._kv = kv
        self._kinds = {"string", "number"} - ordered

    async def remember(self, index: Index, all_attributes: Iterable[Attributes]) -> None:
        entries: dict[str, bytes] = {}
        for attributes in all_attributes:
            for key, value in attributes.items():
                if kind_of(value) in self._kinds:
                    entries.update([_entry(index, key, value)])
        places = asyncio.Semaphore(WRITES_AT_ONCE)

        async def write(key: str, value: bytes) -> None:
            async with places:
                await self._kv.set(key, value)

        await asyncio.gather(*(write(key, value) for key, value in entries.items()))

    async def forget(self, index: Index) -> None:
        for key in [key async for key in self._kv.scan(f"{index.id}/")]:
            await self._kv.delete(key)

    async def resolve(self, index: Index, wanted: Filter | None) -> Resolved:
        """The filter in tags (and comparisons of what the engine orders itself)."""
        if wanted is None:
            return True
        if isinstance(wanted, CompoundFilter):
            return joined(wanted.type == "and", [await self.resolve(index, each) for each in wanted.filters])
        choices = wanted.value if isinstance(wanted.value, list) else [wanted.value]
        match wanted.type:
            case "eq" | "in":
                return bears(wanted.key, choices)
            case "ne" | "nin":
                return bears(wanted.key, choices, not_any=True)
        return await self._order(index, wanted)

    async def _order(self, index: Index, wanted: ComparisonFilter) -> Resolved:
        kind = kind_of(wanted.value)
        if kind == "boolean":
            return False
        if kind not in self._kinds:
            return Order(wanted.key, wanted.type, wanted.value)  # type: ignore[arg-type]
        values = await self._values(index, wanted.key)
        return bears(wanted.key, (value for value in values if matches(wanted, {wanted.key: value})))

    async def _values(self, index: Index, key: str) -> list[Value]:
        found: list[Value] = []
        prefix = f"{index.id}/{key_tag(key)}/"
        async for name in self._kv.scan(prefix):
            written: str | bytes | None = name.removeprefix(prefix)
            if name[len(prefix)] == "#":
                written = await self._kv.get(name)
            if written is not None:
                found.append(msgspec.json.decode(written))
        return found


def _entry(index: Index, key: str, value: Value) -> tuple[str, bytes]:
    written = msgspec.json.encode(value)
    text = written.decode()
    prefix = f"{index.id}/{key_tag(key)}/"
    if len(text) <= IN_KEY_CHARS_MAX:
        return prefix + text, b""
    return f"{prefix}#{tag(key, value)}", written
