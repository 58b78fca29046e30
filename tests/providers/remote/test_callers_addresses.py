"""Names that callers choose, in addresses and bodies: they lead to no other operation and to no other model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from yarl import URL

from llama_stack_api.errors import LlamaStackError, ModelNotFound
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.principal import Call
from tests.providers.remote.bench import chat
from tests.support.oci_upstream import new_key
from tests.support.scripted_http import ScriptedHttp, json_reply, scripted

pytestmark = pytest.mark.anyio
AZURE = {"api_key": "k", "base_url": "https://r.openai.azure.com", "api_version": "2024-10-21"}
WATSONX = {"api_key": "k", "project_id": "ours"}
ROOTS: dict[str, tuple[dict[str, str], str]] = {
    "remote::gemini": ({"api_key": "k"}, "/v1beta/models/"),
    "remote::vertexai": ({"access_token": "k", "project": "p"}, "/v1beta1/projects/p/locations/global/"),
    "remote::bedrock": ({"api_key": "k"}, "/model/"),
    "remote::azure": (AZURE, "/openai/deployments/"),
    "remote::watsonx": (WATSONX, "/ml/v1/deployments/"),
}
NAMES = (
    "..", ".", "../..", "a/../../x", "a?b=c", "a#b", "a%2f..%2fb", "%2e%2e", "a\r\nX: 1", "ü", "a b", "@evil.example",
    "//evil.example", "\\evil", "a:generateContent?x=", "tunedModels/../x", "a;b", "a/..", "a/.",
)  # fmt: skip


def opened(provider_type: str, http: ScriptedHttp, tmp_path: Path, config: dict[str, str]) -> Any:
    http.by_path["/identity/token"] = json_reply({"access_token": "tok-1", "expires_in": 3600})
    return scripted(provider_type, http, tmp_path, **config)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("provider_type", ROOTS)
async def test_the_name_of_a_model_stays_in_its_place(tmp_path: Path, provider_type: str, name: str) -> None:
    config, root = ROOTS[provider_type]
    http = ScriptedHttp(json_reply({}, 404))
    provider = opened(provider_type, http, tmp_path, config)
    asked = f"deployments/{name}" if provider_type == "remote::watsonx" else name
    with pytest.raises(LlamaStackError) as refused:
        await provider.openai_chat_completion(chat(model=asked), Call())
    sent = [URL(each.url) for each in http.sent if "/identity/token" not in each.url]
    assert all(url.raw_path.startswith(root) and url.raw_path.count("/") <= 10 for url in sent), sent
    assert all(set(url.query) <= {"api-version", "version"} and not url.fragment for url in sent), sent
    if name in ("..", "."):
        assert isinstance(refused.value, ModelNotFound)


async def test_other_members_name_no_other_model(tmp_path: Path) -> None:
    http = ScriptedHttp()
    watsonx = opened("remote::watsonx", http, tmp_path, WATSONX)
    other = {"model_id": "theirs", "project_id": "theirs"}
    embedding = EmbeddingsRequest.model_validate({"model": "m-1", "input": "a", **other})
    ranking = RerankRequest.model_validate({"model": "m-1", "query": "q", "items": ["a"], **other})
    for asked in (watsonx.openai_embeddings(embedding, Call()), watsonx.rerank(ranking, Call())):
        with pytest.raises(LlamaStackError):
            await asked
        assert b"theirs" not in http.sent[-1].body

    names = {f"oci_{name}": "x" for name in ("user_ocid", "tenancy_ocid", "fingerprint")}
    config = {"oci_private_key": new_key()[0], "oci_region": "us-a-1", "oci_compartment_id": "ours", **names}
    oci = opened("remote::oci", http, tmp_path, config)
    other_place = {"compartmentId": "theirs", "servingMode": {"servingType": "ON_DEMAND", "modelId": "theirs"}}
    ranking = RerankRequest.model_validate({"model": "m-1", "query": "q", "items": ["a"], **other_place})
    with pytest.raises(LlamaStackError):
        await oci.rerank(ranking, Call())
    sent = msgspec.json.decode(http.sent[-1].body)
    assert (sent["compartmentId"], sent["servingMode"]["modelId"]) == ("ours", "m-1")
