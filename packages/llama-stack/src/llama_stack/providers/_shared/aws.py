"""Who we are to AWS, and its signature on requests of our own client (Signature Version 4).

botocore finds and renews the credentials and signs; it is imported at the first request, and no request goes through
it, save those by which it fetches credentials (a role's, a machine's).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from llama_stack_api.errors import ProviderError, ProviderRejectedCredentials

HASHED_AT_ONCE_BYTES_MAX = 1024 * 1024
"""A larger body is hashed in a thread: it would hold up everybody else."""
REGION = r"^[a-z0-9-]{1,64}$"
"""It becomes part of a host name."""


class AwsConfig(BaseModel):
    """Where in AWS, and as whom. Without keys, profile or role: whatever AWS's variables, files or machine give."""

    region_name: str = Field(default="us-east-1", pattern=REGION)
    aws_access_key_id: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    profile_name: str | None = None
    """A profile of AWS's own files (`~/.aws/config`)."""
    aws_role_arn: str | None = None
    """A role to assume with these credentials, or with the token below."""
    aws_web_identity_token_file: str | None = None
    aws_role_session_name: str = "llama-stack"
    aws_role_external_id: str | None = None
    """What the owner of a role in another account wants to be told by whoever assumes it."""
    session_ttl: int = Field(default=3600, ge=900, le=43200)
    """Seconds for which a role is assumed; it is assumed again ahead of the end."""

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("aws_access_key_id and aws_secret_access_key go together: set both or neither")
        if self.aws_web_identity_token_file is not None and self.aws_role_arn is None:
            raise ValueError("aws_web_identity_token_file needs aws_role_arn: the role to assume with it")
        if self.aws_role_external_id is not None and self.aws_web_identity_token_file is not None:
            raise ValueError("aws_role_external_id is for roles that are assumed without a web identity token")
        return self


class AwsSigner:
    """Signs the requests of one provider; `name` is how errors call it. `otherwise` says in them what a caller could do
    who has no credentials: ", or send …"."""

    def __init__(self, config: AwsConfig, name: str, *, otherwise: str = "") -> None:
        self._config = config
        self._name = name
        self._otherwise = otherwise
        self._credentials: Any = None
        self._loading = asyncio.Lock()

    async def signed(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, *, service: str, region: str | None = None
    ) -> dict[str, str]:
        """The headers with the signature added, to be sent with exactly this address and body.

        In the path of `url` only what a URL cannot hold may be percent-encoded (a `:` stays), for that is how it is
        sent. `ProviderRejectedCredentials` where there are no credentials.
        """
        frozen = await self._frozen()
        arguments = (frozen, method, url, headers, body, service, region or self._config.region_name)
        if len(body) > HASHED_AT_ONCE_BYTES_MAX:
            return await asyncio.to_thread(_signed, *arguments)
        return _signed(*arguments)

    async def _frozen(self) -> Any:
        """The credentials as they are now. Only what must be fetched or renewed waits, in a thread."""
        if self._credentials is None:
            async with self._loading:
                if self._credentials is None:
                    self._credentials = await asyncio.to_thread(self._asking, self._load)
        credentials = self._credentials
        renewed = getattr(credentials, "refresh_needed", None)
        if renewed is not None and renewed():
            return await asyncio.to_thread(self._asking, credentials.get_frozen_credentials)
        return credentials.get_frozen_credentials()

    def _asking(self, question: Any) -> Any:
        """The answer of botocore. What it says of a failure may name keys and paths, and stays here."""
        try:
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise ProviderError(f"Provider '{self._name}' needs the package boto3: install it.") from None
        try:
            answer = question()
        except (BotoCoreError, ClientError, OSError) as error:
            raise ProviderRejectedCredentials(
                f"Provider '{self._name}' got no credentials from AWS ({type(error).__name__}). Check its "
                "profile_name, aws_role_arn and keys in the run config."
            ) from None
        if answer is None:
            raise ProviderRejectedCredentials(
                f"Provider '{self._name}' has no AWS credentials. Set aws_access_key_id and aws_secret_access_key in "
                f"the run config, or give the server a profile or a role{self._otherwise}.",
                code="upstream_key_missing",
            )
        return answer

    def _load(self) -> Any:
        from botocore.credentials import Credentials
        from botocore.session import Session

        config = self._config
        session = Session(profile=config.profile_name)
        session.set_config_variable("region", config.region_name)
        if config.aws_access_key_id is None or config.aws_secret_access_key is None:
            own = None if config.aws_web_identity_token_file else session.get_credentials()
        else:
            token = config.aws_session_token
            own = Credentials(
                config.aws_access_key_id.get_secret_value(),
                config.aws_secret_access_key.get_secret_value(),
                token.get_secret_value() if token is not None else None,
            )
        return own if config.aws_role_arn is None else self._assumed(session, own)

    def _assumed(self, session: Any, own: Any) -> Any:
        from botocore.credentials import (
            AssumeRoleCredentialFetcher,
            AssumeRoleWithWebIdentityCredentialFetcher,
            DeferredRefreshableCredentials,
        )
        from botocore.utils import FileWebIdentityTokenLoader

        config, fetcher = self._config, None
        said: dict[str, Any] = {"RoleSessionName": config.aws_role_session_name, "DurationSeconds": config.session_ttl}
        if config.aws_web_identity_token_file is not None:
            loader = FileWebIdentityTokenLoader(config.aws_web_identity_token_file)
            fetcher = AssumeRoleWithWebIdentityCredentialFetcher(
                session.create_client, loader, config.aws_role_arn, extra_args=said
            )
        elif own is not None:
            if config.aws_role_external_id is not None:
                said["ExternalId"] = config.aws_role_external_id
            fetcher = AssumeRoleCredentialFetcher(session.create_client, own, config.aws_role_arn, extra_args=said)
        return fetcher and DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def _signed(
    credentials: Any, method: str, url: str, headers: Mapping[str, str], body: bytes, service: str, region: str
) -> dict[str, str]:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    SigV4Auth(credentials, service, region).add_auth(request)
    return dict(request.headers.items())
