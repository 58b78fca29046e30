"""`server.secrets`: the keys under which the server seals what it stores or hands out and must read again."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from llama_stack.config.section import Section, UserPath

KEY_BYTES = 32


def key_bytes(text: str) -> bytes:
    """A key as it is written: 32 bytes in base64, either alphabet. `ValueError` without the text."""
    try:
        key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"must be {KEY_BYTES} random bytes in base64 (openssl rand -base64 {KEY_BYTES})")
    return key


def _is_key(secret: SecretStr) -> SecretStr:
    key_bytes(secret.get_secret_value())
    return secret


def _without_absent(value: Any) -> Any:
    return [item for item in value if item is not None] if isinstance(value, list) else value


Key = Annotated[SecretStr, AfterValidator(_is_key)]


class SecretsConfig(Section):
    """Without a key here, one is made in a file when it is first needed. Replicas need the same key."""

    key: Key | None = None
    """32 random bytes in base64."""
    keys: Annotated[list[Key], BeforeValidator(_without_absent)] = Field(default_factory=list, max_length=100)
    """Several, to change keys: the first seals (after `key`, if there is one), all open."""
    key_file: UserPath | None = None
    """A file with keys, one a line, that nobody but the server may read; made if it is not there. Default: in the
    distribution's directory."""

    @property
    def all_keys(self) -> list[bytes]:
        written = [*([self.key] if self.key else []), *self.keys]
        return [key_bytes(secret.get_secret_value()) for secret in written]
