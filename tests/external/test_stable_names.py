"""What packages written for llama-stack-api 0.7 import is where they look for it, and docs/stable-names.md says so."""

from __future__ import annotations

import importlib.util
import re
from importlib import import_module
from pathlib import Path

import pytest

import llama_stack_api

DOCS = Path(__file__).parents[2] / "docs"

OLD_PATHS = {
    # llama-stack-provider-trustyai-fms
    "datatypes": "Api ProviderSpec RemoteProviderSpec InlineProviderSpec ShieldsProtocolPrivate HealthResponse "
    "HealthStatus ExternalApiSpec ModelsProtocolPrivate VectorStoresProtocolPrivate ToolGroupsProtocolPrivate "
    "RoutingTable",
    "inference": "OpenAIAssistantMessageParam OpenAIDeveloperMessageParam OpenAIMessageParam OpenAISystemMessageParam "
    "OpenAIToolMessageParam OpenAIUserMessageParam SystemMessage ToolResponseMessage UserMessage Inference "
    "InferenceProvider ModelStore OpenAIChatCompletion OpenAIChatCompletionChunk OpenAIChoice OpenAIChunkChoice "
    "OpenAIChatCompletionRequestWithExtraBody OpenAICompletionRequestWithExtraBody OpenAIEmbeddingsResponse "
    "OpenAIEmbeddingsRequestWithExtraBody OpenAIChatCompletionContentPartTextParam RerankResponse",
    "resource": "Resource ResourceType",
    "safety": "ModerationObject ModerationObjectResults RunShieldResponse Safety SafetyViolation ShieldStore "
    "ViolationLevel RunShieldRequest RunModerationRequest",
    "safety.models": "RunModerationRequest RunShieldRequest RunShieldResponse SafetyViolation ModerationObject",
    "schema_utils": "json_schema_type webmethod register_schema ExtraBodyField",
    "shields": "ListShieldsResponse Shield Shields GetShieldRequest",
    # lightspeed-providers, as far as it asks llama_stack_api
    "conversations": "Conversations AddItemsRequest ListItemsRequest",
    "connectors": "Connectors",
    "files": "Files",
    "prompts": "Prompts",
    "tools": "ToolGroups ToolRuntime ToolDef ToolGroup ToolInvocationResult ListToolDefsResponse",
    "openai_responses": "OpenAIResponseObject OpenAIResponseObjectStream OpenAIResponseInput OpenAIResponseInputTool "
    "OpenAIResponsePrompt OpenAIResponseText OpenAIResponseMessage",
    "vector_io": "VectorIO Chunk EmbeddedChunk ChunkForDeletion QueryChunksResponse QueryChunksRequest "
    "InsertChunksRequest DeleteChunksRequest VectorStoreChunkingStrategy VectorStoreFileObject",
    # others, and what goes with them
    "models": "Model ModelType Models GetModelRequest ListModelsResponse",
    "vector_stores": "VectorStore",
    "common.errors": "ModelNotFoundError VectorStoreNotFoundError OpenAIFileObjectNotFoundError",
    "common.content_types": "InterleavedContent TextContentItem ImageContentItem URL",
    "version": "LLAMA_STACK_API_V1 LLAMA_STACK_API_V1ALPHA LLAMA_STACK_API_V1BETA",
    "router_utils": "standard_responses",
    "internal.kvstore": "KVStore",
    "internal.sqlstore": "SqlStore",
}
NOT_LENT = {"router_utils", "internal.kvstore", "internal.sqlstore"}
"""Modules whose names are not those of the package itself."""
LIGHTSPEED = (
    "Api Inference Safety Shield ShieldsProtocolPrivate RunShieldRequest RunShieldResponse ModerationObject "
    "ModerationObjectResults RunModerationRequest SafetyViolation ViolationLevel Connectors Conversations Files "
    "Prompts ToolGroups ToolRuntime VectorIO OpenAIMessageParam OpenAIUserMessageParam"
)
OUT_OF_SCOPE = (
    "Benchmark",
    "BenchmarkConfig",
    "Eval",
    "EvaluateResponse",
    "RunEvalRequest",
    "DatasetIO",
    "ScoringResult",
)


@pytest.mark.parametrize("module", OLD_PATHS)
def test_names_are_at_their_old_paths(module: str) -> None:
    loaded = import_module(f"llama_stack_api.{module}")
    for name in OLD_PATHS[module].split():
        assert hasattr(loaded, name), name
        if module not in NOT_LENT:
            assert getattr(llama_stack_api, name) is getattr(loaded, name), name


@pytest.mark.parametrize("module", llama_stack_api.NAMES)
def test_every_stable_name_is_in_its_module_and_in_the_package(module: str) -> None:
    loaded = import_module(f"llama_stack_api.{module}")
    for name in llama_stack_api.NAMES[module].split():
        assert getattr(llama_stack_api, name) is getattr(loaded, name), name


def test_what_lightspeed_takes_from_the_package_itself() -> None:
    assert [name for name in LIGHTSPEED.split() if not hasattr(llama_stack_api, name)] == []


@pytest.mark.parametrize("name", OUT_OF_SCOPE)
def test_what_is_left_out_is_said(name: str) -> None:
    assert not hasattr(llama_stack_api, name)
    assert f"`{name}`" in (DOCS / "stable-names.md").read_text()


def test_the_page_is_what_the_package_says() -> None:
    spec = importlib.util.spec_from_file_location("stable_names", DOCS / "stable_names.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    text = (DOCS / "stable-names.md").read_text(encoding="utf-8")
    assert text == made.page(), "run python docs/stable_names.py"
    assert set(re.findall(r"^## `llama_stack_api\.([\w.]+)`$", text, re.MULTILINE)) == set(llama_stack_api.NAMES)
