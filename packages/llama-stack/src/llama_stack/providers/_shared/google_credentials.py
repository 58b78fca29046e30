"""Tokens for Google Cloud, by whatever credentials the machine has.

google-auth finds them (a service account's or a user's file, a workload's identity, the metadata server) and says when
they are to be renewed. It is imported at the first request, and works in a thread; what it asks of the network goes
through our own client, so that the provider's proxy, TLS and timeouts hold for it too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from llama_stack_api.errors import LlamaStackError, ProviderError, ProviderRejectedCredentials
from llama_stack_api.ports.http import HttpClient

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
REPLY_BYTES_MAX = 256 * 1024
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class GoogleToken:
    """`project`: that of the credentials; `quota_project`: the one to which calls with them are counted."""

    value: SecretStr
    project: str | None
    quota_project: str | None


class GoogleCredentials:
    """Those of the machine, found once and renewed in time. `name` is how errors call the provider; `otherwise` says in
    them what a caller could do who has none: ", or send …"."""

    def __init__(self, http: HttpClient, name: str, *, otherwise: str = "") -> None:
        self._http = http
        self._name = name
        self._otherwise = otherwise
        self._found: Any = None
        self._project: str | None = None
        self._renewing = asyncio.Lock()

    async def token(self) -> GoogleToken:
        """`ProviderRejectedCredentials` where there are none, or Google takes them no more."""
        found = self._found
        if not _fresh(found):
            async with self._renewing:
                found = self._found
                if not _fresh(found):
                    transport = _Transport(self._http, asyncio.get_running_loop())
                    found, self._project = await asyncio.to_thread(self._renewed, found, transport)
                    self._found = found
        return GoogleToken(SecretStr(found.token), self._project, getattr(found, "quota_project_id", None))

    def expire(self, refused: str) -> None:
        """Google refused a token: if it was this one, ahead of its time, the next request fetches another."""
        if self._found is not None and self._found.token == refused:
            self._found = None

    def _renewed(self, found: Any, transport: Any) -> tuple[Any, str | None]:
        """The credentials with a new token, and their project. What google-auth says of a failure may name files and
        accounts, and stays here."""
        try:
            import google.auth
            from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
        except ImportError:
            raise ProviderError(f"Provider '{self._name}' needs the package google-auth: install it.") from None
        try:
            project = self._project
            if found is None:
                found, project = google.auth.default(scopes=SCOPES, request=transport)
            found.refresh(transport)
            return found, project
        except DefaultCredentialsError:
            raise ProviderRejectedCredentials(
                f"Provider '{self._name}' has no Google credentials. Give the server a service account "
                f"(GOOGLE_APPLICATION_CREDENTIALS), set access_token in the run config{self._otherwise}.",
                code="upstream_key_missing",
            ) from None
        except (GoogleAuthError, OSError, ValueError) as error:
            raise ProviderRejectedCredentials(
                f"Provider '{self._name}' got no token from Google ({type(error).__name__}). Check the credentials "
                "that GOOGLE_APPLICATION_CREDENTIALS names, or those of the machine."
            ) from None


def _fresh(found: Any) -> bool:
    return found is not None and bool(found.valid)


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    headers: Mapping[str, str]
    data: bytes


class _Transport:
    """What google-auth calls from its thread to send a request: the server's loop sends it."""

    def __init__(self, http: HttpClient, loop: asyncio.AbstractEventLoop) -> None:
        self._http = http
        self._loop = loop

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> _Response:
        from google.auth.exceptions import TransportError

        data = body.encode() if isinstance(body, str) else body
        sending = asyncio.run_coroutine_threadsafe(self._send(method, url, headers, data), self._loop)
        try:
            return sending.result(timeout or TIMEOUT_S)
        except (LlamaStackError, TimeoutError) as error:
            sending.cancel()
            raise TransportError(str(error)) from None  # type: ignore[no-untyped-call]

    async def _send(self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None) -> _Response:
        reply = await self._http.send(method, url, headers=headers, body=body)
        return _Response(reply.status, reply.headers, await reply.read(REPLY_BYTES_MAX))
