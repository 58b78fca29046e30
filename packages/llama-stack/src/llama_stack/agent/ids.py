"""Ids of items that are not the model's: the same in every attempt, and as unguessable as what they come from."""

from __future__ import annotations

import hashlib

from llama_stack.agent.entries import PREFIXES


def derived_id(kind: str, *secrets: str) -> str:
    """For an item of type `kind`. `secrets`: an id that nobody can guess, and what tells its items apart."""
    return f"{PREFIXES.get(kind, kind)}_{hashlib.sha256(' '.join(secrets).encode()).hexdigest()[:48]}"
