"""AWS's Security Token Service on loopback: roles are assumed by whoever signs, or bears a web identity's token.

    with StsUpstream(secrets={"AKID": "secret"}, issued=bedrock_secrets) as sts: ...    # AWS_ENDPOINT_URL_STS: sts.url

Each role's credentials are new, and put into `issued`, the secrets that another upstream accepts.

Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from tests.support.anthropic_upstream_bedrock import BedrockUpstream, is_signed
from tests.support.upstream import Recorded
from tests.support.upstream_wire import Answer, Wire

_ASSUMED = """<{operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{operation}Result>
<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>
<SessionToken>{token}</SessionToken><Expiration>{until}</Expiration></Credentials>
<AssumedRoleUser><AssumedRoleId>a:b</AssumedRoleId><Arn>{role}</Arn></AssumedRoleUser>
</{operation}Result></{operation}Response>"""
_DENIED = """<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>No.</Message></Error>
</ErrorResponse>"""


class StsUpstream(BedrockUpstream):
    """`external_id`: what whoever assumes a role must say; `web_token`: the token that is known; `lasts_s`: for
    how long credentials hold."""

    def __init__(
        self,
        secrets: Mapping[str, str],
        issued: MutableMapping[str, str],
        *,
        external_id: str | None = None,
        web_token: str = "",
        lasts_s: float = 3600,
    ) -> None:
        super().__init__(secrets=secrets)
        self._issued = issued
        self._external_id = external_id
        self._web_token = web_token
        self._lasts = timedelta(seconds=lasts_s)
        self.said: list[dict[str, str]] = []

    def _answer_to(self, request: Recorded) -> Answer:
        said = dict(parse_qsl(request.raw.decode()))
        self.said.append(said)
        if not self._may(request, said):
            return Wire().body(_DENIED.encode(), "text/xml", 403)
        number = len(self._issued)
        key, secret = f"ASIA{number}", f"secret-{number}"
        self._issued[key] = secret
        until = (datetime.now(UTC) + self._lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
        fields = {"operation": said["Action"], "key": key, "secret": secret, "token": f"t-{number}", "until": until}
        return Wire().body(_ASSUMED.format(**fields, role=said["RoleArn"]).encode(), "text/xml")

    def _may(self, request: Recorded, said: Mapping[str, str]) -> bool:
        if said.get("Action") == "AssumeRoleWithWebIdentity":
            return said.get("WebIdentityToken") == self._web_token and "authorization" not in request.headers
        return said.get("ExternalId") == self._external_id and is_signed(request, self._secrets, service="sts")
