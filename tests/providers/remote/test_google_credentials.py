"""Vertex AI with the credentials of the machine: each kind that google-auth finds, against loopback token services."""

from __future__ import annotations

import importlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from llama_stack_api.errors import ProviderRejectedCredentials
from llama_stack_api.principal import SYSTEM_CALL, Call
from tests.providers.remote.bench import Bench, chat
from tests.providers.remote.gemini_cases import GEMINIS
from tests.support.gemini_upstream import Pages, failure, says
from tests.support.upstream import Answer, Recorded, Upstream, Wire

pytestmark = pytest.mark.anyio
vertexai = pytest.mark.parametrize("case", GEMINIS[1:], ids=["vertexai"])
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@pytest.fixture
async def tokens() -> AsyncIterator[Upstream]:
    """Google's token services: each token is another."""
    with Upstream() as upstream:
        made: list[str] = []

        def answer(request: Recorded) -> Answer:
            made.append(f"ya29.token-{len(made) + 1}")
            return Wire().json({"access_token": made[-1], "expires_in": 3600, "token_type": "Bearer"})

        upstream.always(answer)
        yield upstream


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: dict[str, Any]) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps(said))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))


@pytest.fixture
def service_account(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tokens: Upstream, private_key: rsa.RSAPrivateKey
) -> None:
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    said = {
        "type": "service_account",
        "project_id": "p-of-the-account",
        "private_key_id": "k-1",
        "private_key": pem.decode(),
        "client_email": "stack@p.iam.gserviceaccount.com",
        "token_uri": f"{tokens.url}/token",
    }
    given(monkeypatch, tmp_path, said)


def opened(bench: Bench, **config: Any) -> Any:
    return bench.open(**{"api_key": None, "project": None, **config})


async def asked(provider: Any) -> None:
    await provider.openai_chat_completion(chat(), Call())


@vertexai
async def test_a_service_account(
    bench: Bench, tokens: Upstream, service_account: None, private_key: rsa.RSAPrivateKey
) -> None:
    bench.up.always(says("ok"))
    provider = opened(bench, network={"headers": {"X-Gateway": "gw-secret"}})
    for _ in range(3):
        await asked(provider)
    assert bench.sent.headers["authorization"] == "Bearer ya29.token-1"
    assert bench.sent.headers["x-gateway"] == "gw-secret"
    assert "/projects/p-of-the-account/" in bench.sent.path
    (request,) = tokens.requests
    assert "x-gateway" not in request.headers, "the gateway's secret went to Google's token service"
    assertion = parse_qs(request.raw.decode())["assertion"][0]
    claims = jwt.decode(assertion, private_key.public_key(), ["RS256"], audience="https://oauth2.googleapis.com/token")
    assert (claims["iss"], claims["scope"]) == ("stack@p.iam.gserviceaccount.com", SCOPE)


@vertexai
async def test_a_configured_project_goes_before_that_of_the_account(bench: Bench, service_account: None) -> None:
    bench.up.always(says("ok"))
    await asked(opened(bench, project="p-1"))
    assert "/projects/p-1/" in bench.sent.path


@vertexai
async def test_a_token_that_google_refuses_is_renewed(bench: Bench, tokens: Upstream, service_account: None) -> None:
    bench.up.reply(failure(401, "Token ya29.token-1 has expired.", reason="ACCESS_TOKEN_EXPIRED"))
    bench.up.always(says("ok"))
    provider = opened(bench)
    with pytest.raises(ProviderRejectedCredentials, match="ACCESS_TOKEN_EXPIRED"):
        await asked(provider)
    await asked(provider)
    assert bench.sent.headers["authorization"] == "Bearer ya29.token-2"
    assert len(tokens.requests) == 2


@vertexai
async def test_a_token_that_expires_soon_is_renewed(bench: Bench, tokens: Upstream, service_account: None) -> None:
    tokens.reply(Wire().json({"access_token": "ya29.short", "expires_in": 60}))
    bench.up.always(says("ok"))
    provider = opened(bench)
    await asked(provider)
    await asked(provider)
    sent = [request.headers["authorization"] for request in bench.asked]
    assert sent[-1] == "Bearer ya29.token-1"
    assert len(tokens.requests) == 2


@vertexai
async def test_a_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bench: Bench, tokens: Upstream) -> None:
    said = {
        "type": "external_account_authorized_user",
        "audience": "//iam.googleapis.com/locations/global/workforcePools/a/providers/b",
        "client_id": "id",
        "client_secret": "cs",
        "refresh_token": "rt-1",
        "token_url": f"{tokens.url}/token",
        "quota_project_id": "p-paying",
    }
    given(monkeypatch, tmp_path, said)
    bench.up.always(Pages("publisherModels", []), on="/models")
    assert await opened(bench, project="p-1").list_models(SYSTEM_CALL) == []
    headers = bench.sent.headers
    assert (headers["authorization"], headers["x-goog-user-project"]) == ("Bearer ya29.token-1", "p-paying")
    assert parse_qs(tokens.last.raw.decode())["refresh_token"] == ["rt-1"]


@vertexai
async def test_a_workload_identity(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bench: Bench, tokens: Upstream
) -> None:
    (tmp_path / "subject").write_text("subject-token")
    said = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/a/providers/b",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{tokens.url}/v1/token",
        "credential_source": {"file": str(tmp_path / "subject")},
    }
    given(monkeypatch, tmp_path, said)
    exchanged = {"access_token": "ya29.federated", "issued_token_type": "x", "token_type": "Bearer", "expires_in": 3600}
    tokens.always(Wire().json(exchanged), on="/v1/token")
    bench.up.always(says("ok"))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p-1")
    await asked(opened(bench))
    assert bench.sent.headers["authorization"] == "Bearer ya29.federated"
    assert "/projects/p-1/" in bench.sent.path
    assert parse_qs(tokens.last.raw.decode())["subject_token"] == ["subject-token"]


@pytest.fixture
def metadata_host(tokens: Upstream) -> Iterator[None]:
    """The machine's metadata server is on loopback. google-auth reads its address when it is imported."""
    from google.auth.compute_engine import _metadata

    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("NO_GCE_CHECK")
        for name in ("GCE_METADATA_HOST", "GCE_METADATA_IP"):
            patched.setenv(name, tokens.url.removeprefix("http://"))
        importlib.reload(_metadata)
        yield
    importlib.reload(_metadata)


@vertexai
async def test_the_metadata_server(bench: Bench, tokens: Upstream, metadata_host: None) -> None:
    def metadata(request: Recorded) -> Answer:
        assert request.headers["metadata-flavor"] == "Google"
        headers = {"Metadata-Flavor": "Google"}
        if request.path.endswith("/token"):
            token = {"access_token": "ya29.machine", "expires_in": 3600, "token_type": "Bearer"}
            return Wire().json(token, headers=headers)
        if request.path.endswith("/project-id"):
            return Wire().body(b"p-of-the-machine", "text/plain", headers=headers)
        return Wire().json({"email": "e@p", "scopes": [SCOPE], "aliases": []}, headers=headers)

    tokens.always(metadata)
    bench.up.always(says("ok"))
    await asked(opened(bench))
    assert bench.sent.headers["authorization"] == "Bearer ya29.machine"
    assert "/projects/p-of-the-machine/" in bench.sent.path


@vertexai
async def test_credentials_that_google_does_not_take(bench: Bench, tokens: Upstream, service_account: None) -> None:
    said = {"error": "invalid_grant", "error_description": "Invalid JWT for stack@p: secret-detail"}
    tokens.always(Wire().json(said, 400))
    provider = opened(bench)
    with pytest.raises(ProviderRejectedCredentials, match="RefreshError") as raised:
        await asked(provider)
    assert "secret-detail" not in raised.value.message
    assert bench.asked == []
    health = await provider.health()
    assert (health.status, "got no token from Google" in (health.message or "")) == ("Error", True)


@vertexai
async def test_a_token_service_that_is_not_there(bench: Bench, tokens: Upstream, service_account: None) -> None:
    tokens.stop()
    with pytest.raises(ProviderRejectedCredentials, match="got no token from Google"):
        await asked(opened(bench))


@vertexai
async def test_a_file_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bench: Bench) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(ProviderRejectedCredentials) as raised:
        await asked(opened(bench))
    assert raised.value.code == "upstream_key_missing"
    assert str(tmp_path) not in raised.value.message
    given(monkeypatch, tmp_path, {"type": "service_account"})
    with pytest.raises(ProviderRejectedCredentials):
        await asked(opened(bench))
