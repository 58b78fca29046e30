"""What this server does not do yet and must not seem to do.

A restriction that is read and not enforced is worse than an error, so each of these stops the start. Whoever implements
one deletes its entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from llama_stack.config.problem import ConfigPath, Problem


@dataclass(frozen=True, slots=True)
class Unsupported:
    """`*` in `path` stands for any key. `applies` sees the value there; `stand_in` takes its place, so that the rest
    of the config can be checked all the same."""

    path: tuple[str, ...]
    applies: Callable[[Any], bool]
    message: str
    remedy: str
    stand_in: Any = None


def _is_other_auth(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") != "api_keys"


def _is_mongodb(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "kv_mongodb"


_REMOVE_OR_GATEWAY = "Remove it, or put a gateway that does this in front of the server"

UNSUPPORTED: tuple[Unsupported, ...] = (
    Unsupported(
        ("server", "auth", "provider_config"),
        _is_other_auth,
        "authentication of this type is not supported yet, so it would protect nothing",
        "Use type: api_keys, or put a gateway that authenticates in front and remove server.auth",
    ),
    Unsupported(("server", "auth", "access_policy"), bool, "access_policy is not enforced yet", _REMOVE_OR_GATEWAY, []),
    Unsupported(("server", "auth", "route_policy"), bool, "route_policy is not enforced yet", _REMOVE_OR_GATEWAY, []),
    Unsupported(("server", "quota"), lambda value: value is not None, "quota is not enforced yet", _REMOVE_OR_GATEWAY),
    Unsupported(
        ("storage", "backends", "*"),
        _is_mongodb,
        "kv_mongodb is not supported",
        "Use kv_sqlite, kv_redis or kv_postgres",
        {"type": "kv_sqlite", "db_path": "unsupported"},
    ),
)


def take_unsupported(data: Any) -> Iterator[Problem]:
    """Yield an error for each entry that applies to `data`, and put its stand-in there."""
    for entry in UNSUPPORTED:
        for parent, key, path in list(_matches(data, entry.path, ())):
            if entry.applies(parent[key]):
                yield Problem(entry.message, path, remedy=entry.remedy)
                parent[key] = entry.stand_in


def _matches(data: Any, pattern: tuple[str, ...], path: ConfigPath) -> Iterator[tuple[dict[str, Any], str, ConfigPath]]:
    if not isinstance(data, dict):
        return
    head, rest = pattern[0], pattern[1:]
    for key in list(data) if head == "*" else [head] * (head in data):
        if rest:
            yield from _matches(data[key], rest, (*path, key))
        else:
            yield data, key, (*path, key)
