"""`diff`: two distributions, or one and what the reference implementation's starter was like."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llama_stack.cli.failure import USAGE, Failure

if TYPE_CHECKING:
    from llama_stack.cli.building.run_configs import Entry, WrittenConfig

REFERENCE_STARTER = "reference-starter"

Reference = Annotated[str, typer.Argument(metavar="A", help="A distribution's name, or a run config.")]
Other = Annotated[str | None, typer.Argument(metavar="B", help=f"Another. `{REFERENCE_STARTER}`: as --upstream.")]


def diff(
    a: Reference,
    b: Other = None,
    upstream: Annotated[
        bool, typer.Option("--upstream", help="Instead of B: the starter of the reference implementation, 0.7.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what differs between two distributions: APIs, providers, their settings, and all other sections.

    Both are compared as they are written, with their `${env…}`. Secrets are masked.
    """
    if (b is None) != upstream:
        raise Failure("name a second distribution, or say --upstream", exit_code=USAGE)
    left, right = _read(a), _read(b or REFERENCE_STARTER)
    # Of the reference starter only the providers are known.
    found = differences(left, right, providers_only=REFERENCE_STARTER in (a, b or REFERENCE_STARTER))
    if as_json:
        print(json.dumps({"a": str(left.path), "b": str(right.path), **found}, indent=2))
    else:
        print("\n".join(_told(found)) or "No difference.")


def differences(a: WrittenConfig, b: WrittenConfig, *, providers_only: bool = False) -> dict[str, Any]:
    """`apis` and `providers` that only one has, and `settings` that are not alike, each at its path."""
    pairs, only_a, only_b = _paired(list(_all_entries(a)), list(_all_entries(b)))
    apis_a, apis_b = (list(config.data.get("providers") or {}) for config in (a, b))
    settings: list[dict[str, Any]] = []
    for left, right in pairs:
        place = f"providers.{left.api}.{left.provider_id}"
        settings += _changes(_as_data(left, providers_only), _as_data(right, providers_only), place)
    if not providers_only:
        settings += _changes(_other_sections(a), _other_sections(b), "")
    return {
        "apis": {
            "only_a": [api for api in apis_a if api not in apis_b],
            "only_b": [api for api in apis_b if api not in apis_a],
        },
        "providers": {
            "only_a": [_named(entry) for entry in only_a],
            "only_b": [_named(entry) for entry in only_b],
        },
        "settings": settings,
    }


def _read(reference: str) -> WrittenConfig:
    from llama_stack.cli.building.run_configs import read_written

    if reference == REFERENCE_STARTER:
        return read_written(Path(str(files("llama_stack.cli.building"))) / "reference_starter.yaml", os.environ)
    return read_written(reference, os.environ)


def _all_entries(config: WrittenConfig) -> Iterator[Entry]:
    from llama_stack.cli.building.run_configs import entry_of

    for api, entries in (config.data.get("providers") or {}).items():
        for entry in entries or ():
            yield entry_of(api, entry)


def _paired(a: list[Entry], b: list[Entry]) -> tuple[list[tuple[Entry, Entry]], list[Entry], list[Entry]]:
    """Entries of one API belong together by their id and type, else by their type, else by their id."""
    pairs: list[tuple[Entry, Entry]] = []
    for key in (
        lambda entry: (entry.api, entry.type, entry.provider_id),
        lambda entry: (entry.api, entry.type),
        lambda entry: (entry.api, entry.provider_id),
    ):
        for left in list(a):
            right = next((each for each in b if key(each) == key(left)), None)
            if right is not None:
                pairs.append((left, right))
                a.remove(left)
                b.remove(right)
    return pairs, a, b


def _as_data(entry: Entry, providers_only: bool) -> dict[str, Any]:
    turned_on_by = ", ".join(entry.turned_on_by) or "always"
    data = {"provider_id": entry.provider_id, "provider_type": entry.type, "turned on by": turned_on_by}
    return data if providers_only else data | {"config": dict(entry.config)}


def _other_sections(config: WrittenConfig) -> dict[str, Any]:
    return {key: value for key, value in config.data.items() if key not in ("providers", "distro_name", "image_name")}


def _changes(a: Mapping[str, Any], b: Mapping[str, Any], place: str) -> Iterator[dict[str, Any]]:
    left, right = dict(_flat(a, "")), dict(_flat(b, ""))
    for path in dict.fromkeys([*left, *right]):
        if left.get(path) != right.get(path):
            where = ".".join(filter(None, (place, path)))
            yield {"path": where, "a": _shown(path, left.get(path)), "b": _shown(path, right.get(path))}


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Leaves by path. Lists of things that have an id are taken as maps, so that their order does not matter."""
    if isinstance(value, list) and value and all(_id(item) for item in value):
        value = {_id(item): item for item in value}
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _id(item: Any) -> str:
    if not isinstance(item, Mapping):
        return ""
    keys = ("id", "model_id", "shield_id", "vector_store_id", "toolgroup_id", "connector_id")
    return next((str(item[key]) for key in keys if item.get(key)), "")


def _shown(path: str, value: Any) -> Any:
    """What may be shown: references by name, and no secret, not even as the default of a reference."""
    from llama_stack.config.env import REFERENCE
    from llama_stack.config.redact import REDACTED, names_secret, redact

    secret = any(names_secret(key) for key in path.split("."))
    if isinstance(value, str) and REFERENCE.search(value):
        if not secret or REFERENCE.sub("", value):
            return REDACTED if secret else redact(value)
        return REFERENCE.sub(lambda m: f"${{env.{m[1]}:={REDACTED if m[3] else ''}}}" if m[2] == "=" else m[0], value)
    return redact({path.rpartition(".")[2]: value}).popitem()[1] if not secret or not value else REDACTED


def _named(entry: Entry) -> dict[str, Any]:
    return {
        "api": entry.api,
        "provider_id": entry.provider_id,
        "type": entry.type,
        "turned_on_by": list(entry.turned_on_by),
    }


def _told(found: Mapping[str, Any]) -> Iterator[str]:
    for title, key in (("APIs", "apis"), ("Providers", "providers")):
        for mark, side in (("-", "only_a"), ("+", "only_b")):
            items = found[key][side]
            if items:
                yield f"{title} only in {'A' if mark == '-' else 'B'}:"
                yield from (f"  {mark} {_api(item) if isinstance(item, str) else _line(item)}" for item in items)
    if found["settings"]:
        yield "Different (A → B):"
        yield from (f"  {each['path']}: {_plain(each['a'])} → {_plain(each['b'])}" for each in found["settings"])


def _api(name: str) -> str:
    from llama_stack.config.apis import ABSENT_APIS, API_ALIASES, SERVICE_APIS

    if name in SERVICE_APIS or name in API_ALIASES:
        return f"{name} (the server itself)"
    return f"{name} (not part of this server)" if name in ABSENT_APIS else name


def _line(item: Mapping[str, Any]) -> str:
    condition = f" (if {', '.join(item['turned_on_by'])})" if item["turned_on_by"] else ""
    return f"{item['api']}: {item['provider_id']}, {item['type']}{condition}"


def _plain(value: Any) -> str:
    return "—" if value is None else json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
