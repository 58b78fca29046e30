"""Google's models, by the Gemini API and on Vertex AI: chat in the words of generateContent."""

from __future__ import annotations

from typing import Any

from llama_stack_api.ports.inference import ProviderModel
from tests.providers.remote.case import EMBEDDING, LLM, TOOLS, Body, Case, Listing
from tests.support.gemini_upstream import Pages, embedded
from tests.support.gemini_words import as_chat, speaks_as_gemini

PICTURE = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]


def configured(**members: Any) -> Body:
    return {"generationConfig": members}


def calling(**members: Any) -> Body:
    return {"toolConfig": {"functionCallingConfig": members}}


def choosing(choice: Any) -> Body:
    return {"tools": TOOLS, "tool_choice": choice}


NAMED = {"type": "function", "function": {"name": "f"}}
STRICT = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}]
REWRITES: tuple[tuple[Body, Body], ...] = (
    ({}, {"generationConfig": None, "toolConfig": None, "model": None}),
    ({"max_completion_tokens": 7, "max_tokens": 8}, configured(maxOutputTokens=7)),
    ({"stop": "END", "user": "u-1"}, {**configured(stopSequences=["END"]), "user": None}),
    ({"n": 1, "logprobs": False, "store": True, "presence_penalty": 0}, {"generationConfig": None}),
    ({"seed": 2**40 + 5}, configured(seed=5)),
    ({"top_k": 3, "verbosity": "medium"}, configured(topK=3)),
    ({"response_format": {"type": "json_object"}}, configured(responseMimeType="application/json")),
    (choosing("none"), calling(mode="NONE")),
    (choosing("auto"), {"toolConfig": None}),
    (choosing("required"), calling(mode="ANY")),
    (choosing(NAMED), calling(mode="ANY", allowedFunctionNames=["f"])),
    (
        choosing({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED]}}),
        calling(mode="VALIDATED", allowedFunctionNames=["f"]),
    ),
    ({"tools": STRICT}, calling(mode="VALIDATED")),
    ({"tools": [{"type": "google_search"}]}, {"tools": [{"googleSearch": {}}]}),
    ({"web_search_options": {}}, {"tools": [{"googleSearch": {}}]}),
    ({"reasoning_effort": "none"}, configured(thinkingConfig={"thinkingLevel": "minimal"})),
    ({"thinking_config": {"thinking_level": "high"}}, configured(thinkingConfig={"thinkingLevel": "high"})),
    (
        {
            "extra_body": {"google": {"cached_content": "cachedContents/1"}},
            "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        },
        {
            "cachedContent": "cachedContents/1",
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        },
    ),
    (
        {"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "?"}]},
        {"systemInstruction": {"parts": [{"text": "Be brief."}]}},
    ),
)
REFUSES: tuple[tuple[Body, str], ...] = (
    ({"logit_bias": {"5": 1}}, "logit_bias"),
    ({"verbosity": "low"}, "verbosity"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
    ({"reasoning_effort": "tremendous"}, "reasoning_effort"),
    ({"response_format": {"type": "grammar"}}, "response_format"),
    ({"x_vendor": 1}, "x_vendor"),
    ({"extra_body": {"openai": {}}}, "extra_body"),
)
EMBEDDINGS_REFUSE: tuple[tuple[Body, str], ...] = (({"input": [1, 2]}, "input"), ({"x_vendor": 1}, "x_vendor"))

GEMINIS = [
    Case(
        "remote::gemini",
        {
            "chat": "/v1beta/models/m-1:generateContent",
            "stream": "/v1beta/models/m-1:streamGenerateContent",
            "embeddings": "/v1beta/models/e-1:batchEmbedContents",
        },
        data_key="gemini_api_key",
        key_header="x-goog-api-key",
        key_prefix="",
        config=lambda up: {"base_url": up.url, "allow_cloud_files": True},
        error_shape="google",
        tongue="gemini",
        speaks=speaks_as_gemini,
        as_chat=as_chat,
        thinks_aloud=False,
        unknown={"top_k": 40},
        embed=embedded,
        listing=Listing(
            {
                "/v1beta/models": Pages(
                    "models",
                    [
                        {
                            "name": "models/gemini-3-pro",
                            "inputTokenLimit": 1048576,
                            "supportedGenerationMethods": ["generateContent", "countTokens"],
                        },
                        {
                            "name": "models/gemini-2.5-flash-preview-tts",
                            "supportedGenerationMethods": ["generateContent"],
                        },
                        {"name": "models/imagen-4", "supportedGenerationMethods": ["predict"]},
                        {
                            "name": "models/gemini-embedding-001",
                            "inputTokenLimit": 2048,
                            "supportedGenerationMethods": ["embedContent", "asyncBatchEmbedContent"],
                        },
                    ],
                    size_max=2,
                )
            },
            [
                ProviderModel("gemini-3-pro", LLM, {"context_length": 1048576}),
                ProviderModel("gemini-embedding-001", EMBEDDING, {"context_length": 2048}),
            ],
        ),
        rewritten=REWRITES,
        refused=REFUSES,
        embed_refused=EMBEDDINGS_REFUSE,
    ),
    Case(
        "remote::vertexai",
        {
            "chat": "/v1beta1/projects/p-1/locations/global/publishers/google/models/m-1:generateContent",
            "stream": "/v1beta1/projects/p-1/locations/global/publishers/google/models/m-1:streamGenerateContent",
            "embeddings": "/v1beta1/projects/p-1/locations/global/publishers/google/models/e-1:predict",
        },
        data_key="vertex_api_key",
        key_header="x-goog-api-key",
        key_prefix="",
        config=lambda up: {"base_url": up.url, "project": "p-1", "allow_cloud_files": True},
        error_shape="google",
        tongue="gemini",
        speaks=speaks_as_gemini,
        as_chat=as_chat,
        thinks_aloud=False,
        unknown={"top_k": 40},
        embed=embedded,
        listing=Listing(
            {
                "/v1beta1/publishers/google/models": Pages(
                    "publisherModels",
                    [
                        {"name": f"publishers/google/models/{name}"}
                        for name in (
                            "gemini-2.5-pro",
                            "gemini-live-2.5-flash-native-audio",
                            "imagen-4.0-generate-001",
                            "text-embedding-005",
                            "multimodalembedding",
                        )
                    ],
                    size_max=3,
                )
            },
            [ProviderModel("gemini-2.5-pro"), ProviderModel("text-embedding-005", EMBEDDING)],
        ),
        rewritten=(*REWRITES, ({"labels": {"team": "a"}}, {"labels": {"team": "a"}})),
        refused=REFUSES,
        embed_refused=EMBEDDINGS_REFUSE,
    ),
]
