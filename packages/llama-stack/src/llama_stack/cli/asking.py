"""Asking an HTTP server for JSON. By the standard library, as a command that asks once should load no more."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from llama_stack.cli.failure import USAGE, Failure

DEFAULT_PORT = 8321
TIMEOUT_S = 10.0
_REPLY_BYTES_MAX = 64 * 1024 * 1024


class NoAnswer(Failure):
    """Nobody listens, or what answers does not speak HTTP."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is. `path` stands before that of every request; it has no slash at its end."""

    host: str
    port: int | None = None
    is_https: bool = False
    path: str = ""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{'https' if self.is_https else 'http'}://{host}{port}{self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is empty where the reply was no JSON object."""

    status: int
    body: dict[str, Any]

    @property
    def message(self) -> str | None:
        """What an error of ours says."""
        error = self.body.get("error")
        message = error.get("message") if isinstance(error, dict) else None
        return str(message) if message else None

    def unexpected(self, address: Address) -> Failure:
        """For whoever cannot go on with it."""
        return Failure(
            f"{address.url} answered with status {self.status}: {self.message or 'not a Llama Stack server'}"
        )


def default_url(environ: Mapping[str, str]) -> str:
    """Of the server of this machine, where nobody says which is meant."""
    return f"http://localhost:{environ.get('LLAMA_STACK_PORT') or DEFAULT_PORT}"


def address_of(text: str) -> Address:
    """Of what a user wrote: with or without its scheme and `/v1`. `Failure` if it is no address."""
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        valid = parts.scheme in ("http", "https") and parts.port != 0 and not parts.username
    except ValueError:
        valid = False
    if not valid or not parts.hostname:
        raise Failure(f"{text!r} is not an address", "Write for example http://localhost:8321", exit_code=USAGE)
    path = parts.path.rstrip("/").removesuffix("/v1")
    return Address(parts.hostname, parts.port, parts.scheme == "https", path)


def ask(
    address: Address, path: str, body: Any = None, *, key: str | None = None, timeout_s: float = TIMEOUT_S
) -> Answer:
    """GET, or POST where there is a body. `NoAnswer` where no reply comes."""
    headers = {"Accept": "application/json"}
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    headers |= {} if body is None else {"Content-Type": "application/json"}
    kind = http.client.HTTPSConnection if address.is_https else http.client.HTTPConnection
    connection = kind(address.host, address.port, timeout=timeout_s)
    try:
        sent = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", address.path + path, sent, headers)
        reply = connection.getresponse()
        return Answer(reply.status, _decoded(reply.read(_REPLY_BYTES_MAX)))
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(
            f"no server answers at {address.url}: {error}",
            "Start one with `llama stack run`, or say where it is with --url",
        ) from None
    finally:
        connection.close()


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        reply = json.loads(body)
    except ValueError:
        return {}
    return reply if isinstance(reply, dict) else {}
