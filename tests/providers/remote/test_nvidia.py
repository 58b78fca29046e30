"""NVIDIA NIM: members of its own. (Rerankers and the kinds of embeddings: see test_specials.py.)"""

from __future__ import annotations

import pytest

from llama_stack_api.errors import InvalidRequest, RateLimited
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.ports.inference import ModelType
from llama_stack_api.principal import SYSTEM_CALL, Call
from tests.providers.remote.bench import Bench, chat, chunks_of
from tests.providers.remote.cases import CASES
from tests.support.upstream import embeddings, error, models, rate_limited, text

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("case", [case for case in CASES if case.name == "nvidia"], ids=["nvidia"]),
]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}


async def test_guided_decoding_arrives_as_it_is(bench: Bench) -> None:
    bench.says(text('{"city": "Graz"}'))
    own = {"nvext": {"guided_json": CITY, "max_thinking_tokens": 64}, "guided_choice": ["a"], "top_k": 5}
    await bench.open().openai_chat_completion(chat(**own), Call())
    assert {name: bench.sent.body[name] for name in own} == own
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
    chunks = await chunks_of(bench.open(), response_format=form)
    assert "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices) == '{"city": "Graz"}'
    assert bench.sent.body["response_format"] == form


async def test_embeddings_are_made_for_passages_when_asked(bench: Bench) -> None:
    bench.up.always(embeddings(), on="/embeddings")
    fields = {"model": "nvidia/nv-embedqa-e5-v5", "input": "a", "input_type": "passage", "truncate": "END"}
    await bench.open().openai_embeddings(EmbeddingsRequest.model_validate(fields), Call())
    assert (bench.sent.body["input_type"], bench.sent.body["truncate"]) == ("passage", "END")


async def test_rerankers_that_are_named_are_listed_and_none_twice(bench: Bench) -> None:
    bench.up.always(models("meta/llama-3.3-70b-instruct", "mine/rank"), on="/models")
    provider = bench.open(rerank_model_to_url={"mine/rank": f"{bench.up.url}/v1/ranking"})
    listed = await provider.list_models(SYSTEM_CALL)
    assert [(model.id, model.model_type) for model in listed] == [
        ("meta/llama-3.3-70b-instruct", ModelType.llm),
        ("mine/rank", ModelType.rerank),
    ]


async def test_a_microservice_says_what_is_wrong(bench: Bench) -> None:
    bench.up.always(error(422, "guided_json is no schema", shape="fastapi", param="guided_json"))
    with pytest.raises(InvalidRequest, match="guided_json: guided_json is no schema"):
        await bench.open().openai_chat_completion(chat(), Call())
    bench.up.always(rate_limited("4", shape="problem"))
    with pytest.raises(RateLimited) as limited:
        await bench.open().openai_chat_completion(chat(), Call())
    assert limited.value.retry_after_s == 4.0
