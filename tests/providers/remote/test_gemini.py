"""Google's models, at both addresses: what the shared suite does not ask."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from pydantic import SecretStr

from llama_stack_api.errors import (
    ContentFiltered,
    InvalidRequest,
    LlamaStackError,
    ModelNotFound,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderStreamBroken,
    RateLimited,
)
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.ports.inference import CountsTokens
from llama_stack_api.principal import SYSTEM_CALL, Call
from tests.providers.remote.bench import Bench, chat, chunks_of
from tests.providers.remote.case import TOOLS, Case
from tests.providers.remote.gemini_cases import GEMINIS
from tests.support.gemini_upstream import (
    Blocked,
    GeminiUpstream,
    GeminiWire,
    Pages,
    call,
    embedded,
    error_body,
    failure,
    says,
    thought,
)
from tests.support.upstream import Recorded

pytestmark = pytest.mark.anyio
both = pytest.mark.parametrize("case", GEMINIS, ids=lambda case: case.name)
gemini = pytest.mark.parametrize("case", GEMINIS[:1], ids=["gemini"])
vertexai = pytest.mark.parametrize("case", GEMINIS[1:], ids=["vertexai"])
ASKED: list[Any] = [{"role": "user", "content": "?"}]
CALLS = (thought("Both."), call("f", {"a": 1}, "c1"), call("f", {"a": 2}, "c2"))


def violations(bench: Bench) -> list[str]:
    assert isinstance(bench.up, GeminiUpstream)
    return bench.up.violations


def text_of(chunks: list[Any]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


@both
@pytest.mark.parametrize("kept", ["thinking_blocks", "extra_content", "both"])
async def test_signatures_go_out_and_come_back(bench: Bench, kept: str) -> None:
    """A turn of calls without them is refused; clients keep the one, the other, or both."""
    bench.up.always(says(*CALLS))
    provider = bench.open()
    reply = await provider.openai_chat_completion(chat(messages=ASKED, tools=TOOLS), Call())
    message = json.loads(reply.body)["choices"][0]["message"]
    assert message["reasoning_content"] == "Both."
    if kept == "extra_content":
        del message["thinking_blocks"]
    if kept == "thinking_blocks":
        for made in message["tool_calls"]:
            made.pop("extra_content", None)
    bench.up.always(says("3."))
    results = [{"role": "tool", "tool_call_id": name, "content": name} for name in ("c2", "c1")]
    await provider.openai_chat_completion(chat(messages=[*ASKED, message, *results], tools=TOOLS), Call())
    model, answered = bench.sent.body["contents"][1:]
    assert [part.get("thoughtSignature") for part in model["parts"]] == [says(*CALLS).signature, None]
    assert [part["functionResponse"]["id"] for part in answered["parts"]] == ["c1", "c2"]
    assert violations(bench) == []


@both
async def test_signatures_are_streamed(bench: Bench) -> None:
    bench.up.always(says(thought("Let me see."), "Ada."))
    chunks = [chunk.model_dump() for chunk in await chunks_of(bench.open())]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == "Let me see."
    (block,) = [block for delta in deltas for block in delta.get("thinking_blocks") or ()]
    signature = f"gemini:{says(thought('Let me see.'), 'Ada.').signature}"
    assert block == {"index": 0, "type": "thinking", "thinking": "Let me see.", "signature": signature}


@both
async def test_one_call_at_a_time_where_the_client_wants_no_more(bench: Bench) -> None:
    bench.up.always(says(*CALLS))
    once: dict[str, Any] = {"tools": TOOLS, "parallel_tool_calls": False}
    reply = await bench.open().openai_chat_completion(chat(**once), Call())
    (made,) = json.loads(reply.body)["choices"][0]["message"]["tool_calls"]
    assert made["id"] == "c1"
    chunks = await chunks_of(bench.open(), **once)
    assert [call.id for chunk in chunks for c in chunk.choices for call in c.delta.tool_calls or ()] == ["c1"]


@both
async def test_several_answers(bench: Bench) -> None:
    bench.up.always(says("one two"))
    chunks = await chunks_of(bench.open(), n=2)
    ends = [(c.index, c.finish_reason) for chunk in chunks for c in chunk.choices if c.finish_reason]
    assert ends == [(0, "stop"), (1, "stop")]
    reply = await bench.open().openai_chat_completion(chat(n=2), Call())
    assert [choice["message"]["content"] for choice in json.loads(reply.body)["choices"]] == ["one two"] * 2


@both
async def test_a_prompt_that_is_blocked(bench: Bench) -> None:
    bench.up.always(Blocked("PROHIBITED_CONTENT"))
    with pytest.raises(ContentFiltered, match="PROHIBITED_CONTENT"):
        await bench.open().openai_chat_completion(chat(), Call())
    with pytest.raises(ContentFiltered, match="PROHIBITED_CONTENT"):
        await chunks_of(bench.open())


@both
async def test_an_answer_that_is_cut_by_a_filter_is_an_answer(bench: Bench) -> None:
    bench.up.always(says("Once upon", finish_reason="SAFETY"))
    chunks = await chunks_of(bench.open())
    assert text_of(chunks) == "Once upon"
    assert [c.finish_reason for chunk in chunks for c in chunk.choices][-1] == "content_filter"


@both
async def test_a_call_that_the_model_wrote_wrong_is_an_error(bench: Bench) -> None:
    bench.up.always(says(finish_reason="MALFORMED_FUNCTION_CALL", members={"finishMessage": "f(a=)"}))
    with pytest.raises(ProviderError, match="MALFORMED_FUNCTION_CALL"):
        await bench.open().openai_chat_completion(chat(tools=TOOLS), Call())
    bench.up.always(says("I ", "call", finish_reason="MALFORMED_FUNCTION_CALL"))
    with pytest.raises(ProviderError, match="MALFORMED_FUNCTION_CALL"):
        await chunks_of(bench.open(), tools=TOOLS)


@both
async def test_limits_say_when_to_come_back(bench: Bench) -> None:
    bench.up.always(failure(429, "Quota exceeded.", retry_delay="31s"))
    with pytest.raises(RateLimited) as raised:
        await chunks_of(bench.open())
    assert (raised.value.retry_after_s, raised.value.message) == (31.0, "Provider 'mine': Quota exceeded.")


@both
async def test_a_bad_key_is_a_400_at_googles(bench: Bench) -> None:
    bench.up.always(failure(400, "API key not valid.", reason="API_KEY_INVALID"))
    with pytest.raises(ProviderRejectedCredentials, match="API_KEY_INVALID"):
        await bench.open().openai_chat_completion(chat(), Call())


@both
@pytest.mark.parametrize("listed", [False, True], ids=["bare", "listed"])
async def test_an_error_that_is_no_event(bench: Bench, listed: bool) -> None:
    """Within a stream, Google may answer with the JSON that it would have sent without one."""
    error: Any = error_body(503, "The model is overloaded.")
    said = says("one two three", wire=GeminiWire(end_after=2))(_request(bench))
    body = json.dumps([error] if listed else error, indent=2).replace("\n", "\r\n").encode()
    parts = [*said.parts, body]
    bench.up.always(type(said)(said.status, said.headers, parts))
    with pytest.raises(ProviderError, match="The model is overloaded") as raised:
        await chunks_of(bench.open())
    assert raised.value.upstream_status == 503


def _request(bench: Bench) -> Any:
    path = bench.case.paths["stream"]
    return Recorded("POST", path, {"alt": "sse"}, {}, b"", {"contents": []}, 0)


@both
async def test_a_stream_without_the_reason_of_its_end_is_broken(bench: Bench) -> None:
    bench.up.always(says("one two", finish_reason=""))
    with pytest.raises(ProviderStreamBroken, match="before the answer was complete"):
        await chunks_of(bench.open())


@both
async def test_a_body_without_candidates_is_an_error(bench: Bench) -> None:
    for body in (b"[]", b"{}", b'{"candidates": []}', b'{"candidates": "x"}', b"oops"):
        bench.up.always(GeminiWire().body(body, "application/json"))
        with pytest.raises(ProviderError, match="no candidates"):
            await bench.open().openai_chat_completion(chat(), Call())


@both
async def test_tokens_are_counted(bench: Bench) -> None:
    provider = bench.open()
    assert isinstance(provider, CountsTokens)
    fields = {"tools": TOOLS, "tool_choice": "required", "temperature": 0.5}
    system = [{"role": "system", "content": "Be brief."}, *ASKED]
    assert await provider.count_chat_tokens(chat(messages=system, **fields), Call()) == 17
    assert bench.sent.path.endswith("/m-1:countTokens")
    assert violations(bench) == []


@both
@pytest.mark.parametrize("name", ["../x", "a/../../b", "a b", "a?b", "a%2Fb", "", "x" * 513])
async def test_a_name_that_would_lead_elsewhere_is_no_model(bench: Bench, name: str) -> None:
    with pytest.raises(ModelNotFound):
        await bench.open().openai_chat_completion(chat(model=name), Call())
    assert bench.asked == []


@both
async def test_vectors_of_a_length(bench: Bench) -> None:
    provider = bench.open()
    fields = {"model": "gemini-embedding-001", "input": [f"t{at}" for at in range(130)], "dimensions": 4}
    own = {"task_type": "RETRIEVAL_DOCUMENT", "title": "T"}
    reply = (await provider.openai_embeddings(EmbeddingsRequest.model_validate({**fields, **own}), Call())).decode()
    assert [len(item.embedding) for item in reply.data] == [4] * 130
    assert all(math.isclose(math.hypot(*item.embedding), 1) for item in reply.data)
    assert reply.usage.prompt_tokens == 390
    alone = EmbeddingsRequest.model_validate({**fields, "input": "t129"})
    assert (await provider.openai_embeddings(alone, Call())).decode().data[0].embedding == reply.data[129].embedding
    assert all(b"RETRIEVAL_DOCUMENT" in request.raw and b'"T"' in request.raw for request in bench.asked[:-1])
    assert len(bench.asked) == (3 if bench.case.name == "gemini" else 131)


@both
async def test_fewer_vectors_than_texts_are_an_error(bench: Bench) -> None:
    bodies: tuple[Any, ...] = ({"embeddings": [], "predictions": []}, [], {"embeddings": [{"values": []}]})
    for body in bodies:
        bench.up.always(GeminiWire().json(body))
        with pytest.raises(ProviderError):
            await bench.open().openai_embeddings(EmbeddingsRequest(model="e-1", input="a"), Call())


# The Gemini API


@gemini
async def test_models_under_former_names_and_tuned_ones(bench: Bench) -> None:
    bench.up.always(says("ok"))
    provider = bench.open(base_url=f"{bench.up.url}/v1beta/openai/")
    for name, path in (("models/m-1", "/v1beta/models/m-1"), ("tunedModels/t-1", "/v1beta/tunedModels/t-1")):
        await provider.openai_chat_completion(chat(model=name), Call())
        assert bench.sent.path == f"{path}:generateContent"


@gemini
async def test_a_token_in_the_place_of_a_key(bench: Bench) -> None:
    bench.up.always(says("ok"))
    provider = bench.open(api_key=None, access_token="ya29.configured", project="p-9")
    await provider.openai_chat_completion(chat(), Call())
    headers = bench.sent.headers
    assert (headers["authorization"], headers["x-goog-user-project"]) == ("Bearer ya29.configured", "p-9")
    assert "x-goog-api-key" not in headers

    said = {"gemini_access_token": SecretStr("ya29.own"), "gemini_project": SecretStr("p-7")}
    await provider.openai_chat_completion(chat(), Call(provider_data=said))
    headers = bench.sent.headers
    assert (headers["authorization"], headers["x-goog-user-project"]) == ("Bearer ya29.own", "p-7")

    await provider.openai_chat_completion(chat(), Call(provider_data={"gemini_api_key": SecretStr("k")}))
    assert bench.sent.headers["x-goog-api-key"] == "k"
    assert "authorization" not in bench.sent.headers

    bench.up.always(failure(400, "Token ya29.configured is bad."))
    with pytest.raises(InvalidRequest, match=r"Token \*\*\* is bad"):
        await provider.openai_chat_completion(chat(), Call())


@gemini
async def test_a_list_without_end_is_an_error(bench: Bench) -> None:
    entries = [{"name": f"models/m-{at}", "supportedGenerationMethods": ["generateContent"]} for at in range(60)]
    bench.up.always(Pages("models", entries, size_max=3), on="/models")
    assert len(await bench.open().list_models(SYSTEM_CALL)) == 60
    bench.up.always(Pages("models", entries, size_max=2), on="/models")
    with pytest.raises(ProviderError, match="more than 20 pages"):
        await bench.open().list_models(SYSTEM_CALL)


# Vertex AI


@vertexai
async def test_where_a_request_goes(bench: Bench) -> None:
    bench.up.always(says("ok"))
    provider = bench.open(location="europe-west4")
    root = "/v1beta1/projects/p-1/locations/europe-west4"
    for name, path in (
        ("m-1", "publishers/google/models/m-1"),
        ("google/m-1", "publishers/google/models/m-1"),
        ("publishers/google/models/m-1", "publishers/google/models/m-1"),
        ("endpoints/123", "endpoints/123"),
    ):
        await provider.openai_chat_completion(chat(model=name), Call())
        assert bench.sent.path == f"{root}/{path}:generateContent"
    said = {"vertex_project": SecretStr("p-2"), "vertex_location": SecretStr("us-east1")}
    await provider.openai_chat_completion(chat(), Call(provider_data=said))
    assert bench.sent.path.startswith("/v1beta1/projects/p-2/locations/us-east1/publishers/")
    for key, value in (("vertex_location", "evil.example/"), ("vertex_project", "../x")):
        with pytest.raises(InvalidRequest) as refused:
            await provider.openai_chat_completion(chat(), Call(provider_data={key: SecretStr(value)}))
        assert refused.value.param == key


@vertexai
@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
async def test_public_addresses(bench: Bench, case: Case, location: str, host: str) -> None:
    provider = bench.open(base_url="", location=location)
    url = await provider.model_url("m", "generateContent", Call())
    assert url == f"https://{host}/v1beta1/projects/p-1/locations/{location}/publishers/google/models/m:generateContent"


@vertexai
async def test_a_token_is_sent_and_the_project_is_in_the_address(bench: Bench) -> None:
    bench.up.always(says("ok"))
    provider = bench.open(api_key=None, access_token="ya29.configured")
    await provider.openai_chat_completion(chat(), Call())
    assert bench.sent.headers["authorization"] == "Bearer ya29.configured"
    assert "x-goog-user-project" not in bench.sent.headers
    said = {"vertex_access_token": SecretStr("ya29.own")}
    await provider.openai_chat_completion(chat(), Call(provider_data=said))
    assert bench.sent.headers["authorization"] == "Bearer ya29.own"


@vertexai
async def test_without_a_project(bench: Bench) -> None:
    with pytest.raises(InvalidRequest, match="vertex_project"):
        await bench.open(project=None).openai_chat_completion(chat(), Call())


@vertexai
async def test_the_second_generation_embeds_by_another_method(bench: Bench) -> None:
    bench.up.always(embedded)
    params = EmbeddingsRequest.model_validate({"model": "gemini-embedding-2-preview", "input": ["a", "b"]})
    reply = (await bench.open().openai_embeddings(params, Call())).decode()
    assert len(reply.data) == 2
    assert {request.path.rpartition(":")[2] for request in bench.asked} == {"embedContent"}


@vertexai
async def test_a_failure_among_many_requests_is_what_is_raised(bench: Bench) -> None:
    bench.up.always(failure(429, "Quota exceeded.", retry_delay="3s"))
    params = EmbeddingsRequest.model_validate({"model": "gemini-embedding-001", "input": ["a", "b", "c"]})
    with pytest.raises(LlamaStackError) as raised:
        await bench.open().openai_embeddings(params, Call())
    assert (type(raised.value), raised.value.retry_after_s) == (RateLimited, 3.0)
