"""Who makes a request, and what a request carries besides its body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. Every stored row is owned by `id` within `tenant`; access rules read `attributes`.

    `attributes` maps an attribute (`roles`, `teams`, `projects`, `namespaces`) to its values.
    """

    id: str
    tenant: str = DEFAULT_TENANT
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    authenticated: bool = True


ANONYMOUS = Principal(id="anonymous", authenticated=False)
"""Whoever asks a server on which no authentication is configured."""

SYSTEM = Principal(id="system")
"""The server itself: discovery, health checks, migrations."""


@dataclass(frozen=True, slots=True)
class Call:
    """What goes with every call down to a provider.

    `deadline` is a time of the running event loop's clock (`loop.time()`), or None for no limit. Whoever sets it
    cancels the call when it is over; whoever is called reads it to plan (a retry that would come too late) and need
    not watch it.
    `provider_data` holds the secrets of `X-LlamaStack-Provider-Data`, by their key (`openai_api_key`); they override
    configured ones for this call and must never be logged or stored.
    `forward_headers` are request headers that a provider may be configured to pass on (lower-case names).
    """

    principal: Principal = ANONYMOUS
    request_id: str = ""
    deadline: float | None = None
    provider_data: Mapping[str, SecretStr] = field(default_factory=dict)
    forward_headers: Mapping[str, str] = field(default_factory=dict)


SYSTEM_CALL = Call(principal=SYSTEM)
