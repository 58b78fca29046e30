"""What the server hands out encrypted and takes back: reasoning, compactions."""

from __future__ import annotations

import base64
import binascii

import msgspec

from llama_stack.runs.secrets import Sealer
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.principal import Principal


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

    def _bound_to(self, kind: str) -> bytes:
        return msgspec.json.encode([kind, *self._owner])  # not joined: names may hold whatever joins them
