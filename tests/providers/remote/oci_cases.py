"""Oracle: its chat API in each of its formats, signed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llama_stack_api.ports.inference import ProviderModel
from tests.providers.remote.case import EMBEDDING, LLM, RERANK, TOOLS, Body, Case, Listing
from tests.support.oci_upstream import (
    CHAT_PATH,
    COMPARTMENT,
    EMBED_PATH,
    FINGERPRINT,
    RERANK_PATH,
    TENANCY,
    USER,
    OciUpstream,
    Pages,
    on_oci,
    ranks,
    vectors,
)
from tests.support.upstream import Upstream, embeddings

ROLES = {"SYSTEM": "system", "DEVELOPER": "developer", "USER": "user", "ASSISTANT": "assistant", "CHATBOT": "assistant"}
MODES = {"AUTO": "auto", "NONE": "none", "REQUIRED": "required"}


def as_chat(body: Body) -> Body:
    """A request of any format as one for a chat completion; calls without ids are numbered."""
    request = body["chatRequest"]
    served = body["servingMode"]
    chat: dict[str, Any] = {"model": served.get("modelId", served.get("endpointId"))}
    chat["messages"] = (
        _entries(request) if request["apiFormat"] == "COHERE" else list(map(_message, request["messages"]))
    )
    if "tools" in request:
        chat["tools"] = [_tool(tool) for tool in request["tools"]]
    same = {"temperature": "temperature", "topK": "top_k", "topP": "top_p", "seed": "seed"}
    return chat | {ours: request[theirs] for theirs, ours in same.items() if theirs in request}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if "parameterDefinitions" in tool:
        described = {"name": tool["name"]} | (
            {"parameters": {"type": "object"}} if not tool["parameterDefinitions"] else {}
        )
        return {"type": "function", "function": described}
    function = tool.get("function") or {name: value for name, value in tool.items() if name != "type"}
    return {"type": "function", "function": function}


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    parts = message.get("content") or []
    content: Any = "".join(part.get("text", "") for part in parts)
    if any(part["type"].startswith("IMAGE") for part in parts):
        content = [_part(part) for part in parts]
    if message["role"] == "TOOL":
        return {"role": "tool", "tool_call_id": message["toolCallId"], "content": content}
    chat: dict[str, Any] = {"role": ROLES[message["role"]], "content": content if parts else None}
    if "reasoningContent" in message:
        chat["reasoning_content"] = message["reasoningContent"]
    if message.get("toolCalls"):
        chat["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {
                    "name": (call.get("function") or call)["name"],
                    "arguments": (call.get("function") or call)["arguments"],
                },
            }
            for call in message["toolCalls"]
        ]
    return chat


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] == "TEXT":
        return {"type": "text", "text": part["text"]}
    return {"type": "image_url", "image_url": {"url": part["imageUrl"]["url"]}}


def _entries(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    history = list(request.get("chatHistory", ()))
    if "preambleOverride" in request:
        history.insert(0, {"role": "SYSTEM", "message": request["preambleOverride"]})
    if request.get("toolResults"):
        history.append({"role": "TOOL", "toolResults": request["toolResults"]})
    else:
        history.append({"role": "USER", "message": request["message"]})
    messages: list[dict[str, Any]] = []
    count = 0
    for entry in history:
        if entry["role"] == "TOOL":
            first = count - len(entry["toolResults"]) + 1
            for at, result in enumerate(entry["toolResults"]):
                output = result["outputs"][0]["output"]
                messages.append({"role": "tool", "tool_call_id": f"c{first + at}", "content": output})
            continue
        said: dict[str, Any] = {"role": ROLES[entry["role"]], "content": entry["message"].strip() or None}
        for call in entry.get("toolCalls", ()):
            count += 1
            function = {"name": call["name"], "arguments": json.dumps(call["parameters"])}
            said.setdefault("tool_calls", []).append({"id": f"c{count}", "type": "function", "function": function})
        messages.append(said)
    return messages


def members(body: Body) -> Body:
    served = body["servingMode"]
    return {**body["chatRequest"], "model": served.get("modelId", served.get("endpointId"))}


def config(up: Upstream, **more: Any) -> dict[str, Any]:
    assert isinstance(up, OciUpstream)
    return {
        "base_url": up.url,
        "api_key": None,
        "oci_auth_type": "api_key",
        "oci_compartment_id": COMPARTMENT,
        "oci_tenancy_ocid": TENANCY,
        "oci_user_ocid": USER,
        "oci_fingerprint": FINGERPRINT,
        "oci_private_key": up.private_key,
        **more,
    }


def in_format(name: str) -> Any:
    return lambda up: config(up, api_formats={"m-1": name})


ON_DEMAND = {"vendor": "cohere", "lifecycleState": "ACTIVE", "type": "BASE"}
LISTING = Listing(
    {
        "/20231130/models": Pages(
            (
                {"displayName": "meta.llama-3.3-70b-instruct", "capabilities": ["CHAT"], "vendor": "meta"},
                {**ON_DEMAND, "displayName": "cohere.command-a-03-2025", "capabilities": ["CHAT"]},
                {**ON_DEMAND, "displayName": "cohere.embed-v4.0", "capabilities": ["TEXT_EMBEDDINGS"]},
                {**ON_DEMAND, "displayName": "cohere.rerank-v3.5", "capabilities": ["TEXT_RERANK"]},
                {**ON_DEMAND, "displayName": "cohere.command-light", "capabilities": ["CHAT", "FINE_TUNE"]},
                {**ON_DEMAND, "displayName": "cohere.command", "capabilities": ["TEXT_GENERATION"]},
                {
                    "displayName": "meta.llama-2",
                    "capabilities": ["CHAT"],
                    "timeOnDemandRetired": "2025-01-01T00:00:00Z",
                },
            )
        ),
        "/20231130/endpoints": Pages(({"id": "ocid1.generativeaiendpoint.oc1..e", "displayName": "ours"},)),
    },
    [
        ProviderModel("meta.llama-3.3-70b-instruct"),
        ProviderModel("cohere.command-a-03-2025"),
        ProviderModel("cohere.embed-v4.0", EMBEDDING, {"embedding_dimension": 1536}),
        ProviderModel("cohere.rerank-v3.5", RERANK),
        ProviderModel("ocid1.generativeaiendpoint.oc1..e", LLM),
    ],
)
SHARED: dict[str, Any] = {
    "data_key": "oci_genai_api_key",
    "error_shape": "oci",
    "tongue": "oci",
    "speaks": on_oci,
    "as_chat": as_chat,
    "members": members,
    "unknown": {"top_k": 40},
    "signs": True,
    "listing": LISTING,
}
COHERES_CANNOT: tuple[tuple[Body, str], ...] = (
    ({"n": 2}, "n"),
    ({"logprobs": True}, "logprobs"),
    ({"logit_bias": {"5": 1}}, "logit_bias"),
    ({"tools": TOOLS, "parallel_tool_calls": False}, "parallel_tool_calls"),
)
PATHS = {"chat": CHAT_PATH, "stream": CHAT_PATH, "embeddings": EMBED_PATH, "rerank": RERANK_PATH}

OCIS = [
    Case(
        "remote::oci",
        PATHS,
        config=config,
        embed=vectors(lambda text: embeddings().vector(text)),
        rank=ranks,
        rewritten=(
            ({"max_completion_tokens": 7, "n": 2}, {"maxTokens": 7, "numGenerations": 2}),
            ({"model": "openai.gpt-5", "max_tokens": 7}, {"maxCompletionTokens": 7, "maxTokens": None}),
            ({"tools": TOOLS, "tool_choice": "required"}, {"toolChoice": {"type": "REQUIRED"}}),
            (
                {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}},
                {"toolChoice": {"type": "FUNCTION", "name": "f"}},
            ),
            ({"logprobs": True, "top_logprobs": 3}, {"logProbs": 3}),
            ({"store": True, "metadata": {"a": "b"}, "modalities": ["text"]}, {"store": None, "metadata": None}),
            (
                {"response_format": {"type": "json_object"}, "reasoning_effort": "minimal"},
                {"responseFormat": {"type": "JSON_OBJECT"}, "reasoningEffort": "MINIMAL"},
            ),
        ),
        refused=(({"reasoning_effort": "xhigh"}, "reasoning_effort"), ({"x_y": 1}, "x_y")),
        embed_refused=(({"user": "u"}, "user"), ({"input": [1, 2]}, "input")),
        **SHARED,
    ),
    Case(
        "remote::oci",
        PATHS,
        called="oci-cohere",
        config=in_format("COHERE"),
        embed=vectors(lambda text: embeddings().vector(text)),
        rank=ranks,
        thinks=False,
        names_calls=False,
        sees=False,
        rewritten=(
            ({"max_completion_tokens": 7, "stop": "END"}, {"maxTokens": 7, "stopSequences": ["END"]}),
            ({"tools": TOOLS, "tool_choice": "none"}, {"tools": None}),
            ({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "?"}]},
             {"preambleOverride": "Be brief.", "message": "?", "chatHistory": None}),
        ),
        refused=(*COHERES_CANNOT, ({"tools": TOOLS, "tool_choice": "required"}, "tool_choice")),
        **SHARED,
    ),
    Case(
        "remote::oci",
        PATHS,
        called="oci-cohere-v2",
        config=in_format("COHEREV2"),
        embed=vectors(lambda text: embeddings().vector(text)),
        rank=ranks,
        thinks_aloud=False,
        rewritten=(
            ({"reasoning_effort": "none"}, {"thinking": {"type": "DISABLED"}}),
            ({"tools": TOOLS, "tool_choice": "required"}, {"toolsChoice": "REQUIRED"}),
        ),
        refused=COHERES_CANNOT,
        **SHARED,
    ),
]  # fmt: skip


_SAME = {
    "frequency_penalty": ("frequencyPenalty", 0.5),
    "max_completion_tokens": ("maxTokens", 17),
    "max_tokens": ("maxTokens", 18),
    "messages": ("messages", [{"role": "USER", "content": [{"type": "TEXT", "text": "Wie heißt du?"}]}]),
    "presence_penalty": ("presencePenalty", 0.5),
    "stream": ("isStream", True),
    "top_p": ("topP", 0.75),
}
_TOOL = {"name": "f", "parameters": {"type": "object"}}
_COHERES = {
    **_SAME,
    "response_format": ("responseFormat", {"type": "JSON_OBJECT", "schema": {"type": "object"}}),
    "stop": ("stopSequences", ["END"]),
}
WORDS: dict[str, dict[str, tuple[str, Any]]] = {
    "oci": {
        **_SAME,
        "logit_bias": ("logitBias", {"50256": -100}),
        "logprobs": ("logProbs", 1),
        "n": ("numGenerations", 2),
        "prediction": ("prediction", {"type": "CONTENT", "content": [{"type": "TEXT", "text": "x"}]}),
        "reasoning_effort": ("reasoningEffort", "LOW"),
        "response_format": (
            "responseFormat",
            {"type": "JSON_SCHEMA", "jsonSchema": {"name": "s", "schema": {"type": "object"}}},
        ),
        "tools": ("tools", [{"type": "FUNCTION", **_TOOL}]),
        "verbosity": ("verbosity", "LOW"),
        "web_search_options": ("webSearchOptions", {"searchContextSize": "LOW"}),
    },
    "oci-cohere": {
        **_COHERES,
        "messages": ("message", "Wie heißt du?"),
        "tools": ("tools", [{"name": "f", "description": "f", "parameterDefinitions": {}}]),
    },
    "oci-cohere-v2": {
        **_COHERES,
        "reasoning_effort": ("thinking", {"type": "ENABLED"}),
        "tools": ("tools", [{"type": "FUNCTION", "function": _TOOL}]),
    },
}
"""What each parameter is called, and what its value becomes."""
_OTHER_MEANS = {
    "metadata",  # kept with what is stored, by this server
    "parallel_tool_calls",  # without tools it says nothing
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "store",
    "stream_options",  # the usage is always asked for
    "tool_choice",  # as above
    "user",
}
OTHER_MEANS = {
    "oci": {*_OTHER_MEANS, "top_logprobs"},  # without logprobs it says nothing
    "oci-cohere": _OTHER_MEANS,
    "oci-cohere-v2": _OTHER_MEANS,
}
