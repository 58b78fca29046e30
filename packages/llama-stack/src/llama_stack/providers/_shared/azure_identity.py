"""Tokens of Microsoft's Entra ID: of an application by its secret, of a workload by the token that Kubernetes gives it,
or of the machine (a managed identity). They are kept until shortly before their end.

Sources: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow and
https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from pydantic import BaseModel, Field, SecretStr

from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack_api.errors import ProviderError, ProviderRejectedCredentials
from llama_stack_api.ports.http import HttpClient

RESOURCE: Final = "https://cognitiveservices.azure.com"
METADATA_URL: Final = "http://169.254.169.254/metadata/identity/oauth2/token"
TOKEN_SPARE_S: Final = 120.0
REPLY_BYTES_MAX: Final = 64 * 1024
FILE_BYTES_MAX: Final = 64 * 1024
_BY_WORKLOAD: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class AzureIdentityConfig(BaseModel):
    """As whom, where there is no key: an application with its secret, a workload, or the machine."""

    azure_tenant_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.-]{1,128}$")
    azure_client_id: str | None = None
    """The application, or the managed identity if the machine has several."""
    azure_client_secret: SecretStr | None = None
    azure_federated_token_file: str | None = None
    """The file with the workload's own token."""
    azure_authority_host: str = "https://login.microsoftonline.com"
    azure_metadata_url: str = METADATA_URL


class AzureIdentity:
    """`name` is how errors call the provider."""

    def __init__(self, config: AzureIdentityConfig, name: str, http: HttpClient) -> None:
        self._config = config
        self._name = name
        self._http = http
        self._token: SecretStr | None = None
        self._good_until = 0.0
        self._asking = asyncio.Lock()

    async def token(self) -> SecretStr:
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._token is None or self._good_until <= now:
                answer = await self._asked()
                self._token, good_for_s = self._read(answer)
                self._good_until = now + good_for_s - TOKEN_SPARE_S
            return self._token

    def forget(self, refused: str) -> None:
        """A token was refused: if it was this identity's, the next request asks for another."""
        if self._token is not None and self._token.get_secret_value() == refused:
            self._token = None

    async def _asked(self) -> Any:
        config = self._config
        form = {
            "grant_type": "client_credentials",
            "scope": f"{RESOURCE}/.default",
            "client_id": config.azure_client_id,
        }
        if config.azure_tenant_id and config.azure_client_id and config.azure_client_secret is not None:
            return await self._posted({**form, "client_secret": config.azure_client_secret.get_secret_value()})
        if config.azure_tenant_id and config.azure_client_id and config.azure_federated_token_file:
            assertion = await asyncio.to_thread(self._assertion, config.azure_federated_token_file)
            return await self._posted({**form, "client_assertion_type": _BY_WORKLOAD, "client_assertion": assertion})
        return await self._of_machine()

    async def _posted(self, form: dict[str, Any]) -> Any:
        url = f"{self._config.azure_authority_host.rstrip('/')}/{self._config.azure_tenant_id}/oauth2/v2.0/token"
        return await self._sent(
            "POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(form).encode()
        )

    async def _of_machine(self) -> Any:
        asked = {"resource": RESOURCE}
        if self._config.azure_client_id:
            asked["client_id"] = self._config.azure_client_id
        endpoint, secret = os.environ.get("IDENTITY_ENDPOINT"), os.environ.get("IDENTITY_HEADER")
        if endpoint and secret:  # App Service, Functions, Container Apps
            url, headers, version = endpoint, {"X-IDENTITY-HEADER": secret}, "2019-08-01"
        else:
            url, headers, version = self._config.azure_metadata_url, {"Metadata": "true"}, "2018-02-01"
        query = urlencode({"api-version": version, **asked}, quote_via=quote)
        return await self._sent("GET", f"{url}?{query}", headers)

    async def _sent(self, method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> Any:
        reply = await self._http.send(method, url, headers=headers, body=body)
        answer = await reply.read(REPLY_BYTES_MAX)
        try:
            said = msgspec.json.decode(answer)
        except UNREADABLE:
            said = None
        if reply.status in (400, 401, 403):
            # `error` is a code (invalid_client, …); the description may repeat what was sent.
            code = said.get("error") if isinstance(said, dict) else None
            raise ProviderRejectedCredentials(
                f"Provider '{self._name}': Entra ID refused the identity"
                f" ({code if isinstance(code, str) and code.isprintable() else reply.status}). Check azure_tenant_id, "
                "azure_client_id and the secret, or the machine's managed identity.",
                upstream_status=reply.status,
            )
        if reply.status >= 300:
            raise ProviderError(
                f"Provider '{self._name}': its token service answered with HTTP {reply.status}.",
                upstream_status=reply.status,
            )
        return said

    def _read(self, answer: Any) -> tuple[SecretStr, float]:
        try:
            return SecretStr(answer["access_token"]), float(answer["expires_in"])
        except (KeyError, TypeError, ValueError):
            raise ProviderError(f"Provider '{self._name}': its token service answered without a token.") from None

    def _assertion(self, path: str) -> str:
        try:
            with Path(path).open("rb") as file:
                return file.read(FILE_BYTES_MAX).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ProviderRejectedCredentials(
                f"Provider '{self._name}': the workload's token in {path} cannot be read ({type(error).__name__})."
            ) from None
