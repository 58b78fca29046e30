"""`server.auth`: who may talk to the server."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from llama_stack.config.section import Section, UserPath

_HASH = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE)


def _normalise_hash(text: str) -> str:
    match = _HASH.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            "must be the SHA-256 of the key as 64 hex digits, optionally after 'sha256:' "
            '(printf %s "$KEY" | sha256sum)'
        )
    return f"sha256:{match[1].lower()}"


KeyHash = Annotated[str, AfterValidator(_normalise_hash)]


class ApiKey(Section):
    """One key. The key itself is never configured, only its hash."""

    id: str = Field(min_length=1, max_length=256)
    """The principal that requests with this key act as; it owns what they store."""
    hash: KeyHash
    """SHA-256 of the key in hex; kept as `sha256:<64 lower-case hex digits>`."""
    tenant: str = Field(default="default", min_length=1, max_length=256)
    attributes: dict[str, list[str]] = Field(default_factory=dict)
    """What access rules read: `roles`, `teams`, `projects`, `namespaces`."""
    expires_at: AwareDatetime | None = None


class ApiKeysAuth(Section):
    type: Literal["api_keys"] = "api_keys"
    keys: list[ApiKey] = Field(default_factory=list)
    file: UserPath | None = None
    """A YAML or JSON file with further keys, as a list or under `keys`."""

    @model_validator(mode="after")
    def _someone_can_enter(self) -> ApiKeysAuth:
        if not self.keys and self.file is None:
            raise ValueError("needs `keys` or `file`: without either nobody could use the server")
        hashes = [key.hash for key in self.keys]
        if len(set(hashes)) != len(hashes):
            raise ValueError("two entries of `keys` have the same hash; a key must belong to one principal")
        return self


class AuthConfig(Section):
    provider_config: ApiKeysAuth | None = None
    """None: requests are not authenticated."""
    access_policy: list[dict[str, Any]] = Field(default_factory=list)
    route_policy: list[dict[str, Any]] = Field(default_factory=list)
