"""llama.cpp's own HTTP server, `llama-server`: with one model, or as a router over several."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from llama_stack.providers._shared.messages_upstream_local import LocalMessagesUpstream
from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import ENGINES_IGNORE, Quirks
from llama_stack.providers._shared.reranking import RerankUpstream
from llama_stack.providers._shared.token_counts import TokenCounts, length_of, members_of
from llama_stack_api.api import Api
from llama_stack_api.errors import LlamaStackError, ModelNotFound, ProviderError
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import provider

LOADING_S: Final = 2.0
"""After how long a model that is being loaded is asked again, where the server does not say."""
DESCRIBED_MAX: Final = 32
"""Loaded models of a router that one listing asks about."""
_PROMPT: Final = ("model", "messages", "tools", "chat_template_kwargs", "reasoning_format", "add_generation_prompt")
_EMBEDS: Final = frozenset({"--embedding", "--embeddings"})
_RERANKS: Final = frozenset({"--rerank", "--reranking"})


class LlamaCppServerConfig(OpenAICompatibleConfig):
    base_url: str = "http://localhost:8080/v1"


@provider(
    api=Api.inference,
    type="remote::llama-cpp-server",
    description="A running llama-server of llama.cpp, also as a router over several models: chat and completions, with "
    "exact counts of tokens; embeddings or rerank if it was started with --embedding or --reranking (register such "
    "models, only a router's list tells). A request may hold llama.cpp's own members: grammar, json_schema, "
    "reasoning_format, top_k, min_p, cache_prompt, ...",
    config=LlamaCppServerConfig,
    sample={
        "base_url": "${env.LLAMA_CPP_SERVER_URL:=http://localhost:8080/v1}",
        "api_key": "${env.LLAMA_CPP_SERVER_API_KEY:=}",
    },
    turned_on_by="LLAMA_CPP_SERVER_URL",
    data_keys={"llama_cpp_server_api_key": "api_key", "llama_cpp_server_url": "base_url"},
)
class LlamaCppServer(OpenAICompatible, RerankUpstream, TokenCounts, LocalMessagesUpstream):
    takes_thinking = False
    quirks = Quirks(
        key_required=False,
        root="/v1",
        rename={"max_completion_tokens": "max_tokens"},
        refuse=ENGINES_IGNORE,
        thoughts="reasoning_content",
    )

    async def listing(self, call: Call) -> Any:
        """The list, with what the loaded models say of themselves."""
        listed = await super().listing(call)
        items = self.listed_items(listed)
        if not isinstance(items, list):
            return listed
        asked = [item for item in items if isinstance(item, dict) and _status(item) in (None, "loaded")]
        properties = await asyncio.gather(*(self._properties(item, call) for item in asked[:DESCRIBED_MAX]))
        for item, found in zip(asked, properties, strict=False):
            item["props"] = found
        return listed

    def listed_model(self, item: dict[str, Any]) -> ProviderModel | None:
        model = super().listed_model(item)
        outputs = _mapping(item.get("architecture")).get("output_modalities")
        if model is None or (isinstance(outputs, list) and "text" not in outputs):
            return None  # a model that only decides
        meta, metadata = _mapping(item.get("meta")), dict(model.metadata)
        if (length := _context_length(item, meta)) is not None:
            metadata["context_length"] = length
        if _sees(item):
            metadata["vision"] = True
        kind = _kind(item)
        if kind is ModelType.embedding and isinstance(meta.get("n_embd"), int):
            metadata["embedding_dimension"] = meta["n_embd"]
        return replace(model, model_type=kind, metadata=metadata)

    async def counted_by_upstream(self, chat: Mapping[str, Any], call: Call) -> int | None:
        asked = members_of(chat, _PROMPT)
        try:
            answer = await self.asked(self.url("/chat/completions/input_tokens", call), asked, call)
            return answer.get("input_tokens")
        except ModelNotFound:  # a server from before it had that route
            applied = await self.asked(self.beside("/apply-template", call), asked, call)
        text = {"content": applied.get("prompt"), "add_special": True, "parse_special": True}
        tokens = await self.asked(self.beside("/tokenize", call), {**members_of(chat, ("model",)), **text}, call)
        return length_of(tokens.get("tokens"))

    async def _properties(self, item: Mapping[str, Any], call: Call) -> dict[str, Any]:
        """`/props`, of a router's model without loading it; nothing where a proxy hides the route."""
        query = "" if _status(item) is None else f"?model={quote(str(item.get('id')), safe='')}&autoload=false"
        try:
            return _mapping(await self.get_json(self.beside("/props", call) + query, call))
        except LlamaStackError:
            return {}

    async def _refusal(self, reply: HttpReply, sent: Mapping[str, str]) -> LlamaStackError:
        error = await super()._refusal(reply, sent)
        if isinstance(error, ProviderError) and error.upstream_status == 503 and error.retry_after_s is None:
            error.retry_after_s = LOADING_S
        return error


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _status(item: Mapping[str, Any]) -> str | None:
    """`loaded`, `unloaded`, …; None at a server that is no router."""
    value = _mapping(item.get("status")).get("value")
    return value if isinstance(value, str) else None


def _context_length(item: Mapping[str, Any], meta: Mapping[str, Any]) -> int | None:
    """What a request has room for, or else what the model was trained on."""
    settings = _mapping(_mapping(item.get("props")).get("default_generation_settings"))
    lengths = (settings.get("n_ctx"), meta.get("n_ctx"), meta.get("n_ctx_train"))
    return next((length for length in lengths if isinstance(length, int) and length > 0), None)


def _sees(item: Mapping[str, Any]) -> bool:
    inputs = _mapping(item.get("architecture")).get("input_modalities")
    in_list = isinstance(inputs, list) and "image" in inputs
    return in_list or _mapping(_mapping(item.get("props")).get("modalities")).get("vision") is True


def _kind(item: Mapping[str, Any]) -> ModelType:
    """By the arguments that a router starts a model with."""
    given = _mapping(item.get("status")).get("args")
    arguments = {argument for argument in given if isinstance(argument, str)} if isinstance(given, list) else set()
    if arguments & _RERANKS:
        return ModelType.rerank
    return ModelType.embedding if arguments & _EMBEDS else ModelType.llm
