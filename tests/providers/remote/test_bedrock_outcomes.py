"""Amazon Bedrock: guardrails, refusals, models that lack something, embeddings and rerank."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from llama_stack_api.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    LlamaStackError,
    ModelNotFound,
    NotImplementedByProvider,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderStreamBroken,
    ProviderTimeout,
    RateLimited,
    UnsupportedParameter,
)
from llama_stack_api.native.rerank import RerankRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.ports.inference import CountsTokens, ModelType, ProviderModel, TellsTools
from llama_stack_api.principal import SYSTEM_CALL, Call
from llama_stack_api.provider import Descriptor
from tests.providers.remote.bedrock_bench import (
    CASE,
    CLAUDE,
    LLAMA,
    NOVA,
    PROFILE,
    completed,
    opened,
    violations,
)
from tests.providers.remote.bench import Bench, chat, chunks_of, on_bench
from tests.providers.remote.case import TOOLS
from tests.providers.remote.converse_cases import model
from tests.support.anthropic_upstream import says
from tests.support.anthropic_upstream_bedrock import (
    EVENT_STREAM,
    BedrockUpstream,
    BedrockWire,
    Listed,
    on_bedrock,
    refusal,
)
from tests.support.converse_upstream import ConverseWire, conversed, use
from tests.support.upstream import Answer, Recorded
from tests.support.upstream_wire import Wire

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bench(
    bedrock: BedrockUpstream, descriptors: dict[str, Descriptor], tmp_path: Path, nobody_at_aws: None
) -> AsyncIterator[Bench]:
    async with on_bench(CASE, bedrock, descriptors, tmp_path) as bench:
        yield bench


# --- guardrails

HATE = {"type": "HATE", "confidence": "HIGH", "action": "BLOCKED"}
EMAIL = {"type": "EMAIL", "match": "ada@example.org", "action": "ANONYMIZED"}


def traced(assessment: dict[str, Any], reason: str) -> dict[str, Any]:
    return {"trace": {"guardrail": {"inputAssessment": {"gr1": assessment}, "actionReason": reason}}}


async def test_a_guardrail_that_blocks(bench: Bench) -> None:
    trace = traced({"contentPolicy": {"filters": [HATE]}}, "Guardrail blocked.")
    bench.up.always(conversed("I cannot say.", reason="guardrail_intervened", members=trace))
    provider = opened(bench, guardrail_identifier="gr1", guardrail_version="3")
    whole = (await completed(provider, model=NOVA))["choices"][0]
    assert bench.sent.body["guardrailConfig"] == {
        "guardrailIdentifier": "gr1",
        "guardrailVersion": "3",
        "trace": "enabled",
    }
    last = [c for chunk in await chunks_of(provider, model=NOVA) for c in chunk.choices][-1].model_dump()
    for choice in (whole, last):
        assert (choice["finish_reason"], choice["native_finish_reason"]) == ("content_filter", "guardrail_intervened")
        assert choice["guardrail"] == {"action_reason": "Guardrail blocked.", "input": {"blocked": ["HATE"]}}
    with pytest.raises(UnsupportedParameter) as refused:
        await completed(provider, model=NOVA, guardrailConfig={"guardrailIdentifier": ""})
    assert refused.value.param == "guardrailConfig"


async def test_a_guardrail_that_masks_leaves_a_whole_answer(bench: Bench) -> None:
    trace = traced({"sensitiveInformationPolicy": {"piiEntities": [EMAIL], "regexes": []}}, "Masked.")
    bench.up.always(conversed("Write to {EMAIL}.", reason="guardrail_intervened", members=trace))
    choice = (await completed(opened(bench), model=NOVA))["choices"][0]
    assert (choice["finish_reason"], choice["guardrail"]["input"]) == ("stop", {"anonymized": ["EMAIL"]})
    assert "ada@example.org" not in json.dumps(choice)


async def test_a_guardrail_judges_claude_too(bench: Bench) -> None:
    provider = opened(bench, guardrail_identifier="gr1")
    said = on_bedrock(says("I cannot say."))

    def judged(request: Recorded) -> Answer:
        answer = said(request)
        if request.path.endswith("stream"):
            return answer
        (body,) = answer.parts
        assert isinstance(body, bytes)
        message = {**json.loads(body), "amazon-bedrock-guardrailAction": "INTERVENED"}
        return Wire().json(message)

    bench.up.always(judged)
    choice = (await completed(provider, model=CLAUDE))["choices"][0]
    assert choice["finish_reason"] == "content_filter"
    headers = bench.sent.headers
    assert headers["x-amzn-bedrock-guardrailidentifier"] == "gr1"
    assert (headers["x-amzn-bedrock-guardrailversion"], headers["x-amzn-bedrock-trace"]) == ("DRAFT", "ENABLED")
    chunks = await chunks_of(provider, model=CLAUDE)
    assert [c.finish_reason for chunk in chunks for c in chunk.choices][-1] == "stop"


@pytest.mark.parametrize("place", [-1, -2])
async def test_a_guardrail_that_blocks_a_stream_of_claudes(bench: Bench, place: int) -> None:
    """It may say so in the event with the reason of the end, or in the one behind."""
    events = list(says("I cannot say.").events(CLAUDE))
    events[place] = {**events[place], "amazon-bedrock-guardrailAction": "INTERVENED", "amazon-bedrock-trace": {}}
    bench.up.always(BedrockWire().events(events, {"content-type": EVENT_STREAM}))
    chunks = await chunks_of(opened(bench, guardrail_identifier="gr1"), model=CLAUDE)
    assert [c.finish_reason for chunk in chunks for c in chunk.choices][-1] == "content_filter"


# --- errors


@pytest.mark.parametrize(
    ("status", "kind", "message", "means"),
    [
        (429, "ThrottlingException", "Too many requests, please wait.", RateLimited),
        (400, "ServiceQuotaExceededException", "Your account's limit is reached.", RateLimited),
        (400, "ValidationException", "Input is too long for requested model.", ContextLengthExceeded),
        (400, "ValidationException", "Too many input tokens. Max input tokens: 42000", ContextLengthExceeded),
        (400, "ValidationException", "The provided model identifier is invalid.", InvalidRequest),
        (403, "AccessDeniedException", "You don't have access to the model.", ProviderRejectedCredentials),
        (404, "ResourceNotFoundException", "This model version has reached the end of its life.", ModelNotFound),
        (408, "ModelTimeoutException", "The model took too long.", ProviderTimeout),
        (424, "ModelErrorException", "The model failed.", ProviderError),
        (429, "ModelNotReadyException", "The model is warming up.", ProviderError),
        (503, "ServiceUnavailableException:http://internal.amazon.com/", "Later.", ProviderError),
    ],
)
async def test_refusals(bench: Bench, status: int, kind: str, message: str, means: type[LlamaStackError]) -> None:
    bench.up.always(refusal(status, message, kind))
    for stream in (False, True):
        with pytest.raises(LlamaStackError) as raised:
            await opened(bench).openai_chat_completion(chat(model=NOVA, stream=stream), Call())
        assert type(raised.value) is means
        assert message in raised.value.message or means is ProviderRejectedCredentials


@pytest.mark.parametrize(
    ("exception", "message", "means"),
    [
        ("throttlingException", "Slow down.", RateLimited),
        ("validationException", "Input is too long for requested model.", ContextLengthExceeded),
        ("modelStreamErrorException", "Lost.", ProviderError),
        ("internalServerException", "Lost.", ProviderError),
        ("serviceUnavailableException", "Lost.", ProviderError),
        ("somethingNewException", "Lost.", ProviderStreamBroken),
    ],
)
async def test_an_exception_ends_a_stream_as_what_it_says(
    bench: Bench, exception: str, message: str, means: type[LlamaStackError]
) -> None:
    wire = ConverseWire(inject=(3, {"exception": exception, "message": message}))
    bench.up.always(conversed("one two", wire=wire))
    with pytest.raises(LlamaStackError) as raised:
        await chunks_of(opened(bench), model=NOVA)
    assert type(raised.value) is means


# --- models that cannot stream


async def test_tools_where_they_do_not_stream(bench: Bench) -> None:
    """Llama 4 refuses tools in a stream: the answer is asked for whole, and sent as a stream."""
    bench.up.always(conversed(use("f", {"a": 1}, "t1")))
    provider = opened(bench)
    for _ in range(2):
        chunks = await chunks_of(provider, model=LLAMA, tools=TOOLS)
    made = [call for chunk in chunks for c in chunk.choices for call in c.delta.tool_calls or ()]
    assert json.loads("".join(call.function.arguments or "" for call in made if call.function)) == {"a": 1}
    assert chunks[-1].usage is not None
    assert [request.path.rpartition("/")[2] for request in bench.asked] == ["converse-stream", "converse", "converse"]


async def test_what_the_listing_says_of_a_model_is_heeded(bench: Bench) -> None:
    bench.up.always(
        Listed([model("ai21.jamba-1-5-mini-v1:0", responseStreamingSupported=False)]), on="/foundation-models"
    )
    bench.up.always(Listed([]), on="/inference-profiles")
    provider = opened(bench)
    await provider.list_models(SYSTEM_CALL)
    bench.up.requests.clear()
    chunks = await chunks_of(provider, model="ai21.jamba-1-5-mini-v1:0")
    assert "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices) == "Hello from Bedrock."
    assert [request.path.rpartition("/")[2] for request in bench.asked] == ["converse"]
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}
    with pytest.raises(UnsupportedParameter, match="no images"):
        await completed(provider, model="ai21.jamba-1-5-mini-v1:0", messages=[{"role": "user", "content": [image]}])


# --- which model, by which API


async def test_a_profile_of_the_accounts_own_is_looked_at_once(bench: Bench) -> None:
    stands_for = {
        "models": [{"modelArn": "arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-3-70b-instruct-v1:0"}]
    }
    bench.up.always(Wire().json(stands_for), on="a1b2")
    provider = opened(bench)
    for _ in range(2):
        await completed(provider, model=PROFILE)
    assert [request.path.rpartition("/")[2] for request in bench.asked] == ["a1b2", "converse", "converse"]
    with pytest.raises(UnsupportedParameter):
        await completed(provider, model=PROFILE, top_k=3)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(403, "Not you.", "AccessDeniedException"), None),
        (refusal(404, "Unknown.", "ResourceNotFoundException"), None),
        (refusal(429, "Slow down.", "ThrottlingException"), RateLimited),
        (refusal(500, "Lost.", "InternalServerException"), ProviderError),
    ],
)
async def test_a_profile_that_nobody_may_look_at_is_taken_to_be_claude(
    bench: Bench, answer: Answer, kind: type[LlamaStackError] | None
) -> None:
    bench.up.always(answer, on="a1b2")
    if kind is not None:
        with pytest.raises(kind):
            await completed(opened(bench), model=PROFILE)
        return
    provider = opened(bench)
    for _ in range(2):
        await completed(provider, model=PROFILE)
    assert [request.path.rpartition("/")[2] for request in bench.asked] == ["a1b2", "invoke", "invoke"]


async def test_profiles_are_what_their_models_are(bench: Bench) -> None:
    def profiles(request: Recorded) -> Answer:
        arn = "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0"
        own = {"inferenceProfileId": "a1b2", "inferenceProfileArn": PROFILE, "type": "APPLICATION"}
        return Wire().json({"inferenceProfileSummaries": [{**own, "models": [{"modelArn": arn}]}]})

    bench.up.always(
        Listed([model("amazon.titan-embed-text-v2:0", outputModalities=["EMBEDDING"])]), on="/foundation-models"
    )
    bench.up.always(profiles, on="/inference-profiles")
    found = await opened(bench).list_models(SYSTEM_CALL)
    assert found[1] == ProviderModel(PROFILE, ModelType.embedding, {"embedding_dimension": 1024})


async def test_messages_of_others_are_left_to_the_server(bench: Bench) -> None:
    from llama_stack_api.anthropic.messages import CreateMessageRequest

    asked = {"model": NOVA, "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
    with pytest.raises(NotImplementedByProvider):
        await opened(bench).anthropic_messages(CreateMessageRequest.model_validate(asked), Call())


async def test_tokens_are_counted_where_bedrock_counts(bench: Bench) -> None:
    provider = opened(bench)
    assert isinstance(provider, CountsTokens)
    assert await provider.count_chat_tokens(chat(model=CLAUDE), Call()) == 17
    assert "invokeModel" in bench.sent.body["input"]
    assert await opened(bench, converse_models=["*"]).count_chat_tokens(chat(model=CLAUDE, tools=TOOLS), Call()) == 17
    assert set(bench.sent.body["input"]["converse"]) == {"messages", "toolConfig"}
    with pytest.raises(NotImplementedByProvider):
        await provider.count_chat_tokens(chat(model=LLAMA), Call())


async def test_who_can_call_tools(bench: Bench) -> None:
    provider = opened(bench)
    assert isinstance(provider, TellsTools)
    names = (NOVA, LLAMA, "us.deepseek.r1-v1:0", "meta.llama3-8b-instruct-v1:0")
    assert [await provider.takes_tools(name, Call()) for name in names] == [True, True, False, False]


# --- embeddings and rerank


@pytest.mark.parametrize(
    ("name", "fields", "length", "calls"),
    [
        ("amazon.titan-embed-text-v1", {}, 1536, 3),
        ("amazon.titan-embed-text-v2:0", {"dimensions": 256, "normalize": True}, 256, 3),
        ("amazon.titan-embed-image-v1", {"dimensions": 384}, 384, 3),
        ("amazon.nova-2-multimodal-embeddings-v1:0", {"dimensions": 384, "embeddingPurpose": "CLUSTERING"}, 384, 3),
        ("cohere.embed-english-v3", {"truncate": "END"}, 1024, 1),
        ("us.cohere.embed-v4:0", {"dimensions": 512, "input_type": "search_query"}, 512, 1),
    ],
)
async def test_embeddings(bench: Bench, name: str, fields: dict[str, Any], length: int, calls: int) -> None:
    params = EmbeddingsRequest.model_validate({"model": name, "input": ["a", "b", "a"], **fields})
    reply = (await opened(bench).openai_embeddings(params, Call())).decode()
    assert [len(each.embedding) for each in reply.data] == [length] * 3
    assert reply.data[0].embedding == reply.data[2].embedding != reply.data[1].embedding
    assert (reply.usage.prompt_tokens, len(bench.asked)) == (9, calls)
    assert violations(bench) == []


async def test_many_texts_are_asked_about_in_turns(bench: Bench) -> None:
    texts = [f"text {number}" for number in range(200)]
    params = EmbeddingsRequest(model="cohere.embed-english-v3", input=texts)
    reply = (await opened(bench).openai_embeddings(params, Call())).decode()
    assert (len(reply.data), len(bench.asked)) == (200, 3)
    one = (await opened(bench).openai_embeddings(params.model_copy(update={"input": "text 150"}), Call())).decode()
    assert one.data[0].embedding == reply.data[150].embedding


@pytest.mark.parametrize(
    ("name", "fields", "kind"),
    [
        ("amazon.titan-embed-text-v1", {"dimensions": 256}, UnsupportedParameter),
        ("cohere.embed-english-v3", {"dimensions": 256}, UnsupportedParameter),
        ("cohere.embed-v4:0", {"input": [1, 2]}, InvalidRequest),
        (NOVA, {}, NotImplementedByProvider),
    ],
)
async def test_what_embedders_lack(
    bench: Bench, name: str, fields: dict[str, Any], kind: type[LlamaStackError]
) -> None:
    with pytest.raises(kind):
        await opened(bench).openai_embeddings(
            EmbeddingsRequest.model_validate({"model": name, "input": "a", **fields}), Call()
        )
    assert bench.up.requests == []


@pytest.mark.parametrize("name", ["cohere.rerank-v3-5:0", "amazon.rerank-v1:0"])
async def test_rerank(bench: Bench, name: str) -> None:
    params = RerankRequest.model_validate(
        {"model": name, "query": "a b", "items": ["c", "a b", "a"], "max_num_results": 2}
    )
    reply = await opened(bench).rerank(params, Call())
    assert [item.index for item in reply.data] == [1, 2]
    assert violations(bench) == []
