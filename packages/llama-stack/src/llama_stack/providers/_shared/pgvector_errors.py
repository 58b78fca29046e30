"""What the errors of PostgreSQL mean to a caller."""

from __future__ import annotations

import os

from llama_stack.providers._shared.vector_engine import no_such_index
from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderTimeout,
    ProviderUnreachable,
)

NOT_TEXT = "PostgreSQL cannot hold or compare one of the values: texts must be valid Unicode without NUL."


def meaning_of(state: str, name: str) -> LlamaStackError:
    """Of an SQLSTATE. PostgreSQL's own words stay in the log: they name hosts and users."""
    named = f"Provider '{name}'"
    match state[:2], state:
        case "28", _:
            return ProviderRejectedCredentials(f"{named} refused the credentials. Check its user and password.")
        case "22", _:
            return InvalidRequest(NOT_TEXT)
        case _, "57014":
            return ProviderTimeout(f"{named} did not answer in time.")
        case (("08" | "53" | "57"), _):
            return ProviderUnreachable(f"{named} is not available (SQLSTATE {state}).")
        case _, ("0A000" | "58P01"):
            return ProviderError(f"{named} has no extension 'vector': install pgvector on its server.")
        case "3D", _:
            return ProviderError(f"{named} has no such database. Check its db.")
        case _, "42501":
            return ProviderError(
                f"{named} lacks a privilege: its user must be able to create tables, and the "
                "extension 'vector' unless it is there."
            )
        case _, "42P01":
            return no_such_index(name)
    return ProviderError(f"{named} failed (SQLSTATE {state}).")


def reason_of(error: BaseException) -> str:
    """Why there is no connection, in words that name no address."""
    return os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else type(error).__name__
