"""Azure OpenAI: what its content filter says, and tokens of Entra ID."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from llama_stack_api.errors import (
    ContentFiltered,
    InvalidRequest,
    ModelNotFound,
    ProviderError,
    ProviderRejectedCredentials,
    RateLimited,
)
from llama_stack_api.principal import SYSTEM_CALL, Call
from tests.providers.remote.bench import Bench, chat, relayed
from tests.providers.remote.case import KEY
from tests.providers.remote.cases import CASES
from tests.support.upstream import Answer, Recorded, Wire, error, models, text

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("case", [case for case in CASES if case.name == "azure"], ids=["azure"]),
]
SAFE = {"filtered": False, "severity": "safe"}


def prompt_refused(**categories: Any) -> Answer:
    return Wire().json(
        {
            "error": {
                "message": "The response was filtered due to the prompt triggering Azure OpenAI's content policy.",
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": categories},
            }
        },
        400,
    )


async def test_a_refused_prompt_tells_what_was_found_in_it(bench: Bench) -> None:
    found = {"hate": SAFE, "violence": {"filtered": True, "severity": "high"}, "jailbreak": {"filtered": True}}
    bench.up.always(prompt_refused(**found))
    for stream in (False, True):
        with pytest.raises(ContentFiltered, match="content policy") as refused:
            await bench.open().openai_chat_completion(chat(stream=stream), Call())
        assert (refused.value.status, refused.value.code) == (400, "content_filter")
        assert "Filtered: violence, jailbreak." in refused.value.message

    bench.up.always(error(400, "Unknown parameter.", shape="azure", code="BadRequest"))
    with pytest.raises(InvalidRequest) as plain:
        await bench.open().openai_chat_completion(chat(), Call())
    assert type(plain.value) is InvalidRequest


async def test_a_filtered_answer_is_one(bench: Bench) -> None:
    results = {"content_filter_results": {"hate": {"filtered": True, "severity": "medium"}}}
    bench.up.always(text("", finish_reason="content_filter", extra={"prompt_filter_results": [{"prompt_index": 0}]}))
    reply = await bench.open().openai_chat_completion(chat(), Call())
    assert reply.decode().choices[0].finish_reason == "content_filter"

    first = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [results]}
    bench.up.always(text("Hi there", wire=Wire(inject=(0, first))))
    sent = await relayed(await bench.open().openai_chat_completion(chat(stream=True), Call()))
    events = [json.loads(event.removeprefix(b"data: ")) for event in sent.split(b"\n\n")[:-2]]
    assert events[0]["prompt_filter_results"] == [results], "clients that look for it find it"
    assert "".join(choice["delta"].get("content") or "" for e in events for choice in e["choices"]) == "Hi there"


async def test_rate_limits_are_told_in_milliseconds(bench: Bench) -> None:
    headers = {"retry-after-ms": "1500", "retry-after": "9", "x-ratelimit-remaining-requests": "0"}
    bench.up.always(error(429, "Call rate limit.", shape="azure", code="429", headers=headers))
    with pytest.raises(RateLimited) as limited:
        await bench.open().openai_chat_completion(chat(), Call())
    assert limited.value.retry_after_s == 1.5


async def test_a_deployment_that_is_not_there(bench: Bench) -> None:
    message = "The API deployment for this resource does not exist."
    bench.up.always(error(404, message, shape="azure", code="DeploymentNotFound"))
    with pytest.raises(ModelNotFound, match="does not exist"):
        await bench.open(api_version="2024-10-21").openai_chat_completion(chat(), Call())


async def test_limits_of_reasoning_models_arrive_as_they_are(bench: Bench) -> None:
    bench.up.always(text("ok"))
    await bench.open().openai_chat_completion(chat(max_completion_tokens=9, reasoning_effort="minimal"), Call())
    assert (bench.sent.body["max_completion_tokens"], bench.sent.body["reasoning_effort"]) == (9, "minimal")


# Entra ID


def entra(bench: Bench, *tokens: str) -> list[Recorded]:
    """The token service on the same server; what it is asked."""
    asked: list[Recorded] = []

    def answer(request: Recorded) -> Answer:
        asked.append(request)
        return Wire().json({"access_token": tokens[len(asked) - 1], "expires_in": 3600, "token_type": "Bearer"})

    bench.up.always(answer, on="/oauth2/v2.0/token")
    bench.up.always(answer, on="/identity/oauth2/token")
    bench.up.always(text("ok"), on="/chat/completions")
    return asked


def application(bench: Bench, **more: Any) -> dict[str, Any]:
    return {
        "api_key": None,
        "api_type": "azure_ad",
        "azure_tenant_id": "t-1",
        "azure_client_id": "app",
        "azure_client_secret": "s3cret-of-the-app",
        "azure_authority_host": bench.up.url,
        "azure_metadata_url": f"{bench.up.url}/metadata/identity/oauth2/token",
        **more,
    }


async def test_an_application_is_given_one_token_for_all(bench: Bench) -> None:
    asked = entra(bench, "tok-1", "tok-2")
    provider = bench.open(**application(bench))
    await asyncio.gather(*(provider.openai_chat_completion(chat(), Call()) for _ in range(4)))
    (request,) = asked
    assert request.path == "/t-1/oauth2/v2.0/token"
    assert parse_qs(request.raw.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["https://cognitiveservices.azure.com/.default"],
        "client_id": ["app"],
        "client_secret": ["s3cret-of-the-app"],
    }
    assert bench.sent.headers["authorization"] == "Bearer tok-1"
    assert "api-key" not in bench.sent.headers
    assert "s3cret" not in repr(provider.config)

    bench.up.reply(error(401, "Token tok-1 is expired.", shape="azure"), on="/chat/completions")
    with pytest.raises(ProviderRejectedCredentials) as refused:
        await provider.openai_chat_completion(chat(), Call())
    assert "tok-1" not in refused.value.message
    await provider.openai_chat_completion(chat(), Call())
    assert bench.sent.headers["authorization"] == "Bearer tok-2"


async def test_a_key_of_the_request_needs_no_token(bench: Bench) -> None:
    asked = entra(bench)
    call = Call(provider_data={"azure_api_key": SecretStr("token-of-the-client")})
    await bench.open(**application(bench)).openai_chat_completion(chat(), call)
    assert bench.sent.headers["authorization"] == "Bearer token-of-the-client"
    assert asked == []


async def test_a_workload_shows_the_token_that_it_was_given(bench: Bench, tmp_path: Path) -> None:
    asked = entra(bench, "tok-1")
    file = tmp_path / "token"
    file.write_text("eyJ.of.kubernetes\n")
    settings = application(bench, azure_client_secret=None, azure_federated_token_file=str(file))
    await bench.open(**settings).openai_chat_completion(chat(), Call())
    form = parse_qs(asked[0].raw.decode())
    assert form["client_assertion"] == ["eyJ.of.kubernetes"]
    assert form["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
    with pytest.raises(ProviderRejectedCredentials, match="cannot be read"):
        await bench.open(**{**settings, "azure_federated_token_file": "/nowhere"}).openai_chat_completion(
            chat(), Call()
        )


@pytest.mark.parametrize("client_id", [None, "user-assigned"])
async def test_a_machine_asks_its_metadata(
    bench: Bench, client_id: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = entra(bench, "tok-1", "tok-2")
    settings = application(bench, azure_client_secret=None, azure_client_id=client_id, azure_tenant_id=None)
    await bench.open(**settings).openai_chat_completion(chat(), Call())
    named = {"client_id": client_id} if client_id else {}
    resource = {"resource": "https://cognitiveservices.azure.com"}
    assert asked[0].query == {"api-version": "2018-02-01", **resource, **named}
    assert asked[0].headers["metadata"] == "true"

    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{bench.up.url}/msi/identity/oauth2/token")
    monkeypatch.setenv("IDENTITY_HEADER", "h-1")
    await bench.open(**settings).openai_chat_completion(chat(), Call())
    assert asked[1].headers["x-identity-header"] == "h-1"
    assert asked[1].query == {"api-version": "2019-08-01", **resource, **named}
    assert bench.sent.headers["authorization"] == "Bearer tok-2"


async def test_a_refused_identity_and_a_broken_token_service(bench: Bench) -> None:
    provider = bench.open(**application(bench))
    said = {"error": "invalid_client", "error_description": "Invalid secret s3cret-of-the-app."}
    bench.up.always(Wire().json(said, 401), on="/oauth2/v2.0/token")
    with pytest.raises(ProviderRejectedCredentials, match="invalid_client") as refused:
        await provider.openai_chat_completion(chat(), Call())
    assert "s3cret" not in refused.value.message
    bench.up.always(error(503, "later", shape="html"), on="/oauth2/v2.0/token")
    with pytest.raises(ProviderError, match="HTTP 503"):
        await provider.openai_chat_completion(chat(), Call())
    broken: list[Any] = [{}, {"access_token": "x"}, []]
    for rubbish in broken:
        bench.up.always(Wire().json(rubbish), on="/oauth2/v2.0/token")
        with pytest.raises(ProviderError, match="without a token"):
            await provider.openai_chat_completion(chat(), Call())
    assert bench.up.last.path == "/t-1/oauth2/v2.0/token", "nothing was asked of the models"


async def test_models_are_listed_by_token(bench: Bench) -> None:
    entra(bench, "tok-1")
    bench.up.always(models({"id": "gpt-5", "capabilities": {"chat_completion": True}}), on="/openai/v1/models")
    assert [model.id for model in await bench.open(**application(bench)).list_models(SYSTEM_CALL)] == ["gpt-5"]
    assert bench.sent.headers["authorization"] == "Bearer tok-1" != f"Bearer {KEY}"
