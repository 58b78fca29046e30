"""Tokens for watsonx.ai: an API key is exchanged at IBM's IAM, or for a user at one's own Cloud Pak for Data.

Sources: https://cloud.ibm.com/docs/account?topic=account-iamtoken_from_apikey and
https://www.ibm.com/docs/en/cloud-paks/cp-data (Generating a bearer token)
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from pydantic import SecretStr

from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack_api.errors import LlamaStackError, ProviderError
from llama_stack_api.ports.http import HttpClient, HttpReply

TOKENS_CACHED_MAX: Final = 256
TOKEN_SPARE_S: Final = 120.0
UNTOLD_S: Final = 15 * 60.0
"""How long a token is kept that does not say when it ends, as Cloud Pak's."""

Refusal = Callable[[HttpReply, str], Awaitable[LlamaStackError]]
"""The error that a reply amounts to; the key may be repeated in it."""


@dataclass(frozen=True, slots=True)
class _Token:
    value: SecretStr
    good_until: float


@dataclass(frozen=True, slots=True)
class TokenService:
    """Where keys are exchanged. With `username`, at Cloud Pak for Data: there the key may be the password."""

    url: str
    username: str | None = None
    by_password: bool = False

    def request(self, key: str) -> tuple[str, bytes]:
        """Content type and body."""
        if self.username is None:
            form = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": key}
            return "application/x-www-form-urlencoded", urlencode(form).encode()
        named = {"username": self.username, "password" if self.by_password else "api_key": key}
        return "application/json", msgspec.json.encode(named)

    def read(self, answer: Any) -> tuple[SecretStr, float]:
        """The token and for how many seconds it is good. `KeyError`, `TypeError` or `ValueError` without one."""
        if self.username is None:
            return SecretStr(answer["access_token"]), float(answer["expires_in"])
        return SecretStr(answer["token"]), UNTOLD_S


class WatsonxTokens:
    """`name` is how errors call the provider."""

    def __init__(self, service: TokenService, name: str, http: HttpClient, refusal: Refusal) -> None:
        self._service = service
        self._name = name
        self._http = http
        self._refusal = refusal
        self._tokens: dict[str, _Token] = {}
        self._exchanging = asyncio.Lock()

    async def token(self, key: str, *, shared: bool) -> SecretStr:
        """`shared`: the key is the configured one, which is exchanged once for all that wait; a client's key holds
        nobody else up."""
        token = self._known(key)
        if token is None:
            async with self._exchanging if shared else contextlib.nullcontext():
                token = self._known(key) or await self._exchange(key)
        return token

    def forget(self, refused: str) -> None:
        """A token was refused, perhaps revoked ahead of time: the next request fetches another for its key."""
        kept = {key: token for key, token in self._tokens.items() if token.value.get_secret_value() != refused}
        self._tokens = kept

    def _known(self, key: str) -> SecretStr | None:
        token = self._tokens.get(key)
        return token.value if token is not None and token.good_until > asyncio.get_running_loop().time() else None

    async def _exchange(self, key: str) -> SecretStr:
        content_type, body = self._service.request(key)
        asked_at = asyncio.get_running_loop().time()
        reply = await self._http.send("POST", self._service.url, headers={"Content-Type": content_type}, body=body)
        if reply.status >= 300:
            raise await self._refusal(reply, key)
        try:
            token, good_for_s = self._service.read(msgspec.json.decode(await reply.read()))
        except (KeyError, TypeError, ValueError, *UNREADABLE):
            raise ProviderError(f"Provider '{self._name}': its token service answered without a token.") from None
        if len(self._tokens) >= TOKENS_CACHED_MAX:
            del self._tokens[min(self._tokens, key=lambda known: self._tokens[known].good_until)]
        self._tokens[key] = _Token(token, asked_at + good_for_s - TOKEN_SPARE_S)
        return token
