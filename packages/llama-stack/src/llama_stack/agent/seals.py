"""What the server hands out encrypted and takes back: reasoning, compactions."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from llama_stack.runs.secrets import Sealer
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.principal import Principal

JsonObject: TypeAlias = dict[str, Any]
Unseal: TypeAlias = Callable[[str, str], str | None]
"""`Seals.unseal`."""

SIGNED: Final = "signed_reasoning"


class Seals:
    """`kind` is `reasoning` or `compaction`. A seal holds for the principal whose response it was made in.

    Without a sealer, reasoning is not sealed at all, and a compaction is readable.
    """

    def __init__(self, sealer: Sealer | None, principal: Principal) -> None:
        self._sealer = sealer
        self._owner = [principal.tenant, principal.id]

    @property
    def available(self) -> bool:
        return self._sealer is not None

    def seal(self, kind: str, text: str) -> str:
        if self._sealer is None:
            return text
        sealed = self._sealer.seal(text.encode(errors="surrogatepass"), self._bound_to(kind))
        return base64.urlsafe_b64encode(sealed).decode()

    def unseal(self, kind: str, sealed: str) -> str | None:
        """None if it is not ours, or was made under another key."""
        if self._sealer is None:
            return sealed if kind == "compaction" else None
        try:
            opened = self._sealer.open(base64.urlsafe_b64decode(sealed), self._bound_to(kind))
        except (binascii.Error, ValueError, LlamaStackError):
            return None
        return opened.decode(errors="surrogatepass")

    def seal_thought(self, text: str, blocks: list[JsonObject]) -> str:
        """`blocks` are the thought as its provider signed it, in the form of a chat message's `thinking_blocks`."""
        if not blocks:
            return self.seal("reasoning", text)
        return self.seal(SIGNED, msgspec.json.encode({"text": text, "blocks": blocks}).decode())

    def _bound_to(self, kind: str) -> bytes:
        return msgspec.json.encode([kind, *self._owner])  # not joined: names may hold whatever joins them


def opened_thought(sealed: str, unseal: Unseal) -> tuple[str, list[JsonObject]]:
    """Text and signed blocks of what `seal_thought` made; empty if it cannot be opened."""
    signed = unseal(SIGNED, sealed)
    if signed is None:
        return unseal("reasoning", sealed) or "", []
    thought = msgspec.json.decode(signed)
    return thought["text"], thought["blocks"]
