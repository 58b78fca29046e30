"""What single providers have of their own: Azure's addresses, Ollama's and TEI's models, NVIDIA's rerankers, ..."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from llama_stack_api.errors import InvalidRequest, LlamaStackError, PermissionDenied, ProviderRejectedCredentials
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import SYSTEM_CALL, Call
from llama_stack_api.provider import Descriptor
from tests.providers.remote.bench import Bench, chat
from tests.providers.remote.case import KEY
from tests.providers.remote.cases import CASES
from tests.support.upstream import Wire, error, models, ranking, text

pytestmark = pytest.mark.anyio


def only(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [case for case in CASES if case.name == name], ids=[name])


def data(**keys: str) -> Call:
    return Call(provider_data={key: SecretStr(value) for key, value in keys.items()})


# Azure

DATED = "/openai/deployments/my%20gpt/chat/completions"


@only("azure")
@pytest.mark.parametrize(
    ("suffix", "version", "path", "query"),
    [
        ("", "2024-10-21", DATED, {"api-version": "2024-10-21"}),
        ("/openai", "2024-10-21", DATED, {"api-version": "2024-10-21"}),
        ("/openai/v1", "2024-10-21", "/openai/v1/chat/completions", {}),
        ("/openai/v1/", None, "/openai/v1/chat/completions", {}),
        ("", None, "/openai/v1/chat/completions", {}),
        ("", "preview", "/openai/v1/chat/completions", {"api-version": "preview"}),
    ],
)
async def test_azure_addresses(
    bench: Bench, suffix: str, version: str | None, path: str, query: dict[str, str]
) -> None:
    bench.up.always(text("ok"))
    provider = bench.open(base_url=bench.up.url + suffix, api_version=version)
    await provider.openai_chat_completion(chat(model="my gpt"), Call())
    # ASGI servers decode a path; what went over the wire is in the raw form of the deployment's name.
    assert bench.sent.path == path.replace("%20", " ")
    assert bench.sent.query == query
    assert bench.sent.headers["api-key"] == KEY
    assert "authorization" not in bench.sent.headers


@only("azure")
async def test_azure_takes_version_key_and_address_of_the_request(bench: Bench) -> None:
    bench.up.always(text("ok"))
    provider = bench.open(base_url="http://127.0.0.1:1", allow_client_url=True)
    call = data(azure_api_key="theirs", azure_api_base=bench.up.url, azure_api_version="2025-01-01-preview")
    await provider.openai_chat_completion(chat(), call)
    assert bench.sent.path == "/openai/deployments/m-1/chat/completions"
    assert bench.sent.query == {"api-version": "2025-01-01-preview"}
    assert bench.sent.headers["api-key"] == "theirs"


@only("azure")
async def test_azure_with_entra_id(bench: Bench) -> None:
    bench.up.always(text("ok"))
    await bench.open(api_type="azure_ad").openai_chat_completion(chat(), Call())
    assert bench.sent.headers["authorization"] == f"Bearer {KEY}"
    assert "api-key" not in bench.sent.headers


@only("azure")
async def test_azure_serves_the_deployments_that_are_named(bench: Bench) -> None:
    found = await bench.open(allowed_models=["prod-gpt", "text-embedding-3-small"]).list_models(SYSTEM_CALL)
    assert found == [
        ProviderModel("prod-gpt"),
        ProviderModel("text-embedding-3-small", ModelType.embedding, {"embedding_dimension": 1536}),
    ]
    assert bench.up.requests == []


# Ollama, TEI


@only("ollama")
async def test_ollama_asks_about_a_model_once(bench: Bench) -> None:
    for path, reply in bench.case.listing.replies.items():
        bench.up.always(reply, on=path)
    provider = bench.open()
    await provider.list_models(SYSTEM_CALL)
    assert sorted(request.path for request in bench.asked) == ["/api/show", "/api/show", "/api/tags"]
    bench.up.always(
        Wire().json(
            {"models": [{"name": "llama3.2:3b", "digest": "cc"}, {"name": "nomic-embed-text:latest", "digest": "bb"}]}
        ),
        on="/api/tags",
    )
    bench.up.requests.clear()
    assert [model.id for model in await provider.list_models(SYSTEM_CALL)] == ["llama3.2:3b", "nomic-embed-text:latest"]
    assert [(r.path, r.body and r.body["model"]) for r in bench.asked] == [
        ("/api/tags", None),
        ("/api/show", "llama3.2:3b"),
    ]


@only("text-embeddings-inference")
async def test_tei_with_a_reranker_or_a_classifier(bench: Bench) -> None:
    info: dict[str, Any] = {"model_id": "BAAI/bge-reranker-base", "model_type": {"reranker": {}}}
    bench.up.always(Wire().json(info), on="/info")
    assert await bench.open().list_models(SYSTEM_CALL) == [ProviderModel("BAAI/bge-reranker-base", ModelType.rerank)]
    bench.up.always(Wire().json(info | {"model_type": {"classifier": {}}}), on="/info")
    assert await bench.open().list_models(SYSTEM_CALL) == []


# vLLM


@only("vllm")
async def test_vllm_max_tokens_of_the_config_hold_where_the_request_is_silent(bench: Bench) -> None:
    bench.up.always(text("ok"))
    provider = bench.open(max_tokens=64)
    for fields, expected in (
        ({}, {"max_tokens": 64}),
        ({"max_tokens": 9}, {"max_tokens": 9}),
        ({"max_completion_tokens": 9}, {"max_completion_tokens": 9}),
    ):
        await provider.openai_chat_completion(chat(**fields), Call())
        assert {name: value for name, value in bench.sent.body.items() if name.startswith("max_")} == expected


# NVIDIA


@only("nvidia")
async def test_nvidia_embeds_queries_unless_told_otherwise(bench: Bench) -> None:
    provider = bench.open()
    for extra, expected in (({}, "query"), ({"input_type": "passage"}, "passage")):
        params = EmbeddingsRequest.model_validate({"model": "nvidia/nv-embedqa-e5-v5", "input": "a", **extra})
        await provider.openai_embeddings(params, Call())
        assert bench.sent.body["input_type"] == expected


@only("nvidia")
async def test_nvidia_rerankers_have_addresses_of_their_own(bench: Bench) -> None:
    bench.up.always(models("meta/llama"), on="/models")
    bench.up.always(ranking([0.0, -1.5], "nvidia"))
    provider = bench.open(rerank_model_to_url={"nv-rank": f"{bench.up.url}/v1/retrieval/nvidia/nv-rank/reranking"})
    assert await provider.list_models(SYSTEM_CALL) == [
        ProviderModel("meta/llama"),
        ProviderModel("nv-rank", ModelType.rerank),
    ]
    params = RerankRequest.model_validate({"model": "nv-rank", "query": "q", "items": ["a", "b"]})
    assert [item.relevance_score for item in (await provider.rerank(params, Call())).data] == [0.0, -1.5]
    assert bench.sent.path == "/v1/retrieval/nvidia/nv-rank/reranking"
    assert bench.sent.body == {"model": "nv-rank", "query": {"text": "q"}, "passages": [{"text": "a"}, {"text": "b"}]}


@only("nvidia")
async def test_nvidia_hosted_needs_a_key_and_knows_its_rerankers(bench: Bench) -> None:
    provider = bench.open(base_url="https://integrate.api.nvidia.com", api_key=None)
    assert provider.key_required
    assert provider.url("/chat/completions", Call()) == "https://integrate.api.nvidia.com/v1/chat/completions"
    assert provider.rerank_url("nvidia/llama-3.2-nv-rerankqa-1b-v2", Call()).startswith("https://ai.api.nvidia.com/")


# Passthrough


@only("passthrough")
async def test_passthrough_forwards_the_chosen_keys_and_no_others(bench: Bench) -> None:
    bench.up.always(text("ok"))
    forward = {"tenant_id": "X-Tenant-ID", "maas_token": "Authorization"}
    call = data(tenant_id="acme", maas_token="Bearer jwt", stranger="no")
    await bench.open(api_key=None, forward_headers=forward).openai_chat_completion(chat(), call)
    assert bench.sent.headers["x-tenant-id"] == "acme"
    assert bench.sent.headers["authorization"] == "Bearer jwt"
    assert "no" not in bench.sent.headers.values()
    await bench.open(forward_headers=forward).openai_chat_completion(chat(), call)
    assert bench.sent.headers["authorization"] == f"Bearer {KEY}"
    with pytest.raises(InvalidRequest):
        await bench.open(forward_headers=forward).openai_chat_completion(chat(), data(tenant_id="a\r\nX-Admin: yes"))


@only("passthrough")
async def test_passthrough_without_an_address(bench: Bench) -> None:
    bench.up.always(text("ok"))
    nowhere = bench.open(base_url=None, allow_client_url=True)
    with pytest.raises(InvalidRequest) as missing:
        await nowhere.openai_chat_completion(chat(), Call())
    assert missing.value.param == "passthrough_url"
    await nowhere.openai_chat_completion(chat(), data(passthrough_url=f"{bench.up.url}/tenant/"))
    assert bench.sent.path == "/tenant/v1/chat/completions"
    with pytest.raises(PermissionDenied):
        await bench.open(base_url=None).openai_chat_completion(chat(), data(passthrough_url=bench.up.url))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"forward_headers": {"k": "Host"}}, "blocked"),
        ({"forward_headers": {"k": "transfer-encoding"}}, "blocked"),
        ({"forward_headers": {"k": "X-Debug"}, "extra_blocked_headers": ["x-debug"]}, "blocked"),
        ({"forward_headers": {"__k": "X-Tenant"}}, "reserved"),
        ({"forward_headers": {"k": "X Tenant"}}, "not a name"),
    ],
)
def test_passthrough_refuses_dangerous_headers(
    config: dict[str, Any], says: str, descriptors: dict[str, Descriptor]
) -> None:
    with pytest.raises(ValidationError, match=says):
        descriptors["remote::passthrough"].config.model_validate(config)


# watsonx


@only("watsonx")
async def test_watsonx_exchanges_its_key_once(bench: Bench) -> None:
    bench.says(text("ok"))
    provider = bench.open()
    await asyncio.gather(*(provider.openai_chat_completion(chat(), Call()) for _ in range(5)))
    tokens = [request for request in bench.up.requests if request.path == "/identity/token"]
    assert len(tokens) == 1
    assert tokens[0].headers["content-type"] == "application/x-www-form-urlencoded"
    assert tokens[0].raw.decode() == f"grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&apikey={KEY}"
    assert {request.headers["authorization"] for request in bench.asked} == {"Bearer iam-token-1"}
    assert {request.query["version"] for request in bench.asked} == {"2025-02-11"}


@only("watsonx")
async def test_watsonx_renews_a_token_before_its_end_and_after_a_refusal(bench: Bench) -> None:
    bench.says(text("ok"))
    provider = bench.open()
    bench.up.reply(Wire().json({"access_token": "short", "expires_in": 60}), on="/identity/token")
    for token in ("short", "iam-token-1", "iam-token-1"):
        await provider.openai_chat_completion(chat(), Call())
        assert bench.sent.headers["authorization"] == f"Bearer {token}"
    bench.up.reply(error(401, "expired", shape="listed"), on="/text/chat")
    bench.up.reply(Wire().json({"access_token": "fresh", "expires_in": 3600}), on="/identity/token")
    with pytest.raises(ProviderRejectedCredentials):
        await provider.openai_chat_completion(chat(), Call())
    await provider.openai_chat_completion(chat(), Call())
    assert bench.sent.headers["authorization"] == "Bearer fresh"


@only("watsonx")
async def test_watsonx_key_that_is_refused_shows_in_no_error(bench: Bench) -> None:
    bench.up.reply(error(400, f"Provided API key {KEY} could not be found", shape="message"), on="/identity/token")
    with pytest.raises(LlamaStackError) as raised:
        await bench.open().openai_chat_completion(chat(), Call())
    assert KEY not in raised.value.message
    assert "could not be found" in raised.value.message


@only("watsonx")
async def test_watsonx_works_in_a_project_or_a_space(bench: Bench) -> None:
    bench.says(text("ok"))
    await bench.open().openai_chat_completion(chat(), data(watsonx_project_id="theirs"))
    assert bench.sent.body["project_id"] == "theirs"
    await bench.open(project_id=None, space_id="s-1").openai_chat_completion(chat(), Call())
    assert (bench.sent.body["space_id"], "project_id" in bench.sent.body) == ("s-1", False)
    with pytest.raises(InvalidRequest, match="project_id"):
        await bench.open(project_id=None).openai_chat_completion(chat(), Call())
