"""`models`: what a running server offers. `models pull` is next door."""

from __future__ import annotations

import http.client
import json
import os
from typing import Annotated, Any

import typer

from llama_stack.cli.asking import address_of, ask, default_url
from llama_stack.cli.failure import Failure
from llama_stack.cli.tables import table


def models(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="LLAMA_STACK_URL", help="Where the server is; default: this machine."),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", envvar="LLAMA_STACK_API_KEY", help="Better in the environment: others see a command line."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the server's reply.")] = False,
) -> None:
    """List the models of a running server. `pull` has a provider fetch one."""
    if context.invoked_subcommand is not None:
        return
    reply = _listed(url or default_url(os.environ), api_key)
    if as_json:
        print(json.dumps(reply, indent=2))
        return
    rows = [_row(model) for model in reply.get("data", [])]
    print(table(("MODEL", "TYPE", "PROVIDER"), rows) if rows else "The server offers no model yet.")


def _row(model: dict[str, Any]) -> tuple[str, str, str]:
    about = model.get("custom_metadata") or {}
    return str(model.get("id")), str(about.get("model_type", "")), str(about.get("provider_id", ""))


def _listed(url: str, api_key: str | None) -> dict[str, Any]:
    address = address_of(url)
    answer = ask(address, "/v1/models", key=api_key)
    if answer.status == http.client.UNAUTHORIZED:
        raise Failure(f"{address.url} wants an API key", "Set LLAMA_STACK_API_KEY or give --api-key")
    if answer.status != http.client.OK or not answer.body:
        raise answer.unexpected(address)
    return answer.body
