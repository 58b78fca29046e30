"""Who signs requests to Oracle: keys of a user, a session, a function, or a machine. Tokens are renewed in time."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack.providers._shared.oci_config import OciAuthConfig, profile_of, text_of_file, text_or_file
from llama_stack.providers._shared.oci_instance import InstancePrincipal
from llama_stack.providers._shared.oci_signing import Identity, private_key, signed_headers
from llama_stack_api.errors import ProviderRejectedCredentials
from llama_stack_api.ports.http import HttpClient

TOKEN_SPARE_S: Final = 60.0
REREAD_S: Final = 300.0
"""After so long a token from a file, which says nothing of its end that can be read, is read again."""
CLIENTS_CACHED_MAX: Final = 64
CLIENT_PEM_CHARS_MAX: Final = 4096
"""Of a key of 4096 bits are 3300. To sign with one that is much larger holds up everybody else."""
_RESOURCE: Final = "OCI_RESOURCE_PRINCIPAL_"

Find = Callable[[], Awaitable[Identity]]


class OciSigner:
    """Signs the requests of one provider; `name` is how errors call it."""

    def __init__(self, config: OciAuthConfig, name: str, http: HttpClient) -> None:
        self._config = config
        self._name = name
        self._instance = InstancePrincipal(name, http)
        self._identity: Identity | None = None
        self._clients: OrderedDict[tuple[str, str], Identity] = OrderedDict()
        self._finding = asyncio.Lock()

    async def signed(self, method: str, url: str, body: bytes, own: OciAuthConfig | None = None) -> Mapping[str, str]:
        """The headers of a request. `own`: the keys that a call brings, in the place of the configured identity."""
        identity = await (self._identity_now() if own is None else self._of_client(own))
        return signed_headers(identity, method, url, body, now=time.time())

    async def region(self) -> str | None:
        """The region that the identity's source names, if it does."""
        try:
            match self._kind():
                case "config_file" | "security_token":
                    return (await asyncio.to_thread(self._profile)).get("region")
                case "resource_principal":
                    return os.environ.get(f"{_RESOURCE}REGION")
                case "instance_principal":
                    return await self._instance.region()
        except ValueError as error:
            raise self._rejected(str(error)) from None
        return None

    def forget(self) -> None:
        """The identity was refused: the next request finds it anew."""
        self._identity = None

    async def _identity_now(self) -> Identity:
        if self._identity is None or self._identity.good_until < time.time():
            async with self._finding:
                if self._identity is None or self._identity.good_until < time.time():
                    self._identity = await self._found()
        return self._identity

    async def _found(self) -> Identity:
        try:
            match self._kind():
                case "api_key":
                    return await asyncio.to_thread(_user_identity, self._config)
                case "config_file":
                    return await asyncio.to_thread(_of_profile, self._profile())
                case "security_token":
                    return await asyncio.to_thread(_of_session, self._profile())
                case "resource_principal":
                    return await asyncio.to_thread(_of_resource, os.environ)
            return await self._instance.identity()
        except ValueError as error:
            raise self._rejected(str(error)) from None

    def _kind(self) -> str:
        if self._config.oci_auth_type is not None:
            return self._config.oci_auth_type
        if self._config.oci_private_key is not None:
            return "api_key"
        if f"{_RESOURCE}VERSION" in os.environ:
            return "resource_principal"
        found = Path(self._config.oci_config_file_path).expanduser().is_file()
        return "config_file" if found else "instance_principal"

    def _profile(self) -> dict[str, str]:
        return profile_of(self._config.oci_config_file_path, self._config.oci_config_profile)

    async def _of_client(self, own: OciAuthConfig) -> Identity:
        """A key of a client's is taken as itself, never as the path of a file of ours."""
        assert own.oci_private_key is not None
        pem = own.oci_private_key.get_secret_value()
        known = (pem, "/".join(filter(None, (own.oci_tenancy_ocid, own.oci_user_ocid, own.oci_fingerprint))))
        identity = self._clients.pop(known, None)
        if identity is None:
            if not pem.lstrip().startswith("-----BEGIN"):
                raise self._rejected("oci_private_key of the request is no key in PEM")
            if len(pem) > CLIENT_PEM_CHARS_MAX:
                raise self._rejected("oci_private_key of the request is larger than a key of 4096 bits")
            try:
                identity = await asyncio.to_thread(_user_identity, own)
            except ValueError as error:
                raise self._rejected(str(error)) from None
        self._clients[known] = identity
        if len(self._clients) > CLIENTS_CACHED_MAX:
            self._clients.popitem(last=False)
        return identity

    def _rejected(self, reason: str) -> ProviderRejectedCredentials:
        return ProviderRejectedCredentials(
            f"Provider '{self._name}' has no credentials of Oracle's cloud: {reason}.", code="upstream_key_missing"
        )


def good_until(token: str) -> float | None:
    """When a token ends, in seconds of `time.time()`; None if it does not say."""
    try:
        payload = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, *UNREADABLE):
        return None
    ends = claims.get("exp") if isinstance(claims, dict) else None
    return float(ends) if isinstance(ends, int | float) else None


def _token_identity(token: str, pem: str, passphrase: str | None) -> Identity:
    ends = good_until(token)
    until = time.time() + REREAD_S if ends is None else min(ends - TOKEN_SPARE_S, time.time() + REREAD_S)
    return Identity(f"ST${token}", private_key(pem, passphrase), until)


def _user_identity(config: OciAuthConfig) -> Identity:
    passphrase = config.oci_private_key_passphrase
    return _of_user(
        {"tenancy": config.oci_tenancy_ocid, "user": config.oci_user_ocid, "fingerprint": config.oci_fingerprint},
        "" if config.oci_private_key is None else text_or_file(config.oci_private_key.get_secret_value()),
        None if passphrase is None else passphrase.get_secret_value(),
        "oci_{}_ocid",
    )


def _of_user(named: Mapping[str, str | None], pem: str, passphrase: str | None, called: str) -> Identity:
    missing = [called.format(name) if name != "fingerprint" else name for name, value in named.items() if not value]
    if missing:
        raise ValueError(f"{', '.join(missing)} must be set beside the private key")
    key_id = "/".join(str(value) for value in named.values())
    if not key_id.isprintable() or '"' in key_id:
        raise ValueError("an OCID or the fingerprint has characters that it cannot have")
    return Identity(key_id, private_key(pem, passphrase))


def _of_profile(profile: Mapping[str, str]) -> Identity:
    if profile.get("security_token_file"):
        return _of_session(profile)
    named = {name: profile.get(name) for name in ("tenancy", "user", "fingerprint")}
    return _of_user(named, _key_of(profile), profile.get("pass_phrase"), "{}")


def _of_session(profile: Mapping[str, str]) -> Identity:
    """The session of `oci session authenticate`, which the CLI renews in its file."""
    if not profile.get("security_token_file"):
        raise ValueError("the profile has no security_token_file; run `oci session authenticate`")
    token = text_of_file(Path(profile["security_token_file"])).strip()
    ends = good_until(token)
    if ends is not None and ends < time.time():
        raise ValueError("the session has ended; run `oci session authenticate`")
    return _token_identity(token, _key_of(profile), profile.get("pass_phrase"))


def _key_of(profile: Mapping[str, str]) -> str:
    if profile.get("key_content"):
        return profile["key_content"]
    if not profile.get("key_file"):
        raise ValueError("the profile has no key_file")
    return text_of_file(Path(profile["key_file"]))


def _of_resource(environment: Mapping[str, str]) -> Identity:
    """Version 2.2 of resource principals: a token and a key in the environment, or in files that are kept fresh."""
    version = environment.get(f"{_RESOURCE}VERSION")
    if version != "2.2":
        raise ValueError(f"{_RESOURCE}VERSION is {version!r} in the environment; only 2.2 is supported")
    values: dict[str, Any] = {name: environment.get(_RESOURCE + name) for name in ("RPST", "PRIVATE_PEM")}
    missing = [_RESOURCE + name for name, value in values.items() if not value]
    if missing:
        raise ValueError(f"{', '.join(missing)} must be set in the environment")
    passphrase = environment.get(f"{_RESOURCE}PRIVATE_PEM_PASSPHRASE")
    token, pem = text_or_file(values["RPST"]).strip(), text_or_file(values["PRIVATE_PEM"])
    return _token_identity(token, pem, text_or_file(passphrase).strip() if passphrase else None)
