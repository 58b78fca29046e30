"""A machine of Oracle's as who signs: its certificate is exchanged for a token for a key of our own.

The metadata service of the machine (`/opc/v2`) gives the certificates and the region; the token comes from the region's
federation service. Source: https://docs.oracle.com/iaas/Content/Identity/Tasks/callingservicesfrominstances.htm
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack.providers._shared.oci_signing import Identity, private_key, signed_headers
from llama_stack_api.errors import ProviderError
from llama_stack_api.ports.http import HttpClient

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

METADATA_URL: Final = "http://169.254.169.254/opc/v2"
FEDERATION_URL: Final = "https://auth.{region}.{domain}/v1/x509"
REPLY_BYTES_MAX: Final = 256 * 1024
RENEW_S: Final = 15 * 60.0
"""A token is good for longer; the certificate behind it may be revoked."""
KEY_BITS: Final = 2048
_TENANT: Final = ("opc-tenant:", "opc-identity:")


@dataclass(frozen=True, slots=True)
class _Region:
    name: str
    domain: str


class InstancePrincipal:
    """`name` is how errors call the provider."""

    def __init__(
        self, name: str, http: HttpClient, *, metadata_url: str = METADATA_URL, federation_url: str = FEDERATION_URL
    ) -> None:
        self._name = name
        self._http = http
        self._metadata_url = metadata_url
        self._federation_url = federation_url
        self._region: _Region | None = None

    async def region(self) -> str:
        return (await self._place()).name

    async def identity(self) -> Identity:
        """`ValueError` says, as the end of a sentence, what is wrong with what the machine has."""
        place = await self._place()
        leaf = await self._metadata("/identity/cert.pem")
        key = private_key((await self._metadata("/identity/key.pem")).decode())
        between = await self._metadata("/identity/intermediate.pem")
        session = await asyncio.to_thread(_new_key)
        certificate = _certificate(leaf)
        body = msgspec.json.encode(
            {
                "certificate": _bare(leaf.decode()),
                "publicKey": _bare(_public_pem(session)),
                "intermediateCertificates": [_bare(between.decode())],
                "purpose": "DEFAULT",
                "fingerprintAlgorithm": "SHA256",
            }
        )
        machine = Identity(f"{_tenancy(certificate)}/fed-x509-sha256/{_fingerprint(certificate)}", key)
        url = self._federation_url.format(region=place.name, domain=place.domain)
        headers = signed_headers(machine, "POST", url, body, now=time.time())
        answer = await self._json("POST", url, headers, body)
        token = answer.get("token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token.isprintable() or '"' in token:
            raise ProviderError(f"Provider '{self._name}': Oracle's federation service answered without a token.")
        return Identity(f"ST${token}", session, time.time() + RENEW_S)

    async def _place(self) -> _Region:
        if self._region is None:
            answer = await self._json("GET", f"{self._metadata_url}/instance/regionInfo", _BY_MACHINE)
            told = answer if isinstance(answer, dict) else {}
            name, domain = told.get("regionIdentifier"), told.get("realmDomainComponent")
            if not isinstance(name, str) or not isinstance(domain, str):
                raise ProviderError(f"Provider '{self._name}': the machine's metadata do not name its region.")
            self._region = _Region(name, domain)
        return self._region

    async def _metadata(self, path: str) -> bytes:
        return await self._read("GET", self._metadata_url + path, _BY_MACHINE)

    async def _json(self, method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> Any:
        try:
            return msgspec.json.decode(await self._read(method, url, headers, body))
        except UNREADABLE:
            raise ProviderError(f"Provider '{self._name}': {url} answered with something that is no JSON.") from None

    async def _read(self, method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> bytes:
        reply = await self._http.send(method, url, headers=headers, body=body)
        answer = await reply.read(REPLY_BYTES_MAX)
        if reply.status >= 300:
            raise ProviderError(
                f"Provider '{self._name}': {url} answered with HTTP {reply.status}, so that the machine has no token.",
                upstream_status=reply.status,
            )
        return answer


_BY_MACHINE: Final = {"Authorization": "Bearer Oracle"}


def _new_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    return generate_private_key(65537, KEY_BITS)


def _public_pem(key: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def _certificate(pem: bytes) -> Certificate:
    from cryptography.x509 import load_pem_x509_certificate

    try:
        return load_pem_x509_certificate(pem)
    except ValueError:
        raise ValueError("the machine's certificate cannot be read") from None


def _tenancy(certificate: Certificate) -> str:
    """It stands in the subject of the certificate."""
    for attribute in certificate.subject:
        for prefix in _TENANT:
            if str(attribute.value).startswith(prefix):
                return str(attribute.value).removeprefix(prefix)
    raise ValueError("the machine's certificate names no tenancy")


def _fingerprint(certificate: Certificate) -> str:
    from cryptography.hazmat.primitives.hashes import SHA256

    return certificate.fingerprint(SHA256()).hex(":").upper()


def _bare(pem: str) -> str:
    """Without the lines that begin and end it, and in one line."""
    return "".join(line.strip() for line in pem.splitlines() if not line.startswith("-----"))
