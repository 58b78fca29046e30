"""Rerank by the models of Cohere and Amazon on Bedrock, by InvokeModel."""

from __future__ import annotations

from typing import Any

from llama_stack.providers._shared.bedrock_upstream import BedrockUpstream
from llama_stack.providers._shared.reranking import RerankUpstream
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.principal import Call

COHERE_VERSION = 2


class InvokedRerank(BedrockUpstream, RerankUpstream):
    def rerank_url(self, model: str, call: Call) -> str:
        return self.model_url(model, "invoke", call)

    def rerank_body(self, params: RerankRequest, query: str, texts: list[str], call: Call) -> dict[str, Any]:
        body = super().rerank_body(params, query, texts, call)
        del body["model"]
        return {"api_version": COHERE_VERSION, **body} if "cohere." in params.model else body
