"""llama.cpp's own HTTP server, `llama-server`."""

from __future__ import annotations

from typing import Any

from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import ENGINES_IGNORE, Quirks
from llama_stack.providers._shared.reranking import RerankUpstream
from llama_stack_api.api import Api
from llama_stack_api.ports.inference import ProviderModel
from llama_stack_api.provider import provider


class LlamaCppServerConfig(OpenAICompatibleConfig):
    base_url: str = "http://localhost:8080/v1"


@provider(
    api=Api.inference,
    type="remote::llama-cpp-server",
    description="A running llama-server of llama.cpp: chat and completions; embeddings or rerank if it was started "
    "with --embedding or --reranking (register such models, its list does not tell).",
    config=LlamaCppServerConfig,
    sample={
        "base_url": "${env.LLAMA_CPP_SERVER_URL:=http://localhost:8080/v1}",
        "api_key": "${env.LLAMA_CPP_SERVER_API_KEY:=}",
    },
    turned_on_by="LLAMA_CPP_SERVER_URL",
    data_keys={"llama_cpp_server_api_key": "api_key", "llama_cpp_server_url": "base_url"},
)
class LlamaCppServer(OpenAICompatible, RerankUpstream):
    quirks = Quirks(
        key_required=False,
        root="/v1",
        rename={"max_completion_tokens": "max_tokens"},
        refuse=ENGINES_IGNORE,
        thoughts="reasoning_content",
    )

    def listed_model(self, item: dict[str, Any]) -> ProviderModel | None:
        trained_on = (item.get("meta") or {}).get("n_ctx_train")
        return super().listed_model(item if trained_on is None else {**item, "context_length": trained_on})
