"""Limits and types of completions, embeddings, rerank, filters, pages and stored completions."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from llama_stack_api.errors import UnsupportedParameter
from llama_stack_api.filters import ComparisonFilter, CompoundFilter, Filter
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.completions import CompletionRequest
from llama_stack_api.openai.embeddings import Embedding, EmbeddingsRequest
from llama_stack_api.openai.stored import ListChatCompletionsParams, UpdateChatCompletionRequest
from llama_stack_api.paging import Page, PageParams
from llama_stack_api.shields import Shield
from llama_stack_api.validators import validate_embeddings_input_is_text

FILTER: TypeAdapter[Any] = TypeAdapter(Filter)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (CompletionRequest, {"model": "m"}),
        (CompletionRequest, {"model": "m", "prompt": {"text": "x"}}),
        (CompletionRequest, {"model": "m", "prompt": "x", "logprobs": 6}),
        (CompletionRequest, {"model": "m", "prompt": "x", "best_of": 21}),
        (CompletionRequest, {"model": "m", "prompt": "x", "max_tokens": -1}),
        (EmbeddingsRequest, {"model": "m"}),
        (EmbeddingsRequest, {"model": "m", "input": []}),
        (EmbeddingsRequest, {"model": "m", "input": [[]]}),
        (EmbeddingsRequest, {"model": "m", "input": ["x"] * 2049}),
        (EmbeddingsRequest, {"model": "m", "input": ["x", 1]}),
        (EmbeddingsRequest, {"model": "m", "input": "x", "encoding_format": "int8"}),
        (EmbeddingsRequest, {"model": "m", "input": "x", "dimensions": 0}),
        (RerankRequest, {"model": "m", "query": "q", "items": []}),
        (RerankRequest, {"model": "m", "query": "q", "items": ["a"], "max_num_results": 0}),
        (RerankRequest, {"model": "m", "query": {"type": "input_audio"}, "items": ["a"]}),
        (PageParams, {"limit": 0}),
        (PageParams, {"limit": 101}),
        (PageParams, {"order": "newest"}),
        (UpdateChatCompletionRequest, {}),
    ],
)
def test_what_the_contract_forbids_is_refused(model: type[BaseModel], body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(body)


@pytest.mark.parametrize("sent", ["text", ["a", "b"], [1, 2], [[1], [2, 3]]])
def test_inputs_of_embeddings_keep_their_kind(sent: Any) -> None:
    assert EmbeddingsRequest(model="m", input=sent).input == sent


@pytest.mark.parametrize("sent", [[1, 2], [[1], [2]]])
def test_token_ids_are_refused_by_providers_that_need_text(sent: Any) -> None:
    with pytest.raises(UnsupportedParameter, match="takes text") as caught:
        validate_embeddings_input_is_text(EmbeddingsRequest(model="m", input=sent))
    assert caught.value.param == "input"


@pytest.mark.parametrize("sent", ["a", ["a", "b"]])
def test_text_is_not_refused(sent: Any) -> None:
    validate_embeddings_input_is_text(EmbeddingsRequest(model="m", input=sent))


@pytest.mark.parametrize("vector", [[0.5, -1.0], "AAAAPwAAgL8="])
def test_an_embedding_is_numbers_or_base64(vector: Any) -> None:
    assert Embedding.model_validate({"index": 0, "embedding": vector}).embedding == vector


def test_filters_nest() -> None:
    parsed = FILTER.validate_python(
        {"type": "or", "filters": [
            {"type": "and", "filters": [{"type": "gte", "key": "year", "value": 2020}]},
            {"type": "in", "key": "lang", "value": ["en", "de"]},
            {"type": "eq", "key": "public", "value": True},
        ]}
    )  # fmt: skip
    assert isinstance(parsed, CompoundFilter)
    assert isinstance(parsed.filters[0], CompoundFilter)
    last = parsed.filters[2]
    assert isinstance(last, ComparisonFilter)
    assert last.value is True


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "like", "key": "a", "value": "b"},
        {"type": "eq", "value": "b"},
        {"type": "eq", "key": "a", "value": ["b"]},
        {"type": "in", "key": "a", "value": "b"},
        {"type": "eq", "key": "a", "value": {"b": 1}},
        {"type": "and", "filters": []},
    ],
)
def test_a_filter_that_means_nothing_is_refused(sent: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FILTER.validate_python(sent)


def test_a_page_is_typed_by_its_items() -> None:
    page = Page[Shield].model_validate({"data": [{"identifier": "s", "provider_id": "p"}], "has_more": True})
    assert page.data[0].shield_id == "s"
    assert (page.object, page.first_id, page.has_more) == ("list", None, True)


def test_lists_of_completions_start_with_the_oldest() -> None:
    assert ListChatCompletionsParams().order == "asc"
    assert PageParams().order == "desc"
