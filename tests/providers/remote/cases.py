"""What the suite knows of each remote provider: where its API is, how it talks, what it takes and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping

from llama_stack_api.ports.inference import ProviderModel
from tests.providers.remote.case import EMBEDDING, LLM, RERANK, TOOLS, Case, Listing
from tests.providers.remote.claude_cases import CLAUDES
from tests.providers.remote.common import CHATS, ENGINE_REFUSES, RERANKS, TO_MAX_TOKENS, V1, listed
from tests.providers.remote.converse_cases import CONVERSES
from tests.providers.remote.engine_cases import ENGINES
from tests.providers.remote.gemini_cases import GEMINIS
from tests.providers.remote.oci_cases import OCIS
from tests.providers.remote.ollama_cases import OLLAMAS
from tests.support.upstream import Answer, Recorded, Wire, embeddings, models, ranking


def under(prefix: str, paths: Mapping[str, str] = V1) -> dict[str, str]:
    return {kind: prefix + path.removeprefix("/v1") for kind, path in paths.items()}


def vectors_of_watsonx(request: Recorded) -> Answer:
    made = embeddings()
    results = [{"embedding": made.vector(text), "input": None} for text in request.body["inputs"]]
    return Wire().json(
        {
            "model_id": "e",
            "created_at": "2026-01-01T00:00:00Z",
            "results": results,
            "input_token_count": 3 * len(results),
        }
    )


def ranking_of_watsonx(scores: list[float]) -> Answer:
    return Wire().json({"model_id": "r", "results": [{"index": i, "score": s} for i, s in enumerate(scores)]})


def iam_token(request: Recorded) -> Answer:
    return Wire().json({"access_token": "iam-token-1", "token_type": "Bearer", "expires_in": 3600})


CASES = [
    Case(
        "remote::openai",
        V1,
        data_key="openai_api_key",
        listing=listed(
            "gpt-5",
            "text-embedding-3-small",
            "whisper-1",
            "gpt-image-1",
            "gpt-4o-mini-tts",
            "omni-moderation-latest",
            means=[
                ProviderModel("gpt-5"),
                ProviderModel("text-embedding-3-small", EMBEDDING, {"embedding_dimension": 1536}),
            ],
        ),
    ),
    *CLAUDES,
    *CONVERSES,
    *GEMINIS,
    *OLLAMAS,
    *ENGINES,
    *OCIS,
    Case(
        "remote::azure",
        under("/openai/v1"),
        data_key="azure_api_key",
        key_header="api-key",
        key_prefix="",
        config=lambda up: {"base_url": up.url},
        error_shape="azure",
        listing=listed(
            {"id": "gpt-4o", "capabilities": {"chat_completion": True, "embeddings": False}},
            {"id": "text-embedding-3-large", "capabilities": {"chat_completion": False, "embeddings": True}},
            {"id": "dall-e-3", "capabilities": {"chat_completion": False, "embeddings": False}},
            path="/openai/v1/models",
            means=[
                ProviderModel("gpt-4o"),
                ProviderModel("text-embedding-3-large", EMBEDDING, {"embedding_dimension": 3072}),
            ],
        ),
    ),
    Case(
        "remote::llama-openai-compat",
        under("/compat/v1", CHATS),
        data_key="llama_api_key",
        error_shape="problem",
        config=lambda up: {"base_url": up.url},
        listing=listed(
            "Llama-4-Maverick-17B-128E-Instruct-FP8", means=[ProviderModel("Llama-4-Maverick-17B-128E-Instruct-FP8")]
        ),
        refused=(({"n": 2}, "n"), ({"logprobs": True}, "logprobs")),
        rewritten=(({"n": 1, "logprobs": False}, {"n": None, "logprobs": None}),),
    ),
    Case(
        "remote::together",
        {**V1, **RERANKS},
        data_key="together_api_key",
        listing=listed(
            {"id": "meta-llama/Llama-3.3-70B", "type": "chat", "context_length": 131072},
            {"id": "BAAI/bge-base-en-v1.5", "type": "embedding", "context_length": 512},
            {"id": "Salesforce/Llama-Rank-v1", "type": "rerank"},
            {"id": "black-forest-labs/FLUX.1", "type": "image"},
            bare=True,
            means=[
                ProviderModel("meta-llama/Llama-3.3-70B", LLM, {"context_length": 131072}),
                ProviderModel("BAAI/bge-base-en-v1.5", EMBEDDING, {"embedding_dimension": 768, "context_length": 512}),
                ProviderModel("Salesforce/Llama-Rank-v1", RERANK),
            ],
        ),
        rewritten=(TO_MAX_TOKENS, ({"logprobs": False, "user": "u"}, {"logprobs": None, "user": "u"})),
        refused=(({"logprobs": True}, "logprobs"),),
        embed_refused=(({"dimensions": 64}, "dimensions"), ({"user": "u"}, "user")),
    ),
    Case(
        "remote::fireworks",
        {**under("/inference/v1"), "rerank": "/inference/v1/rerank"},
        data_key="fireworks_api_key",
        config=lambda up: {"base_url": up.url},
        say={"usage": "always"},
        rank=lambda scores: Wire().json(
            {"object": "list", "data": [{"index": i, "relevance_score": s} for i, s in enumerate(scores)]}
        ),
        listing=listed(
            {"id": "accounts/fireworks/models/deepseek-v3", "kind": "HF_BASE_MODEL", "context_length": 163840},
            {"id": "accounts/fireworks/models/some-embedder", "kind": "EMBEDDING_MODEL"},
            {"id": "nomic-ai/nomic-embed-text-v1.5"},
            {"id": "accounts/fireworks/models/flux-1-dev", "kind": "FLUMINA_BASE_MODEL"},
            means=[
                ProviderModel("accounts/fireworks/models/deepseek-v3", LLM, {"context_length": 163840}),
                ProviderModel("accounts/fireworks/models/some-embedder", EMBEDDING),
                ProviderModel("nomic-ai/nomic-embed-text-v1.5", EMBEDDING, {"embedding_dimension": 768}),
            ],
        ),
    ),
    Case(
        "remote::groq",
        under("/openai/v1", CHATS),
        data_key="groq_api_key",
        config=lambda up: {"base_url": up.url},
        say={"usage": "x_groq", "reasoning_field": "reasoning"},
        listing=listed(
            {"id": "llama-3.3-70b-versatile", "context_window": 131072},
            "whisper-large-v3",
            "playai-tts",
            "meta-llama/llama-prompt-guard-2-22m",
            means=[ProviderModel("llama-3.3-70b-versatile", LLM, {"context_length": 131072})],
        ),
        rewritten=(({"n": 1, "logprobs": False, "logit_bias": {}}, {"n": None, "logprobs": None, "logit_bias": None}),),
        refused=(
            ({"n": 3}, "n"),
            ({"logprobs": True, "top_logprobs": 2}, "logprobs"),
            ({"logit_bias": {"5": 1}}, "logit_bias"),
            ({"messages": [{"role": "user", "content": "x", "name": "Ann"}]}, "messages[0].name"),
        ),
    ),
    Case(
        "remote::cerebras",
        {**CHATS, "completion": V1["completion"]},
        data_key="cerebras_api_key",
        error_shape="message",
        listing=listed("gpt-oss-120b", means=[ProviderModel("gpt-oss-120b")]),
        rewritten=(({"frequency_penalty": 0}, {"frequency_penalty": None}),),
        refused=(
            ({"frequency_penalty": 0.5}, "frequency_penalty"),
            ({"presence_penalty": 1}, "presence_penalty"),
            ({"logit_bias": {"5": 1}}, "logit_bias"),
        ),
    ),
    Case(
        "remote::sambanova",
        {**CHATS, "embeddings": V1["embeddings"]},
        data_key="sambanova_api_key",
        listing=listed(
            {"id": "DeepSeek-V3.1", "context_length": 131072},
            "E5-Mistral-7B-Instruct",
            "Whisper-Large-v3",
            means=[
                ProviderModel("DeepSeek-V3.1", LLM, {"context_length": 131072}),
                ProviderModel("E5-Mistral-7B-Instruct", EMBEDDING, {"embedding_dimension": 4096}),
            ],
        ),
        rewritten=(
            TO_MAX_TOKENS,
            ({"presence_penalty": 0, "n": 2, "seed": 4}, {"presence_penalty": None, "n": 2, "seed": 4}),
        ),
        refused=(({"logit_bias": {"5": 1}}, "logit_bias"), ({"presence_penalty": 0.1}, "presence_penalty")),
        embed_refused=(({"dimensions": 64}, "dimensions"),),
    ),
    Case(
        "remote::nvidia",
        {**V1, "rerank": "/v1/ranking"},
        data_key="nvidia_api_key",
        key_needed=False,
        error_shape="problem",
        rank=lambda scores: ranking(scores, "nvidia"),
        listing=listed(
            "meta/llama-3.3-70b-instruct",
            "nvidia/nv-embedqa-e5-v5",
            means=[
                ProviderModel("meta/llama-3.3-70b-instruct"),
                ProviderModel("nvidia/nv-embedqa-e5-v5", EMBEDDING, {"embedding_dimension": 1024}),
            ],
        ),
        rewritten=(TO_MAX_TOKENS,),
    ),
    Case(
        "remote::databricks",
        under("/serving-endpoints"),
        data_key="databricks_api_token",
        error_shape="coded",
        config=lambda up: {"base_url": up.url},
        listing=Listing(
            {
                "/api/2.0/serving-endpoints": models(
                    {"name": "databricks-claude", "task": "llm/v1/chat", "state": {"ready": "READY"}},
                    {"name": "databricks-gte-large-en", "task": "llm/v1/embeddings", "state": {"ready": "READY"}},
                    {"name": "asleep", "task": "llm/v1/chat", "state": {"ready": "NOT_READY"}},
                    {"name": "fraud-score", "state": {"ready": "READY"}},
                    key="endpoints",
                )
            },
            [
                ProviderModel("databricks-claude"),
                ProviderModel("databricks-gte-large-en", EMBEDDING, {"embedding_dimension": 1024}),
            ],
        ),
        rewritten=(TO_MAX_TOKENS,),
    ),
    Case(
        "remote::runpod",
        under("/v2/abc/openai/v1"),
        data_key="runpod_api_token",
        config=lambda up: {"base_url": f"{up.url}/v2/abc/openai/v1"},
        error_shape="flat",
        listing=listed(
            {"id": "Qwen/Qwen3-8B", "max_model_len": 4096},
            means=[ProviderModel("Qwen/Qwen3-8B", LLM, {"context_length": 4096})],
        ),
        refused=ENGINE_REFUSES,
    ),
    Case(
        "remote::watsonx",
        {
            "chat": "/ml/v1/text/chat",
            "stream": "/ml/v1/text/chat_stream",
            "embeddings": "/ml/v1/text/embeddings",
            "rerank": "/ml/v1/text/rerank",
        },
        data_key="watsonx_api_key",
        error_shape="listed",
        config=lambda up: {"base_url": up.url, "project_id": "p-1", "iam_url": f"{up.url}/identity/token"},
        say={"usage": "always", "omit": ("object", "system_fingerprint")},
        wire=Wire(named=True, done=False),
        embed=vectors_of_watsonx,
        rank=ranking_of_watsonx,
        listing=Listing(
            {
                "/ml/v1/foundation_model_specs": models(
                    {
                        "model_id": "ibm/granite-4-h-small",
                        "functions": [{"id": "text_chat"}],
                        "model_limits": {"max_sequence_length": 131072},
                    },
                    {
                        "model_id": "ibm/granite-embedding-278m",
                        "functions": [{"id": "embedding"}],
                        "model_limits": {"max_sequence_length": 512, "embedding_dimension": 768},
                    },
                    {"model_id": "cross-encoder/ms-marco-minilm", "functions": [{"id": "rerank"}]},
                    {"model_id": "google/flan-t5", "functions": [{"id": "text_generation"}]},
                    key="resources",
                )
            },
            [
                ProviderModel("ibm/granite-4-h-small", LLM, {"context_length": 131072}),
                ProviderModel(
                    "ibm/granite-embedding-278m", EMBEDDING, {"context_length": 512, "embedding_dimension": 768}
                ),
                ProviderModel("cross-encoder/ms-marco-minilm", RERANK),
            ],
        ),
        rewritten=(
            (
                {"max_completion_tokens": 7, "logit_bias": {"5": 1}},
                {"max_completion_tokens": 7, "logit_bias": {"5": 1}},
            ),
            ({"stop": "END"}, {"stop": ["END"], "model": None, "model_id": "m-1", "project_id": "p-1"}),
            ({"tools": TOOLS, "tool_choice": "required"}, {"tool_choice": None, "tool_choice_option": "required"}),
            (
                {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}},
                {"tool_choice": {"type": "function", "function": {"name": "f"}}, "tool_choice_option": None},
            ),
        ),
        refused=(({"user": "u"}, "user"), ({"parallel_tool_calls": False}, "parallel_tool_calls")),
        embed_refused=(({"dimensions": 64}, "dimensions"), ({"input": [1, 2]}, "input")),
    ),
    Case(
        "remote::mistral",
        {**CHATS, "embeddings": V1["embeddings"]},
        data_key="mistral_api_key",
        error_shape="flat",
        say={"usage": "last_choice"},
        listing=listed(
            {"id": "mistral-large-latest", "capabilities": {"completion_chat": True}, "max_context_length": 131072},
            {"id": "mistral-embed", "capabilities": {"completion_chat": False}, "max_context_length": 8192},
            {"id": "mistral-ocr-latest", "capabilities": {"completion_chat": False}},
            {"id": "classifier", "capabilities": {"completion_chat": False}},
            means=[
                ProviderModel("mistral-large-latest", LLM, {"context_length": 131072}),
                ProviderModel("mistral-embed", EMBEDDING, {"embedding_dimension": 1024, "context_length": 8192}),
            ],
        ),
        rewritten=(
            TO_MAX_TOKENS,
            ({"seed": 11}, {"random_seed": 11, "seed": None}),
            ({"tools": TOOLS, "tool_choice": "required"}, {"tool_choice": "any"}),
            (
                {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}},
                {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            ),
            ({"stream_options": {"include_usage": True}, "stream": True}, {"stream_options": None, "stream": True}),
        ),
        refused=(({"logprobs": True}, "logprobs"), ({"logit_bias": {"5": 1}}, "logit_bias"), ({"user": "u"}, "user")),
        embed_refused=(({"user": "u"}, "user"),),
    ),
    Case(
        "remote::deepseek",
        CHATS,
        data_key="deepseek_api_key",
        knows_schemas=False,
        wire=Wire(comment="keep-alive"),
        listing=listed(
            "deepseek-chat",
            "deepseek-reasoner",
            means=[ProviderModel("deepseek-chat"), ProviderModel("deepseek-reasoner")],
        ),
        rewritten=(
            TO_MAX_TOKENS,
            ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
        ),
        refused=(
            ({"n": 2}, "n"),
            ({"seed": 1}, "seed"),
            (
                {
                    "response_format": {
                        "type": "json_schema",
                        "json_schema": {"name": "s", "schema": {"type": "object"}},
                    }
                },
                "response_format",
            ),
        ),
    ),
    Case(
        "remote::openrouter",
        under("/api/v1"),
        data_key="openrouter_api_key",
        error_shape="numbered",
        config=lambda up: {"base_url": up.url},
        wire=Wire(comment="OPENROUTER PROCESSING"),
        say={"reasoning_field": "reasoning", "usage": "asked"},
        listing=listed(
            {
                "id": "anthropic/claude-sonnet-5",
                "context_length": 200000,
                "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
            },
            {"id": "google/gemini-image", "architecture": {"output_modalities": ["image"]}},
            {"id": "baai/bge-m3", "context_length": 8192, "architecture": {"output_modalities": ["embeddings"]}},
            means=[
                ProviderModel("anthropic/claude-sonnet-5", LLM, {"context_length": 200000}),
                ProviderModel("baai/bge-m3", EMBEDDING, {"embedding_dimension": 1024, "context_length": 8192}),
            ],
        ),
        rewritten=(
            ({}, {"provider": {"require_parameters": True}}),
            ({"provider": {"order": ["Groq"]}}, {"provider": {"order": ["Groq"]}}),
        ),
    ),
    Case(
        "remote::passthrough",
        V1,
        data_key="passthrough_api_key",
        key_needed=False,
        config=lambda up: {"base_url": up.url},
        listing=listed(
            "plain",
            {"id": "vllm/e5", "custom_metadata": {"model_type": "embedding", "embedding_dimension": 4, "secret": "x"}},
            {"id": "vllm/rank", "custom_metadata": {"model_type": "rerank"}},
            means=[
                ProviderModel("plain"),
                ProviderModel("vllm/e5", EMBEDDING, {"embedding_dimension": 4}),
                ProviderModel("vllm/rank", RERANK),
            ],
        ),
    ),
]
