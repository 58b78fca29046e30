"""What stands behind each distribution in its test: loopback upstreams, and the variables that point to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.upstream import Upstream

KEY = "sk-of-the-test"
Told = Mapping[str, str]
Settings = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Backend:
    """`type` is the provider type that answers, as a case of the shared provider suite knows it. `environ` are the
    variables that a user would set, given the first language model that the case lists. `settings` are those of a
    provider that no variable reaches, because nobody points it elsewhere but a test. `model` is what clients ask for,
    if not that first one."""

    type: str
    environ: Callable[[Upstream, str], Told]
    settings: Callable[[Upstream], Settings] = lambda up: {}
    embeds: str = "minilm/all-minilm-l6-v2"
    ranks: str = "minilm/all-minilm-l6-v2-reranker"
    model: str = ""


BACKENDS: Mapping[str, Backend] = {
    "starter": Backend("remote::openai", lambda up, model: {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": up.base_url}),
    "postgres": Backend("remote::vllm", lambda up, model: {"VLLM_URL": up.base_url}),
    "nvidia": Backend(
        "remote::nvidia",
        lambda up, model: {
            "NVIDIA_BASE_URL": up.base_url,
            "NVIDIA_EMBEDDING_URL": up.base_url,
            "NVIDIA_RERANK_URL": up.base_url,
            "GUARDRAILS_SERVICE_URL": up.url,
            "EMBEDDING_DIMENSION": "8",
        },
        embeds="nvidia-embedding/nvidia/llama-3.2-nv-embedqa-1b-v2",
        ranks="nvidia-rerank/nvidia/llama-3.2-nv-rerankqa-1b-v2",
    ),
    "dell": Backend(
        "remote::tgi",
        lambda up, model: {
            "DEH_URL": up.base_url,
            "DEH_SAFETY_URL": up.base_url,
            "INFERENCE_MODEL": "meta-llama/Llama-3.1-8B-Instruct",
            "SAFETY_MODEL": "meta-llama/Llama-Guard-3-1B",
        },
        model="meta-llama/Llama-3.1-8B-Instruct",
    ),
    "ollama": Backend("remote::ollama", lambda up, model: {"OLLAMA_URL": up.base_url, "SAFETY_MODEL": model}),
    "vllm": Backend(
        "remote::vllm",
        lambda up, model: {"VLLM_URL": up.base_url, "VLLM_SAFETY_URL": up.base_url, "SAFETY_MODEL": model},
    ),
    "bedrock": Backend(
        "remote::bedrock",
        lambda up, model: {"AWS_DEFAULT_REGION": "us-east-1", "AWS_BEARER_TOKEN_BEDROCK": KEY},
        settings=lambda up: {"bedrock": {"base_url": up.url}},
    ),
    "watsonx": Backend(
        "remote::watsonx",
        lambda up, model: {"WATSONX_BASE_URL": up.url, "WATSONX_API_KEY": KEY, "WATSONX_PROJECT_ID": "p-1"},
        settings=lambda up: {"watsonx": {"iam_url": f"{up.url}/identity/token"}},
    ),
    "coding-agent": Backend(
        "remote::vllm", lambda up, model: {"VLLM_URL": up.base_url, "CODING_MODEL": model}, model="coding"
    ),
}
