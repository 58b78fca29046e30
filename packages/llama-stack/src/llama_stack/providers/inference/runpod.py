"""RunPod serverless endpoints, whose workers run vLLM."""

from __future__ import annotations

from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import ENGINES_IGNORE, Quirks
from llama_stack_api.api import Api
from llama_stack_api.provider import provider


class RunPodConfig(OpenAICompatibleConfig):
    base_url: str
    """`https://api.runpod.ai/v2/<endpoint id>/openai/v1`."""


@provider(
    api=Api.inference,
    type="remote::runpod",
    description="A serverless endpoint at RunPod that runs vLLM: chat, completions and embeddings.",
    config=RunPodConfig,
    sample={"base_url": "${env.RUNPOD_URL:=}", "api_key": "${env.RUNPOD_API_TOKEN:=}"},
    turned_on_by="RUNPOD_URL",
    data_keys={"runpod_api_token": "api_key"},
)
class RunPod(OpenAICompatible):
    quirks = Quirks(refuse=ENGINES_IGNORE)
