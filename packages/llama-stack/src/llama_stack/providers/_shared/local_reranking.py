"""What rerankers inside the server have in common: texts in, the best first out."""

from __future__ import annotations

from collections.abc import Sequence

from llama_stack_api.errors import InvalidRequest
from llama_stack_api.native.rerank import RerankData, RerankItem, RerankRequest, RerankResponse
from llama_stack_api.openai.chat_messages import TextPart


def texts_to_rank(params: RerankRequest, items_max: int) -> tuple[str, list[str]]:
    """The query and the items. `InvalidRequest` for images, and for more than `items_max` items."""
    if len(params.items) > items_max:
        raise InvalidRequest(
            f"'items' holds {len(params.items)} items; the provider's items_max is {items_max}.", param="items"
        )
    return _text(params.query, "query"), [_text(item, f"items[{index}]") for index, item in enumerate(params.items)]


def ranked(scores: Sequence[float], results_max: int | None) -> RerankResponse:
    best = sorted(range(len(scores)), key=lambda index: -scores[index])[:results_max]
    return RerankResponse(data=[RerankData(index=index, relevance_score=scores[index]) for index in best])


def _text(item: RerankItem, where: str) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, TextPart):
        return item.text
    raise InvalidRequest(f"{where} is not text, and this reranker reads text only.", param=where)
