"""The query in a model's call of a search."""

from __future__ import annotations

from llama_stack.agent.arguments import json_object
from llama_stack.agent.entries import ModelCall
from llama_stack_api.errors import InvalidRequest


def query_of(call: ModelCall, chars_max: int) -> str:
    """The text at `query` of the arguments; empty if there is none."""
    query = (json_object(call.arguments) or {}).get("query")
    return query.strip()[:chars_max] if isinstance(query, str) else ""


def required_query(call: ModelCall, chars_max: int) -> str:
    """`InvalidRequest`, in words for the model, if there is none."""
    query = query_of(call, chars_max)
    if not query:
        raise InvalidRequest(f'{call.name} takes a JSON object with a text "query".', param="query")
    return query
