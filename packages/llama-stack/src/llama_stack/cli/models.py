"""`models`: what a running server offers. `models pull` is next door."""

from __future__ import annotations

import http.client
import json
import os
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

import typer

from llama_stack.cli.failure import USAGE, Failure
from llama_stack.cli.tables import table

DEFAULT_PORT = 8321
_TIMEOUT_S = 10.0
_REPLY_BYTES_MAX = 64 * 1024 * 1024


def models(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option(envvar="LLAMA_STACK_URL", help="Where the server is; default: this machine.")
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="LLAMA_STACK_API_KEY", help="Better in the environment: others see a command line."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the server's reply.")] = False,
) -> None:
    """List the models of a running server. `pull` has a provider fetch one."""
    if context.invoked_subcommand is not None:
        return
    address = url or f"http://127.0.0.1:{os.environ.get('LLAMA_STACK_PORT') or DEFAULT_PORT}"
    reply = _get(address, api_key)
    if as_json:
        print(json.dumps(reply, indent=2))
        return
    rows = [_row(model) for model in reply.get("data", [])]
    print(table(("MODEL", "TYPE", "PROVIDER"), rows) if rows else "The server offers no model yet.")


def _row(model: dict[str, Any]) -> tuple[str, str, str]:
    about = model.get("custom_metadata") or {}
    return str(model.get("id")), str(about.get("model_type", "")), str(about.get("provider_id", ""))


def _get(address: str, api_key: str | None) -> dict[str, Any]:
    parts = urlsplit(address if "://" in address else f"http://{address}")
    if parts.scheme not in ("http", "https") or not parts.hostname or not _has_valid_port(parts):
        raise Failure(f"{address!r} is not an address", "Write for example http://127.0.0.1:8321", exit_code=USAGE)
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
    path = parts.path.rstrip("/").removesuffix("/v1") + "/v1/models"
    connection = _connection(parts)
    try:
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        return _decode(address, reply.status, reply.read(_REPLY_BYTES_MAX))
    except (OSError, http.client.HTTPException) as error:
        raise Failure(
            f"no server answers at {address}: {error}",
            "Start one with `llama stack run`, or say where it is with --url",
        ) from None
    finally:
        connection.close()


def _has_valid_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)


def _decode(address: str, status: int, body: bytes) -> dict[str, Any]:
    try:
        reply = json.loads(body)
    except ValueError:
        reply = None
    if status == http.client.OK and isinstance(reply, dict):
        return reply
    if status == http.client.UNAUTHORIZED:
        raise Failure(f"{address} wants an API key", "Set LLAMA_STACK_API_KEY or give --api-key")
    error = reply.get("error") if isinstance(reply, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    raise Failure(f"{address} answered with status {status}: {message or 'not a Llama Stack server'}")
