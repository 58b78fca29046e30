"""The server's APIs as providers are handed them, asked as a package of version 0.7 asks: without a `call`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from llama_stack.config.model import RunConfig
from llama_stack.routing.legacy.calls import CallScope
from llama_stack.routing.legacy.dependencies import LegacyDependency
from llama_stack.services import provider_apis as apis
from llama_stack.stack import Stack
from llama_stack_api import (
    Api,
    GetModelRequest,
    GetShieldRequest,
    InsertChunksRequest,
    OpenAIChatCompletionRequestWithExtraBody,
    OpenAIEmbeddingsRequestWithExtraBody,
    OpenAISearchVectorStoreRequest,
    QueryChunksRequest,
    RunModerationRequest,
    RunShieldRequest,
)
from llama_stack_api.errors import NotFound, ProviderError
from llama_stack_api.files import DeleteFileRequest, RetrieveFileContentRequest, RetrieveFileRequest
from llama_stack_api.ports.tool_runtime import WebQuery
from llama_stack_api.principal import Call
from llama_stack_api.vector_io import OpenAICreateVectorStoreRequestWithExtraBody
from tests.external.test_former_package import MODULE, entry
from tests.support.packages import packages

pytestmark = pytest.mark.anyio

MESSAGES: list[Any] = [{"role": "user", "content": "a bomb"}]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    providers = {
        "inference": [entry("old", "remote::former")],
        "vector_io": [entry("vectors", "inline::former-vectors")],
        "safety": [entry("guard", "inline::former-guard", model="old/parrot")],
        "tool_runtime": [entry("search", "inline::former-search")],
        "files": [entry("files", "inline::former-files", storage_dir=str(tmp_path / "kept"))],
        "file_processors": [{"provider_id": "parse", "provider_type": "inline::auto"}],
    }
    said = {
        "distro_name": "t",
        "providers": providers,
        "registered_resources": {"shields": [{"shield_id": "guard", "provider_id": "guard"}]},
        "vector_stores": {
            "default_embedding_model": {"provider_id": "old", "model_id": "letters", "embedding_dimensions": 4}
        },
    }
    config = RunConfig.model_validate(said, context={"environ": {"SQLITE_STORE_DIR": str(tmp_path)}, "home": tmp_path})
    with packages(MODULE):
        async with Stack.open(config, state_dir=tmp_path) as stack:
            assert stack.problems == [], [str(problem) for problem in stack.problems]
            await stack.services.models.get_model("old/parrot", Call())
            yield stack


def handed(stack: Stack, api: Api) -> Any:
    """The API as the search provider of the package would be handed it."""
    services = stack.services
    made: dict[Api, Any] = {
        Api.vector_io: apis.VectorIOApi(services.vector_stores),
        Api.files: apis.FilesApi(services.files),
        Api.tool_runtime: apis.ToolRuntimeApi([each.impl for each in stack.providers if each.id == "search"]),
    }
    own = next(each.impl for each in stack.providers if each.id == "search").legacy_impl
    found = {Api.safety: own.safety, Api.models: own.models}
    guard = next(each.impl for each in stack.providers if each.id == "guard").legacy_impl
    found[Api.inference] = guard.inference
    return found.get(api) or LegacyDependency(made[api], CallScope())


async def test_inference_answers_with_objects(stack: Stack) -> None:
    inference = handed(stack, Api.inference)
    asked = OpenAIChatCompletionRequestWithExtraBody(model="old/parrot", messages=MESSAGES)
    whole = await inference.openai_chat_completion(asked)
    assert whole.choices[0].message.content == "a bomb in a plain voice"
    stream = await inference.openai_chat_completion(asked.model_copy(update={"stream": True}))
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]).startswith(
        "a bomb"
    )
    vectors = await inference.openai_embeddings(OpenAIEmbeddingsRequestWithExtraBody(model="old/letters", input="aa"))
    assert vectors.data[0].embedding == [2.01, 0.01, 0.01, 0.01]


async def test_models_and_shields(stack: Stack) -> None:
    models, safety = handed(stack, Api.models), handed(stack, Api.safety)
    found = {model.identifier: model for model in (await models.list_models()).data}
    assert found["old/letters"].metadata["embedding_dimension"] == 4
    assert (await models.get_model(GetModelRequest(model_id="old/parrot"))).provider_resource_id == "parrot"
    assert {model.id for model in (await models.openai_list_models()).data} >= set(found)
    request = RunShieldRequest(shield_id="guard", messages=MESSAGES)
    assert (await safety.run_shield(request)).violation.user_message == "No."
    assert (await safety.run_moderation(RunModerationRequest(input="a bomb", model="guard"))).results[0].flagged
    assert [shield.identifier for shield in (await safety.list_shields()).data] == ["guard"]
    assert (await safety.get_shield(GetShieldRequest(identifier="guard"))).provider_id == "guard"


async def test_files_and_vectors(stack: Stack) -> None:
    files, vectors = handed(stack, Api.files), handed(stack, Api.vector_io)
    with pytest.raises(NotFound):
        await files.openai_retrieve_file(RetrieveFileRequest(file_id="file-none"))
    with pytest.raises(NotFound):
        await files.openai_retrieve_file_content(RetrieveFileContentRequest(file_id="file-none"))
    with pytest.raises(NotFound):
        await files.openai_delete_file(DeleteFileRequest(file_id="file-none"))
    params = OpenAICreateVectorStoreRequestWithExtraBody(name="s")
    store = await stack.services.vector_stores.stores.create(params, Call())
    store_id = store.id
    chunk = {"chunk_id": "c1", "content": "aaa", "embedding": [3.0, 0, 0, 0], "embedding_model": "old/letters"}
    request = {"vector_store_id": store_id, "chunks": [{**chunk, "embedding_dimension": 4}]}
    await vectors.insert_chunks(InsertChunksRequest.model_validate(request))
    found = await vectors.query_chunks(QueryChunksRequest.model_validate({"vector_store_id": store_id, "query": "aa"}))
    assert [each.chunk_id for each in found.chunks] == ["c1"]
    page = await vectors.openai_search_vector_store(store_id, OpenAISearchVectorStoreRequest(query="aa"))
    assert page.data[0].content[0].text == "aaa"


async def test_tools_and_the_web_search_made_of_one(stack: Stack) -> None:
    tools = handed(stack, Api.tool_runtime)
    assert [tool.name for tool in (await tools.list_runtime_tools()).data] == ["web_search"]
    assert "docs.example.org" in (await tools.invoke_tool("web_search", {"query": "models"})).content
    assert (await tools.invoke_tool("web_search", {"query": "a bomb"})).error_code == 403
    with pytest.raises(NotFound, match="no_such_tool"):
        await tools.invoke_tool("no_such_tool", {})
    search = next(each.impl for each in stack.providers if each.id == "search")
    (page,) = await search.web_search(WebQuery("models", allowed_domains=("example.org",)), Call())
    assert (page.url, page.title) == ("https://docs.example.org/models", "Models")
    assert "old/parrot" in page.text
    assert len(await search.web_search(WebQuery("models", results_max=1), Call())) == 1
    with pytest.raises(ProviderError, match="not searched for"):
        await search.web_search(WebQuery("a bomb"), Call())


def test_an_api_that_is_asked_too_early_says_so() -> None:
    with pytest.raises(ProviderError, match="'inference' is not served yet"):
        _ = apis.Later("inference").openai_chat_completion
