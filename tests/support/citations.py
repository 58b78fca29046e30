"""Citations of a text that is there as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from llama_stack.agent.citations import Citations
from llama_stack.agent.entries import Item, Source


def cited(text: str, sources: Sequence[Source], *, numbered: bool = False) -> tuple[str, list[Item]]:
    """The text as it is shown, and its annotations."""
    citations = Citations(sources, numbered=numbered)
    shown = citations.feed(text)
    rest, annotations = citations.finish()
    return shown + rest, annotations
