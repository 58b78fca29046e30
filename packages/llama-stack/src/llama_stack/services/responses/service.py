"""The Responses API: what its routes call."""

from __future__ import annotations

from dataclasses import dataclass

from llama_stack.services.responses.context import ResponseContext
from llama_stack.services.responses.create import ResponseCreation
from llama_stack.services.responses.reading import StoredResponses


@dataclass(frozen=True, slots=True)
class ResponseService:
    """`creation` makes responses, `stored` holds them, `context` counts and compacts what goes into them."""

    creation: ResponseCreation
    stored: StoredResponses
    context: ResponseContext
