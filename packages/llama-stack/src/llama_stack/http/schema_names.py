"""Names of types in the OpenAPI document. FastAPI puts the module before those that two APIs use for different types;
here it is the API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

REF: Final = "#/components/schemas/"
_APIS: Final[Mapping[str, str]] = {
    "llama_stack_api__anthropic__": "Anthropic",
    "llama_stack_api__batches__": "Batch",
    "llama_stack_api__openai__chat": "Chat",
    "llama_stack_api__openai__errors__": "",
    "llama_stack_api__openai__responses__": "Responses",
}


def rename_schemas(document: dict[str, Any]) -> None:
    """Gives the types short names, in place. One that would not be the only one of its name keeps the long one."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    wanted = {name: _short(name) for name in schemas}
    count = Counter(wanted.values())
    names = {name: short for name, short in wanted.items() if short != name and count[short] == 1}
    document["components"]["schemas"] = {names.get(name, name): schema for name, schema in schemas.items()}
    _follow(document, {REF + name: REF + short for name, short in names.items()})


def _short(name: str) -> str:
    for prefix, api in _APIS.items():
        if name.startswith(prefix):
            return api + name.rpartition("__")[2]
    return name


def _follow(node: Any, refs: Mapping[str, str]) -> None:
    if isinstance(node, list):
        for each in node:
            _follow(each, refs)
    elif isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, str):
                node[key] = refs.get(value, value)  # a reference, or a discriminator's mapping
            else:
                _follow(value, refs)
