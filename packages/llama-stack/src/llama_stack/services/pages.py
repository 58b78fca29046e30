"""Lists as OpenAI's APIs give them, of what is JSON already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


def list_json(data: Sequence[Any], ids: Sequence[str], *, more: bool) -> bytes:
    """A page: `ids` are those of `data`, `more` is whether there is another. The ids of an empty page are empty, as the
    contract has text there."""
    first, last = (ids[0], ids[-1]) if ids else ("", "")
    return msgspec.json.encode({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": more})
