"""Rerank over HTTP, in the form of Jina and Cohere, which most engines took over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from llama_stack.providers._shared.openai_compatible import Upstream
from llama_stack_api.errors import ProviderError, UnsupportedParameter
from llama_stack_api.native.rerank import RerankData, RerankItem, RerankRequest, RerankResponse
from llama_stack_api.openai.chat_messages import TextPart
from llama_stack_api.principal import Call


class RerankUpstream(Upstream):
    """`POST /rerank` with `query`, `documents`, `top_n`. A subclass with another form overrides `rerank_body`,
    `rerank_url` or `ranked`."""

    async def rerank(self, params: RerankRequest, call: Call) -> RerankResponse:
        query = self._text(params.query, "query")
        texts = [self._text(item, "items") for item in params.items]
        body = msgspec.json.encode(self.rerank_body(params, query, texts, call))
        answer = await self.decoded(await self.post(self.rerank_url(params.model, call), body, call))
        try:
            found = [RerankData(index=i, relevance_score=score) for i, score in self.ranked(answer) if i < len(texts)]
        except (KeyError, TypeError, ValueError):
            raise ProviderError(f"Provider '{self.name}' answered with something that is not a ranking.") from None
        found.sort(key=lambda item: -item.relevance_score)
        return RerankResponse(data=found[: params.max_num_results])

    def rerank_url(self, model: str, call: Call) -> str:
        return self.url("/rerank", call, model)

    def rerank_body(self, params: RerankRequest, query: str, texts: list[str], call: Call) -> dict[str, Any]:
        body: dict[str, Any] = {"model": params.model, "query": query, "documents": texts}
        if params.max_num_results is not None:
            body["top_n"] = params.max_num_results
        return body | (params.model_extra or {})

    def ranked(self, answer: Any) -> Sequence[tuple[int, float]]:
        """Pairs of an item's place in the request and its score."""
        items = answer["results"] if "results" in answer else answer["data"]
        return [(item["index"], item["relevance_score"]) for item in items]

    def _text(self, item: RerankItem, param: str) -> str:
        if isinstance(item, str):
            return item
        if isinstance(item, TextPart):
            return item.text
        raise UnsupportedParameter(f"Provider '{self.name}' ranks text only, not images.", param=param)
