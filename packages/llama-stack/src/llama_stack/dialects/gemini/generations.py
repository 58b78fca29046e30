"""What the models of a generation can do, read off a model's name: Google's listings do not tell."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

Generation: TypeAlias = tuple[int, int]

_NAMED: Final = re.compile(r"gemini-(\d+)(?:[.-](\d)(?!\d))?")
_NEWEST: Final = (99, 0)
"""Of names without a number (`gemini-flash-latest`, a tuned model's): Google moves such names to the newest."""


def generation(model: str) -> Generation:
    """`(2, 5)` for `gemini-2.5-pro`, `(3, 0)` for `gemini-3-flash-preview`. Gemma's models count as older ones."""
    named = _NAMED.search(model)
    if named is not None:
        return int(named[1]), int(named[2] or 0)
    return (1, 0) if "gemma" in model else _NEWEST


def signs_calls(model: str) -> bool:
    """From Gemini 3 on, function calls have ids, come back with the signature of the thought behind them or are
    refused, and results may hold images."""
    return generation(model) >= (3, 0)
