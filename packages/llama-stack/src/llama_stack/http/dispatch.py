"""Which handler answers: one dict read for exact paths, FastAPI's router for the rest.

A router that tries its routes one by one costs more than all else that the server does for a chat request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, TypeAlias

from pydantic import BaseModel

from llama_stack.http.exchange import Exchange

Handler: TypeAlias = Callable[[Exchange], Awaitable[None]]

SCOPE_KEY = "llama_stack.exchange"
"""Where an ASGI scope holds its exchange, for handlers behind FastAPI."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one exact path: its handler, and what the OpenAPI document says of it.

    `events` gives the type of a stream's events, which the document alone needs, `errors` that of an error's body where
    it is not OpenAI's, `media_type` that of a reply which is not JSON. `types` gives the types of the request and the
    reply where no start should wait for their import.
    """

    method: str
    path: str
    handler: Handler
    name: str
    summary: str
    tag: str
    reply: type[BaseModel] | UnionType | None = None
    request: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    types: Callable[[], tuple[type[BaseModel], type[BaseModel]]] | None = None
    events: Callable[[], Any] | None = None
    errors: type[BaseModel] | None = None
    media_type: str | None = None


API_OF_TAG = {
    "Chat": "inference",
    "Completions": "inference",
    "Embeddings": "inference",
    "Rerank": "inference",
    "Models": "inference",
    "Messages": "messages",
    "Moderations": "safety",
    "Shields": "safety",
    "Safety": "safety",
    "Responses": "responses",
    "Batches": "batches",
    "Conversations": "conversations",
    "Prompts": "prompts",
    "Connectors": "connectors",
    "Tools": "tool_runtime",
    "Vector stores": "vector_io",
    "Vector IO": "vector_io",
    "Files": "files",
    "File processors": "file_processors",
    "Uploads": "files",
    "Admin": "admin",
}
"""Which API of the run config the routes of a tag belong to. Each route has such a tag: else `apis` would miss it."""


HotTable: TypeAlias = Mapping[tuple[str, str], Handler]


def hot_table(operations: Sequence[Operation]) -> HotTable:
    table = {(each.method, each.path): each.handler for each in operations}
    assert len(table) == len(operations), "two operations share a method and a path"
    return table
