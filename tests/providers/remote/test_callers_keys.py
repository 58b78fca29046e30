"""What a caller's own keys may do to the server's: nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    PermissionDenied,
    ProviderRejectedCredentials,
    ProviderUnreachable,
)
from llama_stack_api.principal import Call
from tests.providers.remote.bench import chat
from tests.support.scripted_http import ScriptedHttp, json_reply, scripted

pytestmark = pytest.mark.anyio
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2"
REFUSED = json_reply({"error": {"message": "no", "code": 401, "status": "UNAUTHENTICATED"}}, 401)
SAID = {"role": "assistant", "content": "ok"}
COMPLETION = {"id": "x", "created": 1, "choices": [{"index": 0, "message": SAID, "finish_reason": "stop"}]}
CONVERSED = {"output": {"message": {"content": [{"text": "ok"}]}}, "stopReason": "end_turn"}


def said(**data: str) -> Call:
    return Call(provider_data={name: SecretStr(value) for name, value in data.items()})


async def ask(provider: Any, call: Call, model: str = "m-1") -> None:
    await provider.openai_chat_completion(chat(model=model), call)


def tokens_asked(http: ScriptedHttp) -> int:
    return sum("token" in sent.url for sent in http.sent)


async def test_a_callers_refused_key_costs_azure_no_token_of_the_servers(tmp_path: Path) -> None:
    http = ScriptedHttp(json_reply(COMPLETION))
    http.by_path["/oauth2/v2.0/token"] = json_reply({"access_token": "tok-1", "expires_in": 3600})
    provider = scripted(
        "remote::azure",
        http,
        tmp_path,
        base_url="https://mine.openai.azure.com",
        api_type="azure_ad",
        azure_tenant_id="t",
        azure_client_id="c",
        azure_client_secret="s3cret",
    )
    await ask(provider, Call())
    http.by_path["/chat/completions"] = REFUSED
    with pytest.raises(ProviderRejectedCredentials):
        await ask(provider, said(azure_api_key="of-the-client"))
    del http.by_path["/chat/completions"]
    await ask(provider, Call())
    assert tokens_asked(http) == 1


async def test_a_callers_refused_key_costs_watsonx_no_token_of_the_servers(tmp_path: Path) -> None:
    http = ScriptedHttp(json_reply(COMPLETION))
    http.by_path["/identity/token"] = json_reply({"access_token": "tok-1", "expires_in": 3600})
    provider = scripted("remote::watsonx", http, tmp_path, api_key="ours", project_id="p")
    await ask(provider, Call())
    http.by_path["/identity/token"] = REFUSED
    with pytest.raises(ProviderRejectedCredentials):
        await ask(provider, said(watsonx_api_key="of-the-client"))
    await ask(provider, Call())
    assert tokens_asked(http) == 2


async def test_an_empty_key_of_a_callers_is_an_error_of_theirs(tmp_path: Path) -> None:
    provider = scripted("remote::watsonx", ScriptedHttp(), tmp_path, api_key="ours", project_id="p")
    with pytest.raises(ProviderRejectedCredentials, match="watsonx_api_key"):
        await ask(provider, said(watsonx_api_key=" "))


@pytest.mark.parametrize("config", [{"api_key": "bedrock-key"}, {}], ids=["a key is configured", "none is"])
async def test_an_empty_key_is_not_replaced_by_the_identity_of_the_machine(
    tmp_path: Path, config: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOFTHEMACHINE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    http = ScriptedHttp(json_reply(CONVERSED))
    provider = scripted("remote::bedrock", http, tmp_path, **config)
    with pytest.raises(ProviderRejectedCredentials, match="aws_bearer_token_bedrock"):
        await ask(provider, said(aws_bearer_token_bedrock=""), "amazon.nova-pro-v1:0")
    assert http.sent == []


@pytest.mark.parametrize(
    ("failure", "call"),
    [
        (json_reply({"message": "Not yours."}, 403), said(aws_bearer_token_bedrock="of-the-client")),
        (ProviderUnreachable("No connection."), Call()),
    ],
    ids=["refused to a client", "away for a moment"],
)
async def test_what_a_profile_stands_for_is_not_forgotten_for_all(tmp_path: Path, failure: Any, call: Call) -> None:
    """Bedrock's `application-inference-profile`: who cannot look it up must not settle for others what it is."""
    http = ScriptedHttp(json_reply(CONVERSED))
    provider = scripted("remote::bedrock", http, tmp_path, api_key="ours")
    http.by_path["/inference-profiles/"] = failure
    with pytest.raises(LlamaStackError):
        await ask(provider, call, PROFILE)  # taken for Claude
    arn = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0"
    http.by_path["/inference-profiles/"] = json_reply({"models": [{"modelArn": arn}]})
    await ask(provider, Call(), PROFILE)
    assert http.sent[-1].url.endswith("/converse")


async def test_a_key_of_a_callers_that_would_take_long_to_sign_with_is_refused(tmp_path: Path) -> None:
    http = ScriptedHttp()
    provider = scripted("remote::oci", http, tmp_path, oci_region="us-a-1", oci_compartment_id="c")
    names = {"oci_user_ocid": "u", "oci_tenancy_ocid": "t", "oci_fingerprint": "f"}
    with pytest.raises(ProviderRejectedCredentials, match="4096"):
        await ask(provider, said(oci_private_key=f"-----BEGIN PRIVATE KEY-----\n{'A' * 8000}", **names))
    assert http.sent == []


@pytest.mark.parametrize(
    "data",
    [
        {"oci_private_key": "/etc/ssl/private/key.pem"},
        {"oci_private_key": "~/.oci/key.pem"},
        {"oci_private_key": "\n/etc/passwd"},
        {"oci_compartment_id": "c\r\nX-Evil: 1"},
        {"oci_private_key": "-----BEGIN", "oci_tenancy_ocid": "t\r\nX: 1"},
    ],
)
async def test_neither_files_nor_headers_of_oracles_are_a_callers_to_name(tmp_path: Path, data: dict[str, str]) -> None:
    http = ScriptedHttp()
    provider = scripted("remote::oci", http, tmp_path, oci_region="us-a-1", oci_compartment_id="c")
    with pytest.raises((ProviderRejectedCredentials, InvalidRequest)) as refused:
        await ask(provider, said(**data))
    assert http.sent == []
    assert "passwd" not in refused.value.message


@pytest.mark.parametrize("place", ["evil.example/x", "a.b", "x@evil", "europe-west4\n", "A", "x" * 65, "é", "#", "%2f"])
@pytest.mark.parametrize("key", ["vertex_location", "vertex_project"])
async def test_a_place_cannot_leave_google(tmp_path: Path, place: str, key: str) -> None:
    http = ScriptedHttp(json_reply({"candidates": [{"content": {"parts": [{"text": "ok"}]}, "finishReason": "STOP"}]}))
    provider = scripted("remote::vertexai", http, tmp_path, access_token="ours", project="p-1")
    try:
        await ask(provider, said(**{key: place}), "gemini-2.5-pro")
    except InvalidRequest:
        assert http.sent == []
    else:
        assert http.sent[0].url.startswith("https://")
        assert http.sent[0].url.partition("/v1beta1/")[0].endswith("aiplatform.googleapis.com")
        assert http.sent[0].url.partition("/projects/")[2].count("/") == 6


def picture(url: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}


GENERATED = {"candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}, "finishReason": "STOP"}]}
NOVA = "amazon.nova-lite-v1:0"
KEPT = [
    ("remote::gemini", "m-1", "gemini_api_key", GENERATED, picture("gs://ours/a.png")),
    ("remote::gemini", "m-1", "gemini_api_key", GENERATED, picture("GS://youtube.com/a.png")),
    ("remote::gemini", "m-1", "gemini_api_key", GENERATED, {"extra_body": {"google": {"cached_content": "c/1"}}}),
    ("remote::bedrock", NOVA, "aws_bearer_token_bedrock", CONVERSED, picture("s3://ours/a.png")),
]


@pytest.mark.parametrize(("kind", "model", "key", "reply", "asked"), KEPT)
async def test_files_of_the_operators_cloud_are_read_for_nobody_else(
    tmp_path: Path, kind: str, model: str, key: str, reply: dict[str, Any], asked: dict[str, Any]
) -> None:
    http = ScriptedHttp(json_reply(reply))
    provider = scripted(kind, http, tmp_path, api_key="of-the-operator")
    params = chat(model=model, **asked)
    with pytest.raises(PermissionDenied, match="allow_cloud_files"):
        await provider.openai_chat_completion(params, Call())
    assert http.sent == []
    await provider.openai_chat_completion(params, said(**{key: "of-the-client"}))
    allowed = scripted(kind, http, tmp_path, api_key="of-the-operator", allow_cloud_files=True)
    await allowed.openai_chat_completion(params, Call())
    assert len(http.sent) == 2


async def test_public_videos_are_nobodys_files(tmp_path: Path) -> None:
    http = ScriptedHttp(json_reply(GENERATED))
    provider = scripted("remote::gemini", http, tmp_path, api_key="of-the-operator")
    await provider.openai_chat_completion(chat(**picture("https://www.youtube.com/watch?v=1")), Call())
    assert len(http.sent) == 1
