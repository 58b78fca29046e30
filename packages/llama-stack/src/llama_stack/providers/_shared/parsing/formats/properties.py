"""What an office document says of itself."""

from __future__ import annotations

import datetime
from typing import Any

from llama_stack.providers._shared.parsing.draft import Draft

_TEXTS = ("title", "author", "subject", "keywords", "category", "language")
_TIMES = ("created", "modified")


def note_properties(draft: Draft, properties: Any) -> None:
    for name in _TEXTS:
        draft.note(name, getattr(properties, name, None))
    for name in _TIMES:
        value = getattr(properties, name, None)
        if isinstance(value, datetime.datetime):
            draft.note(name, value.isoformat())
