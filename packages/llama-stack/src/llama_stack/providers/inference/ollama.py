"""Ollama: local models. Its own API says what each model can do; OpenAI's part of it does not."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from llama_stack.providers._shared.messages_upstream_local import LocalMessagesUpstream
from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import ENGINES_IGNORE, Quirks
from llama_stack_api.api import Api
from llama_stack_api.errors import ModelNotFound, UnsupportedParameter
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider

SHOWN_AT_ONCE = 8


class OllamaConfig(OpenAICompatibleConfig):
    base_url: str = "http://localhost:11434/v1"


def _choose_tools(body: dict[str, Any]) -> None:
    """Ollama reads `tool_choice` over: `none` is honoured by sending no tools, `auto` is what it does anyway."""
    choice = body.pop("tool_choice", None)
    if choice == "none":
        body.pop("tools", None)
    elif choice not in (None, "auto"):
        raise UnsupportedParameter(
            "Ollama cannot be made to call a tool: tool_choice can be auto or none.", param="tool_choice"
        )


@provider(
    api=Api.inference,
    type="remote::ollama",
    description="Models on an Ollama server: chat, completions and embeddings. What it has pulled is what it serves.",
    config=OllamaConfig,
    sample={"base_url": "${env.OLLAMA_URL:=http://localhost:11434/v1}"},
    turned_on_by="OLLAMA_URL",
    data_keys={"ollama_api_key": "api_key"},
)
class Ollama(OpenAICompatible, LocalMessagesUpstream):
    chooses_tools = False
    quirks = Quirks(
        key_required=False,
        root="/v1",
        thoughts="reasoning",
        rename={"max_completion_tokens": "max_tokens"},
        refuse={**ENGINES_IGNORE, "logit_bias": ({},), "n": (1,), "parallel_tool_calls": (True,)},
        reshape=_choose_tools,
    )

    def __init__(self, config: OllamaConfig, context: ProviderContext) -> None:
        super().__init__(config, context)
        self._known: dict[tuple[str, str | None], ProviderModel] = {}

    async def list_models(self, call: Call) -> list[ProviderModel]:
        root = self.base_url(call).removesuffix("/v1")
        tags = (await self.get_json(f"{root}/api/tags", call)).get("models", [])
        allowed = self.config.allowed_models
        tags = [tag for tag in tags if allowed is None or tag["name"] in allowed]
        turn = asyncio.Semaphore(SHOWN_AT_ONCE)

        async def show(tag: dict[str, Any]) -> ProviderModel | None:
            # A digest never changes what it names, so each model is asked about once.
            known = self._known.get((tag["name"], tag.get("digest")))
            if known is not None:
                return known
            body = msgspec.json.encode({"model": tag["name"]})
            async with turn:
                try:
                    return _model(tag["name"], await self.decoded(await self.post(f"{root}/api/show", body, call)))
                except ModelNotFound:
                    return None  # removed between the two questions

        shown = await asyncio.gather(*map(show, tags))
        self._known = {(t["name"], t.get("digest")): model for t, model in zip(tags, shown, strict=True) if model}
        return [model for model in shown if model is not None]


def _model(name: str, shown: dict[str, Any]) -> ProviderModel:
    """`model_info` has its figures under the architecture's name: `nomic-bert.embedding_length`."""
    info = {key.rpartition(".")[2]: value for key, value in (shown.get("model_info") or {}).items()}
    metadata: dict[str, Any] = {"context_length": info["context_length"]} if "context_length" in info else {}
    capabilities = shown.get("capabilities", ())
    if "completion" in capabilities:
        metadata["tool_calling"] = "tools" in capabilities
    if "embedding" not in capabilities:
        return ProviderModel(name, ModelType.llm, metadata)
    if "embedding_length" in info:
        metadata["embedding_dimension"] = info["embedding_length"]
    return ProviderModel(name, ModelType.embedding, metadata)
