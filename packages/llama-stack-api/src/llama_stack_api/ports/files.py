"""What a files provider can do: keep bytes under a name, and give them back, whole or a range of them.

The server keeps what is known of a file (owner, name, purpose, expiry) in its SQL store and checks who may; a provider
keeps contents alone. Nothing is ever held in memory as a whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from llama_stack_api.principal import Call


@dataclass(frozen=True, slots=True)
class NewContent:
    """`id` is unique and unguessable: letters, digits, `-` and `_`. `filename` is for those who show it on; a provider
    never makes a path of it. `size` is the number of bytes where it is known before."""

    id: str
    tenant: str
    filename: str
    purpose: str
    content_type: str = "application/octet-stream"
    size: int | None = None


@dataclass(frozen=True, slots=True)
class KeptContent:
    """`key` is what the provider calls it from now on; `sha256` is in hexadecimal."""

    key: str
    size: int
    sha256: str


@runtime_checkable
class KeepsContent(Protocol):
    async def write_content(self, content: NewContent, body: AsyncIterator[bytes], call: Call) -> KeptContent:
        """All of `body`, or nothing: whatever breaks off leaves nothing behind that could be read."""
        ...

    def read_content(self, key: str, call: Call, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, without, `end`, as they come. `NotFound` if there is no such content."""
        ...

    async def delete_content(self, key: str, call: Call) -> None:
        """Nothing where it is gone already."""
        ...


@runtime_checkable
class DiscardsUnfinished(Protocol):
    async def discard_content(self, tenant: str, content_id: str, call: Call) -> None:
        """Remove what `write_content` of that `NewContent.id` left if its key never became known: the process ended in
        between. Optional, for those who can find it without the key."""
        ...


FILES_PORTS: tuple[type, ...] = (KeepsContent,)
