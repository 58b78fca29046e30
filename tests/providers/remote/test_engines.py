"""What vLLM, llama-server, TGI and TEI have beside OpenAI's routes."""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from llama_stack_api.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    ModelNotFound,
    NotImplementedByProvider,
    ProviderError,
    UnsupportedParameter,
)
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.ports.inference import CountsTokens, ModelType, ProviderModel
from llama_stack_api.principal import SYSTEM_CALL, Call
from tests.providers.remote.bench import Bench, chat
from tests.providers.remote.case import TOOLS
from tests.providers.remote.cases import CASES
from tests.support.engine_upstreams import (
    LlamaServerUpstream,
    TEIUpstream,
    TGIUpstream,
    VLLMUpstream,
    prompt_of,
    tokens_of,
)
from tests.support.upstream import Upstream, Wire, error, text
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio
HISTORY: list[dict[str, Any]] = [
    {"role": "system", "content": "Answer in one word."},
    {"role": "user", "content": [{"type": "text", "text": "How is the weather in Graz?"}]},
]


def only(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [case for case in CASES if case.name == name], ids=[name])


@pytest.fixture(
    params=[VLLMUpstream, LlamaServerUpstream, lambda: LlamaServerUpstream(older=True), TGIUpstream],
    ids=["vllm", "llama-server", "older llama-server", "tgi"],
)
def counting(request: pytest.FixtureRequest) -> Iterator[Upstream]:
    with request.param() as upstream:
        yield upstream


KINDS = {VLLMUpstream: "vllm", LlamaServerUpstream: "llama-cpp-server", TGIUpstream: "tgi"}
MODELS = {"vllm": "qwen3", "llama-cpp-server": "smollm2.gguf", "tgi": "meta-llama/Llama-3.1-8B-Instruct"}


@asynccontextmanager
async def served(directory: Path, kind: str, up: Upstream) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The address of a whole server with the model `m` of an engine, and what it lists of it."""
    provider = {"provider_id": "p", "provider_type": f"remote::{kind}", "config": {"base_url": up.url}}
    model = {"model_id": "m", "provider_id": "p", "provider_model_id": MODELS[kind]}
    async with whole_stack(directory, [provider], [model]) as server:
        yield server.url, model


# Counts


async def test_counts_by_the_whole_server_are_what_an_answer_costs(counting: Upstream, tmp_path: Path) -> None:
    kind = KINDS[type(counting)]
    messages: Any = HISTORY
    tools: Any = TOOLS
    async with (
        served(tmp_path, kind, counting) as (url, _),
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as asked,
        anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as claude,
    ):
        answer = await asked.chat.completions.create(model="m", messages=messages, tools=tools)
        assert answer.usage is not None
        assert answer.usage.prompt_tokens == len(tokens_of(prompt_of({"messages": HISTORY, "tools": TOOLS})))
        counted = await claude.messages.count_tokens(
            model="m",
            system=HISTORY[0]["content"],
            messages=[{"role": "user", "content": "How is the weather in Graz?"}],
            tools=[{"name": "f", "input_schema": {"type": "object"}}],
        )
        assert counted.input_tokens == answer.usage.prompt_tokens
        message = await claude.messages.create(
            model="m",
            max_tokens=16,
            system=HISTORY[0]["content"],
            messages=[{"role": "user", "content": "How is the weather in Graz?"}],
            tools=[{"name": "f", "input_schema": {"type": "object"}}],
        )
        assert message.usage.input_tokens == counted.input_tokens
        of_response = await asked.responses.input_tokens.count(model="m", input="How is the weather in Graz?")
        assert of_response.input_tokens == len(tokens_of(prompt_of({"messages": HISTORY[1:]})))


@pytest.mark.parametrize("case", [case for case in CASES if case.name in MODELS], ids=lambda case: case.name)
async def test_a_proxy_without_the_route_counts_nothing(bench: Bench) -> None:
    provider = bench.open()
    assert isinstance(provider, CountsTokens)
    with pytest.raises(NotImplementedByProvider):
        await provider.count_chat_tokens(chat(), Call())
    for path in ("/tokenize", "/input_tokens", "/chat_tokenize"):
        bench.up.always(Wire().json({"count": None}), on=path)
    with pytest.raises(ProviderError, match="not a count"):
        await provider.count_chat_tokens(chat(), Call())


async def test_where_nobody_counts_it_is_estimated(tmp_path: Path) -> None:
    with Upstream() as proxy:
        async with (
            served(tmp_path, "vllm", proxy) as (url, _),
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as asked,
            anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as claude,
        ):
            assert (await asked.responses.input_tokens.count(model="m", input="Hello?")).input_tokens > 0
            assert (
                await claude.messages.count_tokens(model="m", messages=[{"role": "user", "content": "?"}])
            ).input_tokens


@only("vllm")
async def test_tools_that_are_not_offered_are_not_counted(bench: Bench) -> None:
    with VLLMUpstream() as up:
        provider = bench.open(base_url=up.url)
        with_tools = await provider.count_chat_tokens(chat(tools=TOOLS), Call())
        without = await provider.count_chat_tokens(chat(tools=TOOLS, tool_choice="none", stream=True), Call())
    assert with_tools > without == len(tokens_of(prompt_of({"messages": chat().model_dump()["messages"]})))


# vLLM


@only("vllm")
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("said", [{"guided_choice": ["yes", "no"]}, {"structured_outputs": {"choice": ["yes", "no"]}}])
async def test_any_vllm_understands_how_an_answer_is_constrained(
    bench: Bench, older: bool, said: dict[str, Any]
) -> None:
    with VLLMUpstream(older=older) as up:
        provider = bench.open(base_url=up.url)
        reply = await provider.openai_chat_completion(chat(model="qwen3", **said), Call())
    assert reply.decode().choices[0].message.content == "no"


@only("vllm")
async def test_vllm_says_what_is_wrong(bench: Bench) -> None:
    with VLLMUpstream() as up:
        provider = bench.open(base_url=up.url)
        long = [{"role": "user", "content": "word " * 70}]
        with pytest.raises(ContextLengthExceeded, match="64 tokens"):
            await provider.openai_chat_completion(chat(model="qwen3", messages=long), Call())
        with pytest.raises(ModelNotFound, match="gone"):
            await provider.openai_chat_completion(chat(model="gone"), Call())


# llama-server


@only("llama-cpp-server")
async def test_llama_server_says_how_much_fits_and_whether_it_sees(bench: Bench) -> None:
    with LlamaServerUpstream() as up:
        listed = await bench.open(base_url=up.url).list_models(SYSTEM_CALL)
    assert listed == [ProviderModel("smollm2.gguf", ModelType.llm, {"context_length": 4096, "vision": True})]


@only("llama-cpp-server")
async def test_a_router_lists_what_it_can_load_and_loads_nothing_for_it(bench: Bench) -> None:
    with LlamaServerUpstream(router=True) as up:
        listed = await bench.open(base_url=up.url).list_models(SYSTEM_CALL)
        assert [request.path for request in up.requests] == ["/v1/models", "/props"]
    assert listed == [
        ProviderModel("gemma/loaded:Q4", ModelType.llm, {"context_length": 4096, "vision": True}),
        ProviderModel("asleep"),
        ProviderModel("e5", ModelType.embedding, {"context_length": 8192, "embedding_dimension": 576}),
        ProviderModel("rank", ModelType.rerank),
    ]


@only("llama-cpp-server")
async def test_a_model_that_is_being_loaded_is_worth_another_try(bench: Bench) -> None:
    up = LlamaServerUpstream()
    up.loading = True
    with up:
        with pytest.raises(ProviderError, match="Loading model") as loading:
            await bench.open(base_url=up.url).openai_chat_completion(chat(), Call())
        assert (loading.value.upstream_status, loading.value.retry_after_s) == (503, 2.0)
        slots = error(503, "no slot available", headers={"retry-after": "7"})
        up.loading = False
        up.always(slots)
        with pytest.raises(ProviderError) as exhausted:
            await bench.open(base_url=up.url).openai_chat_completion(chat(), Call())
        assert exhausted.value.retry_after_s == 7.0


@only("llama-cpp-server")
async def test_llama_cpps_own_members_pass(bench: Bench) -> None:
    bench.says(text("ok"))
    own = {"grammar": 'root ::= "ok"', "reasoning_format": "none", "json_schema": {"type": "object"}, "min_p": 0.1}
    await bench.open().openai_chat_completion(chat(**own), Call())
    assert {name: bench.sent.body[name] for name in own} == own


# TGI


@only("tgi")
async def test_tgi_takes_a_schema_and_what_openai_clients_send(bench: Bench) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
    with TGIUpstream() as up:
        provider = bench.open(base_url=up.url)
        for form in (schema, {"type": "json_object"}, {"type": "text"}):
            await provider.openai_chat_completion(chat(response_format=form, top_p=1), Call())
        up.always(error(424, "Request failed during generation: CUDA", shape="typed", code="generation"))
        with pytest.raises(ProviderError, match="CUDA") as failed:
            await provider.openai_chat_completion(chat(), Call())
        assert failed.value.upstream_status == 424
        long = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8192. Given: 9000 and 100"
        up.always(error(422, long, shape="typed", code="validation"))
        with pytest.raises(ContextLengthExceeded):
            await provider.openai_chat_completion(chat(), Call())
        up.always(error(422, "`stop` supports up to 4 stop sequences", shape="typed", code="validation"))
        with pytest.raises(InvalidRequest) as wrong:
            await provider.openai_chat_completion(chat(), Call())
        assert type(wrong.value) is InvalidRequest


# TEI


@only("text-embeddings-inference")
async def test_tei_cuts_texts_short_where_it_is_told_to(bench: Bench) -> None:
    texts = ["one two", "a " * 20]
    with TEIUpstream() as up:
        provider = bench.open(base_url=up.url)
        params = EmbeddingsRequest.model_validate({"model": "e", "input": texts, "truncate": True, "normalize": False})
        reply = (await provider.openai_embeddings(params, Call())).decode()
        assert up.last.body == {"inputs": texts, "truncate": True, "normalize": False}
        assert [len(item.embedding) for item in reply.data] == [8, 8]
        assert reply.usage.prompt_tokens == 2 + 8
        whole = params.model_copy(update={"truncate": False, "encoding_format": "base64"})
        with pytest.raises(ContextLengthExceeded, match="less than 8 tokens"):
            await provider.openai_embeddings(whole, Call())
        always = bench.open(base_url=up.url, truncate=True)
        plain = EmbeddingsRequest.model_validate({"model": "e", "input": texts[1], "encoding_format": "base64"})
        encoded = (await always.openai_embeddings(plain, Call())).decode().data[0].embedding
        floats = list(struct.unpack("<8f", base64.b64decode(str(encoded))))
        assert floats == pytest.approx(reply.data[1].embedding)
        with pytest.raises(UnsupportedParameter) as refused:
            await always.openai_embeddings(EmbeddingsRequest(model="e", input=[1, 2]), Call())
        assert refused.value.param == "input"


@only("text-embeddings-inference")
async def test_tei_gets_many_texts_in_as_many_requests_as_it_takes(bench: Bench) -> None:
    texts = [f"number {number}" for number in range(10)]
    with TEIUpstream() as up:
        provider = bench.open(base_url=up.url)
        await provider.list_models(SYSTEM_CALL)
        up.requests.clear()
        params = EmbeddingsRequest(model="e", input=texts)
        many = (await provider.openai_embeddings(params, Call())).decode()
        assert [len(request.body["inputs"]) for request in up.requests] == [4, 4, 2]
        few = EmbeddingsRequest(model="e", input=texts[8:])
        alone = (await provider.openai_embeddings(few, Call())).decode()
        assert up.last.path == "/v1/embeddings"
    assert [item.index for item in many.data] == list(range(10))
    assert [item.embedding for item in many.data[8:]] == [item.embedding for item in alone.data]
    assert many.usage.prompt_tokens == 20


@only("text-embeddings-inference")
async def test_tei_truncates_what_it_ranks(bench: Bench) -> None:
    bench.up.always(bench.case.rank([0.5]), on="/rerank")
    params = RerankRequest.model_validate({"model": "r", "query": "q", "items": ["a"]})
    await bench.open(truncate=True).rerank(params, Call())
    assert bench.sent.body == {"query": "q", "texts": ["a"], "truncate": True}


@only("text-embeddings-inference")
async def test_tei_that_is_something_else_is_said_to_be(bench: Bench) -> None:
    bench.up.always(Wire().json({"version": 1}), on="/info")
    with pytest.raises(ProviderError, match="does not describe"):
        await bench.open().list_models(SYSTEM_CALL)
    bench.up.always(Wire().json({"model_id": "m", "model_type": {"embedding": {}}}), on="/info")
    bench.up.always(Wire().json({"oops": 1}), on="/embed")
    with pytest.raises(ProviderError, match="not vectors"):
        await bench.open().list_models(SYSTEM_CALL)
