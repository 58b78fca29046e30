"""Oracle's signature on requests: HTTP signatures of draft-cavage, version 1, with RSA and SHA-256.

Source: https://docs.oracle.com/iaas/Content/API/Concepts/signingrequests.htm
"""

from __future__ import annotations

import base64
import email.utils
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_ALWAYS: Final = ("date", "(request-target)", "host")
_WITH_BODY: Final = ("content-length", "content-type", "x-content-sha256")
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs. `good_until`: until when, in seconds of `time.time()`."""

    key_id: str
    key: RSAPrivateKey = field(repr=False)
    good_until: float = float("inf")


def signed_headers(identity: Identity, method: str, url: str, body: bytes, *, now: float) -> dict[str, str]:
    """The headers of a request, signature and all. `url` must be sent as it stands; `now`: seconds of `time.time()`."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    headers = {"date": email.utils.formatdate(now, usegmt=True), "content-type": JSON}
    said: dict[str, str] = {"(request-target)": f"{method.lower()} {target}", "host": _host(parts.netloc, parts.scheme)}
    names: tuple[str, ...] = _ALWAYS
    if method != "GET":
        names += _WITH_BODY
        headers["x-content-sha256"] = base64.b64encode(hashlib.sha256(body).digest()).decode()
        said["content-length"] = str(len(body))
    signature = _signature(identity.key, _signing_string(names, headers | said))
    headers["authorization"] = (
        f'Signature version="1",keyId="{identity.key_id}",algorithm="rsa-sha256",'
        f'headers="{" ".join(names)}",signature="{signature}"'
    )
    return headers


def private_key(pem: str, passphrase: str | None = None) -> RSAPrivateKey:
    """`ValueError` unless it is the PEM of an RSA key that the passphrase opens."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    # Environment variables hold a key with its line ends written out.
    text = pem.replace("\\n", "\n").strip() + "\n"
    try:
        key = load_pem_private_key(text.encode(), passphrase.encode() if passphrase else None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise ValueError("it is no private key in PEM, or its passphrase is missing or wrong") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("it is no RSA key")
    return key


def _signing_string(names: tuple[str, ...], values: Mapping[str, str]) -> bytes:
    return "\n".join(f"{name}: {values[name]}" for name in names).encode()


def _signature(key: RSAPrivateKey, text: bytes) -> str:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    return base64.b64encode(key.sign(text, PKCS1v15(), SHA256())).decode()


def _host(netloc: str, scheme: str) -> str:
    """As the client sends it: without the port that goes without saying."""
    return netloc.removesuffix(":443" if scheme == "https" else ":80")
