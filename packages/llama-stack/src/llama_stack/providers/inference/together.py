"""Together AI."""

from __future__ import annotations

from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack.providers._shared.reranking import RerankUpstream
from llama_stack_api.api import Api
from llama_stack_api.ports.inference import ModelType
from llama_stack_api.provider import provider

_TYPES = {
    "chat": ModelType.llm,
    "language": ModelType.llm,
    "code": ModelType.llm,
    "embedding": ModelType.embedding,
    "rerank": ModelType.rerank,
}


class TogetherConfig(OpenAICompatibleConfig):
    base_url: str = "https://api.together.xyz/v1"


@provider(
    api=Api.inference,
    type="remote::together",
    description="Together AI: open models for chat, completions, embeddings and rerank.",
    config=TogetherConfig,
    sample={
        "base_url": "${env.TOGETHER_BASE_URL:=https://api.together.xyz/v1}",
        "api_key": "${env.TOGETHER_API_KEY:=}",
    },
    turned_on_by="TOGETHER_API_KEY",
    data_keys={"together_api_key": "api_key"},
)
class Together(OpenAICompatible, RerankUpstream):
    quirks = Quirks(
        root="/v1",
        rename={"max_completion_tokens": "max_tokens"},
        # Its `logprobs` is a number and answers in a form of its own.
        refuse={"logprobs": (False,), "top_logprobs": (0,)},
        embedding_models={
            "BAAI/bge-base-en-v1.5": 768,
            "BAAI/bge-large-en-v1.5": 1024,
            "Alibaba-NLP/gte-modernbert-base": 768,
            "intfloat/multilingual-e5-large-instruct": 1024,
            "togethercomputer/m2-bert-80M-32k-retrieval": 768,
        },
        embeddings=Quirks(refuse={"dimensions": (), "user": ()}),
    )

    def model_type(self, item: dict[str, object]) -> ModelType | None:
        return _TYPES.get(str(item.get("type")))
