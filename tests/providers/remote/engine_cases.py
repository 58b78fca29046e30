"""Engines of one's own: vLLM, llama.cpp's server, and Hugging Face's two."""

from __future__ import annotations

from llama_stack_api.ports.inference import ProviderModel
from tests.providers.remote.case import EMBEDDING, LLM, Case, Listing
from tests.providers.remote.common import ENGINE_IGNORES_TEXT, ENGINE_REFUSES, RERANKS, TO_MAX_TOKENS, V1, listed
from tests.support.upstream import Wire, embeddings, ranking

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
ANY_JSON = {"type": "json_object", "value": {"type": "object"}}

ENGINES = [
    Case(
        "remote::vllm",
        {**V1, **RERANKS},
        data_key="vllm_api_token",
        key_needed=False,
        error_shape="flat",
        say={"usage": "asked"},
        listing=listed(
            {"id": "Qwen/Qwen3-8B", "object": "model", "max_model_len": 40960, "parent": None},
            {"id": "sql-lora", "object": "model", "max_model_len": None, "parent": "Qwen/Qwen3-8B"},
            means=[
                ProviderModel("Qwen/Qwen3-8B", LLM, {"context_length": 40960}),
                ProviderModel("sql-lora", LLM, {"context_length": 40960, "adapter_of": "Qwen/Qwen3-8B"}),
            ],
        ),
        rewritten=(
            ENGINE_IGNORES_TEXT,
            ({"logit_bias": {"5": 1}, "n": 2}, {"logit_bias": {"5": 1}, "n": 2}),
            (
                {"guided_choice": ["a", "b"]},
                {"guided_choice": ["a", "b"], "structured_outputs": {"choice": ["a", "b"]}},
            ),
            (
                {"structured_outputs": {"regex": "a+", "json": SCHEMA, "structural_tag": "x"}},
                {
                    "structured_outputs": {"regex": "a+", "json": SCHEMA, "structural_tag": "x"},
                    "guided_regex": "a+",
                    "guided_json": SCHEMA,
                },
            ),
            ({"guided_grammar": None}, {"structured_outputs": None}),
        ),
        refused=ENGINE_REFUSES,
    ),
    Case(
        "remote::llama-cpp-server",
        {**V1, **RERANKS},
        data_key="llama_cpp_server_api_key",
        key_needed=False,
        wire=Wire(newline="\n", comment="keep-alive"),
        listing=listed(
            {"id": "smollm2.gguf", "object": "model", "meta": {"n_ctx_train": 8192, "n_embd": 576}},
            means=[ProviderModel("smollm2.gguf", LLM, {"context_length": 8192})],
        ),
        rewritten=(TO_MAX_TOKENS, ENGINE_IGNORES_TEXT),
        refused=ENGINE_REFUSES,
    ),
    Case(
        "remote::tgi",
        {"chat": V1["chat"], "stream": V1["stream"], "completion": V1["completion"]},
        data_key="tgi_api_token",
        key_needed=False,
        error_shape="typed",
        config=lambda up: {"base_url": up.url},
        listing=Listing(
            {
                "/info": Wire().json(
                    {
                        "model_id": "meta-llama/Llama-3.1-8B-Instruct",
                        "model_pipeline_tag": "text-generation",
                        "max_input_tokens": 7168,
                        "max_total_tokens": 8192,
                        "max_client_batch_size": 4,
                        "router": "text-generation-router",
                        "version": "3.3.6",
                    }
                )
            },
            [ProviderModel("meta-llama/Llama-3.1-8B-Instruct", LLM, {"context_length": 8192})],
        ),
        rewritten=(
            TO_MAX_TOKENS,
            ENGINE_IGNORES_TEXT,
            ({"top_p": 1, "n": 1}, {"top_p": None, "n": None}),
            ({"response_format": {"type": "text"}}, {"response_format": None}),
            ({"response_format": {"type": "json_object"}}, {"response_format": ANY_JSON}),
            (
                {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}},
                {"response_format": {"type": "json_object", "value": SCHEMA}},
            ),
        ),
        refused=(
            *ENGINE_REFUSES,
            ({"n": 2}, "n"),
            ({"logit_bias": {"5": 1}}, "logit_bias"),
            ({"reasoning_effort": "low"}, "reasoning_effort"),
            ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ),
    ),
    Case(
        "remote::text-embeddings-inference",
        {"embeddings": "/v1/embeddings", "rerank": "/rerank"},
        data_key="tei_api_key",
        key_needed=False,
        error_shape="typed",
        config=lambda up: {"base_url": up.url},
        rank=lambda scores: ranking(scores, "tei"),
        listing=Listing(
            {
                "/info": Wire().json(
                    {
                        "model_id": "BAAI/bge-small-en-v1.5",
                        "max_input_length": 512,
                        "model_type": {"embedding": {"pooling": "cls"}},
                    }
                ),
                "/embed": embeddings(384),
            },
            [ProviderModel("BAAI/bge-small-en-v1.5", EMBEDDING, {"context_length": 512, "embedding_dimension": 384})],
        ),
    ),
]
