"""`keys new`: a key for a client, and what to write into the run config to accept it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from llama_stack.cli.failure import USAGE, Failure


def keys_new(
    id: Annotated[str, typer.Option("--id", help="Whom the key stands for: it owns what is stored with it.")] = "me",
    tenant: Annotated[str, typer.Option(help="Tenants see nothing of each other.")] = "default",
    attribute: Annotated[
        list[str] | None, typer.Option("--attribute", help="roles=admin; may be given several times.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make an API key. Only its hash is configured; the key itself is shown once, here."""
    from llama_stack.security.authentication import new_key

    attributes = _attributes(attribute or [])
    made = new_key()
    entry: dict[str, object] = {"id": id, "hash": made.hash, "tenant": tenant, "attributes": attributes}
    if as_json:
        print(json.dumps({"key": made.key, **entry}, indent=2))
        return
    print(f"Key (shown once, give it to the client):\n  {made.key}\n")
    print(f"Hash:\n  {made.hash}\n")
    print("Paste into the run config, and add an entry under `keys` for every further one:")
    print(_yaml(entry))


def _attributes(pairs: list[str]) -> dict[str, list[str]]:
    attributes: dict[str, list[str]] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not (name and separator and value):
            raise Failure(f"--attribute {pair!r} is not NAME=VALUE", "Write for example roles=admin", exit_code=USAGE)
        attributes.setdefault(name, []).append(value)
    return attributes


def _yaml(entry: dict[str, object]) -> str:
    import yaml

    shown = {key: value for key, value in entry.items() if value and (key, value) != ("tenant", "default")}
    config = {"server": {"auth": {"provider_config": {"type": "api_keys", "keys": [shown]}}}}
    return yaml.safe_dump(config, sort_keys=False, width=120).rstrip()
