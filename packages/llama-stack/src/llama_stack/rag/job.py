"""What a run that ingests a file is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec
from pydantic import SecretStr

from llama_stack_api.errors import LlamaStackError
from llama_stack_api.principal import Call, Principal

KIND: Final = "vector_store_file"
"""The kind of the runs that ingest one file into one vector store."""


class Job(msgspec.Struct, omit_defaults=True):
    """The payload of a run: an attachment, and what else its request said.

    `left_over`: the server that took the request did not begin the run, so nothing of its credentials is there.
    """

    store: str
    file: str
    attachment: str
    attributes: dict[str, list[str]] = {}
    request_id: str = ""
    left_over: bool = False


class Secrets(msgspec.Struct, omit_defaults=True):
    """What the request carried for providers; sealed, bound to the run, and gone with its end."""

    provider_data: dict[str, str] = {}
    forward_headers: dict[str, str] = {}


class Sealer(Protocol):
    """Authenticated encryption under the server's key. `bound_to` must be the same when it is opened."""

    def seal(self, secret: bytes, bound_to: bytes) -> bytes: ...

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """A `LlamaStackError` if it was sealed under another key, or was changed."""
        ...


def secrets_of(call: Call, forwarded: frozenset[str] = frozenset()) -> Secrets:
    """`forwarded` are the names of the headers that some provider passes on: no other is kept."""
    return Secrets(
        {name: value.get_secret_value() for name, value in call.provider_data.items()},
        {name: value for name, value in call.forward_headers.items() if name in forwarded},
    )


def seal(sealer: Sealer | None, secrets: Secrets, run_id: str) -> bytes:
    """Empty where there is nothing to seal, or nobody who could."""
    if sealer is None or secrets == Secrets():
        return b""
    return sealer.seal(msgspec.json.encode(secrets), _bound_to(run_id))


def unseal(sealer: Sealer | None, sealed: bytes, run_id: str) -> Secrets:
    """`LlamaStackError` with the code `credentials_lost` if the key that they were sealed under is not there."""
    if not sealed:
        return Secrets()
    if sealer is None:
        raise LlamaStackError(
            "The credentials of this file's request are sealed under a key that this server does not have.",
            code="credentials_lost",
        )
    return msgspec.json.decode(sealer.open(sealed, _bound_to(run_id)), type=Secrets)


def call_of(job: Job, principal: Principal, secrets: Secrets, deadline: float) -> Call:
    attributes: Mapping[str, tuple[str, ...]] = {name: tuple(values) for name, values in job.attributes.items()}
    return Call(
        principal=Principal(id=principal.id, tenant=principal.tenant, attributes=attributes),
        request_id=job.request_id,
        deadline=deadline,
        provider_data={name: SecretStr(value) for name, value in secrets.provider_data.items()},
        forward_headers=secrets.forward_headers,
    )


def _bound_to(run_id: str) -> bytes:
    return f"secrets:{run_id}".encode()
