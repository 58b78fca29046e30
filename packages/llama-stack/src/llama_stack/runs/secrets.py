"""What a request carried for providers and is stored only sealed: bound to its run, and gone with its end."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import msgspec
from pydantic import SecretStr

from llama_stack_api.errors import LlamaStackError
from llama_stack_api.principal import Call, Principal


class Sealer(Protocol):
    """Authenticated encryption under the server's key. `bound_to` must be the same when it is opened."""

    def seal(self, secret: bytes, bound_to: bytes) -> bytes: ...

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """A `LlamaStackError` with the code `credentials_lost` if it was sealed under another key, or was changed."""
        ...


class Secrets(msgspec.Struct, omit_defaults=True):
    """A kind of runs that has more of them adds to these."""

    provider_data: dict[str, str] = {}
    forward_headers: dict[str, str] = {}


S = TypeVar("S", bound=Secrets)


def carried(call: Call, forwarded: Collection[str]) -> dict[str, Any]:
    """The fields of `Secrets` that a call has. `forwarded` are the names (lower case) of the headers that some provider
    passes on: no other is kept."""
    return {
        "provider_data": {name: value.get_secret_value() for name, value in call.provider_data.items()},
        "forward_headers": {name: call.forward_headers[name] for name in forwarded if name in call.forward_headers},
    }


def seal_secrets(sealer: Sealer | None, secrets: Secrets, run_id: str) -> bytes:
    """Empty where there is nothing to seal, or nobody who could."""
    if sealer is None or secrets == type(secrets)():
        return b""
    return sealer.seal(msgspec.json.encode(secrets), _bound_to(run_id))


def open_secrets(sealer: Sealer | None, sealed: bytes, run_id: str, kind: type[S]) -> S:
    """`LlamaStackError` with the code `credentials_lost` if the key that they were sealed under is not there."""
    if not sealed:
        return kind()
    if sealer is None:
        raise LlamaStackError(
            "The credentials of this request are sealed under a key that this server does not have.",
            code="credentials_lost",
        )
    return msgspec.json.decode(sealer.open(sealed, _bound_to(run_id)), type=kind)


def attributes_of(principal: Principal) -> dict[str, list[str]]:
    """Those of whoever asked, as a payload keeps them."""
    return {name: list(values) for name, values in principal.attributes.items()}


def with_attributes(owner: Principal, attributes: Mapping[str, Sequence[str]]) -> Principal:
    """Whoever asked, as far as a payload knows."""
    return replace(owner, attributes={name: tuple(values) for name, values in attributes.items()})


def call_of(principal: Principal, secrets: Secrets, *, request_id: str, deadline: float | None) -> Call:
    """The call that a run makes for its request."""
    return Call(
        principal=principal,
        request_id=request_id,
        deadline=deadline,
        provider_data={name: SecretStr(value) for name, value in secrets.provider_data.items()},
        forward_headers=secrets.forward_headers,
    )


def _bound_to(run_id: str) -> bytes:
    return f"secrets:{run_id}".encode()
