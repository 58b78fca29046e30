"""The formats of Oracle's chat API, and which models take which."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class ApiFormat(StrEnum):
    """`apiFormat` of a request. A model takes one, and refuses the others."""

    GENERIC = "GENERIC"
    COHERE = "COHERE"
    COHEREV2 = "COHEREV2"


_COHERE_OF_OLD: Final = ("command-r", "command-light", "command-latest", "command-plus-latest", "command-a-03-2025")


def format_of(model: str) -> ApiFormat:
    """The format that a model's name tells: Cohere's first for the models that came with it, Cohere's second for its
    later ones (those that see or reason), the generic one for all others."""
    vendor, _, name = model.partition(".")
    if vendor != "cohere":
        return ApiFormat.GENERIC
    return ApiFormat.COHERE if name == "command" or name.startswith(_COHERE_OF_OLD) else ApiFormat.COHEREV2
