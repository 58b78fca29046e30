"""A package with providers of five APIs, written for llama-stack-api 0.7, in a whole server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from llama_stack.routing.catalog import Catalog
from llama_stack_api.api import Api
from tests.support.edge import client, sdk_for
from tests.support.packages import packages
from tests.support.server import Running
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio

MODULE = "llama-stack-provider-former"
CHAT = "/v1/chat/completions"


def entry(provider_id: str, provider_type: str, **config: Any) -> dict[str, Any]:
    return {"provider_id": provider_id, "provider_type": provider_type, "module": MODULE, "config": config}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    providers = {
        "inference": [entry("old", "remote::former", voice="low")],
        "vector_io": [entry("vectors", "inline::former-vectors")],
        "safety": [entry("guard", "inline::former-guard", model="old/parrot")],
        "tool_runtime": [entry("search", "inline::former-search")],
        "files": [entry("files", "inline::former-files", storage_dir=str(tmp_path / "kept"))],
        "file_processors": [{"provider_id": "parse", "provider_type": "inline::auto"}],
    }
    resources = {"models": [], "shields": [{"shield_id": "guard", "provider_id": "guard", "provider_shield_id": "g1"}]}
    stores = {"default_embedding_model": {"provider_id": "old", "model_id": "letters", "embedding_dimensions": 4}}
    with packages(MODULE):
        async with whole_stack(
            tmp_path, [], [], providers=providers, registered_resources=resources, vector_stores=stores
        ) as server:
            yield server


@pytest.fixture
async def http(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with client(server) as http:
        yield http


@pytest.fixture
async def sdk(server: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk_for(server) as sdk:
        yield sdk


async def test_models_are_listed_and_it_chats(sdk: openai.AsyncOpenAI, http: httpx.AsyncClient) -> None:
    assert {model.id async for model in sdk.models.list()} >= {"old/parrot", "old/letters"}
    ask: Any = [{"role": "user", "content": "Hello"}]
    whole = await sdk.chat.completions.create(model="old/parrot", messages=ask)
    assert whole.choices[0].message.content == "Hello in a low voice"
    assert (whole.model, whole.usage and whole.usage.total_tokens) == ("old/parrot", 3)
    stream = await sdk.chat.completions.create(model="old/parrot", messages=ask, stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello in a low voice low"
    assert chunks[-1].choices[0].finish_reason == "stop"
    with pytest.raises(openai.APIStatusError) as refused:
        await sdk.completions.create(model="old/parrot", prompt="Hello")
    assert refused.value.status_code == 501
    reranking = {"model": "old/parrot", "query": "a", "items": ["b"]}
    inherited = await http.post("/v1alpha/inference/rerank", json=reranking)
    assert inherited.status_code in (400, 501), "a method of the protocol is none of the provider's"
    vectors = await sdk.embeddings.create(model="old/letters", input=["aaa", "e"], encoding_format="float")
    assert [round(each.embedding[0]) for each in vectors.data] == [3, 0]


async def test_provider_data_reaches_it_up_to_the_end_of_a_stream(http: httpx.AsyncClient) -> None:
    headers = {"X-LlamaStack-Provider-Data": json.dumps({"former_voice": "high"})}
    body: dict[str, Any] = {"model": "old/parrot", "messages": [{"role": "user", "content": "Hello"}]}
    whole = await http.post(CHAT, json=body, headers=headers)
    assert whole.json()["choices"][0]["message"]["content"] == "Hello in a high voice"
    stream = await http.post(CHAT, json={**body, "stream": True}, headers=headers)
    lines = [line.removeprefix("data: ") for line in stream.text.splitlines() if line.startswith("data: {")]
    said = [json.loads(line)["choices"][0]["delta"].get("content") for line in lines]
    assert said[-1] == "high"


async def test_a_response_and_its_health(sdk: openai.AsyncOpenAI, http: httpx.AsyncClient) -> None:
    made = await sdk.responses.create(model="old/parrot", input="Hello")
    assert "voice" in made.output_text
    health = {each["provider_id"]: each["health"] for each in (await http.get("/v1/providers")).json()["data"]}
    assert health["old"] == {"status": "OK", "message": "I am old"}
    assert health["vectors"]["status"] == "Not Implemented"


async def test_its_shield_asks_the_servers_inference(http: httpx.AsyncClient) -> None:
    def body(said: str) -> dict[str, Any]:
        return {"shield_id": "guard", "messages": [{"role": "user", "content": said}]}

    assert (await http.post("/v1/safety/run-shield", json=body("Hello"))).json() == {"violation": None}
    found = (await http.post("/v1/safety/run-shield", json=body("a bomb"))).json()["violation"]
    assert found["metadata"] == {"shield": "g1", "answer": "a bomb in a low voice"}


async def test_its_search_is_the_web_search_of_responses(http: httpx.AsyncClient, sdk: openai.AsyncOpenAI) -> None:
    listed = (await http.get("/v1/tools")).json()["data"]
    assert [(tool["name"], tool["toolgroup_id"]) for tool in listed] == [("web_search", "builtin::websearch")]


async def test_files_are_kept_by_it(sdk: openai.AsyncOpenAI, tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    kept = await sdk.files.create(file=("../../evil.bin", content), purpose="user_data")
    assert (await sdk.files.content(kept.id)).content == content
    assert len(list((tmp_path / "kept").iterdir())) == 1
    await sdk.files.delete(kept.id)
    assert list((tmp_path / "kept").iterdir()) == []


async def store_with(sdk: openai.AsyncOpenAI, **files: str) -> tuple[str, dict[str, str]]:
    store = await sdk.vector_stores.create(name="words")
    ids = {}
    for name, text in files.items():
        uploaded = await sdk.files.create(file=(f"{name}.txt", text.encode()), purpose="assistants")
        attached = await sdk.vector_stores.files.create_and_poll(
            vector_store_id=store.id, file_id=uploaded.id, attributes={"name": name}
        )
        assert attached.status == "completed", attached.last_error
        ids[name] = uploaded.id
    return store.id, ids


async def names(sdk: openai.AsyncOpenAI, store: str, query: str, **more: Any) -> list[str]:
    page = await sdk.vector_stores.search(vector_store_id=store, query=query, **more)
    return [each.filename.removesuffix(".txt") for each in page.data]


async def test_a_vector_store_over_it(sdk: openai.AsyncOpenAI) -> None:
    texts = {"aa": "aaaaaa banana", "ee": "eeeeee tree", "io": "iiii oooo"}
    store, ids = await store_with(sdk, **texts)
    assert await names(sdk, store, "aaaa", max_num_results=1) == ["aa"]
    assert await names(sdk, store, "eee") == ["ee", "aa", "io"] or (await names(sdk, store, "eee"))[0] == "ee"
    only: Any = {"type": "eq", "key": "name", "value": "io"}
    assert await names(sdk, store, "eee", filters=only, max_num_results=1) == ["io"]
    await sdk.vector_stores.files.update(vector_store_id=store, file_id=ids["aa"], attributes={"name": "io"})
    assert sorted(await names(sdk, store, "eee", filters=only)) == ["aa", "io"]
    await sdk.vector_stores.files.delete(vector_store_id=store, file_id=ids["ee"])
    assert "ee" not in await names(sdk, store, "eee")
    await sdk.vector_stores.delete(store)


def test_its_sample_and_packages_are_listed() -> None:
    with packages(MODULE):
        found = Catalog().find(Api.inference, "remote::former", MODULE)
    assert found.sample == {"voice": "${env.FORMER_VOICE:=plain}"}
    assert found.data_keys == {"former_voice": "former_voice"}
    assert found.pip_packages == ("httpx",)
