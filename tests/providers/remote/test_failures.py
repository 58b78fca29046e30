"""Every remote provider: what becomes of an upstream that refuses, fails, stalls, breaks off or talks rubbish."""

from __future__ import annotations

import asyncio
import email.utils
import json
import logging
import time
from typing import Any

import pytest
from pydantic import SecretStr

from llama_stack.dialects.openai.reply import relay_reply
from llama_stack_api.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    LlamaStackError,
    ModelNotFound,
    PayloadTooLarge,
    PermissionDenied,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderStreamBroken,
    ProviderTimeout,
    ProviderUnreachable,
    RateLimited,
)
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.principal import SYSTEM_CALL, Call
from llama_stack_api.wire import EncodedStream
from tests.providers.remote.bench import Bench, chat, chunks_of, relayed, with_port
from tests.providers.remote.case import KEY, Case
from tests.providers.remote.cases import CASES
from tests.support.upstream import Answer, Reply, context_too_long, embeddings, error, rate_limited, text

pytestmark = pytest.mark.anyio
every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
by_key = pytest.mark.parametrize("case", [case for case in CASES if not case.signs], ids=lambda case: case.name)


async def ask(provider: Any, case: Case, call: Call | None = None) -> Any:
    """The provider's first operation: chat, or embeddings where it has none."""
    if "chat" in case.paths:
        return await provider.openai_chat_completion(chat(), call or Call())
    return await provider.openai_embeddings(EmbeddingsRequest(model="e-1", input="a"), call or Call())


async def failure(bench: Bench, reply: Reply, **config: Any) -> LlamaStackError:
    bench.up.always(reply, on=bench.case.paths.get("chat", bench.case.paths.get("embeddings", "")))
    with pytest.raises(LlamaStackError) as raised:
        await ask(bench.open(**config), bench.case)
    return raised.value


REFUSALS: list[tuple[int, type[LlamaStackError]]] = [
    (400, InvalidRequest),
    (401, ProviderRejectedCredentials),
    (403, ProviderRejectedCredentials),
    (404, ModelNotFound),
    (413, PayloadTooLarge),
    (422, InvalidRequest),
    (500, ProviderError),
    (503, ProviderError),
    (504, ProviderTimeout),
    (529, ProviderError),
]


@every
@pytest.mark.parametrize(("status", "kind"), REFUSALS, ids=lambda value: str(value) if isinstance(value, int) else "")
async def test_status_decides_the_error(bench: Bench, status: int, kind: type[LlamaStackError]) -> None:
    raised = await failure(bench, error(status, "The llama is asleep.", shape=bench.case.error_shape))
    assert type(raised) is kind
    assert raised.message.startswith("Provider 'mine'")
    if kind is not ProviderRejectedCredentials:
        assert "The llama is asleep." in raised.message
    if isinstance(raised, ProviderError):
        assert raised.upstream_status == status
    if kind is ModelNotFound:
        assert raised.param == "model"


@every
async def test_rate_limits_say_when_to_come_back(bench: Bench) -> None:
    shape = bench.case.error_shape
    raised = await failure(bench, rate_limited("7", shape=shape))
    assert (type(raised), raised.retry_after_s) == (RateLimited, 7.0)
    raised = await failure(bench, rate_limited(email.utils.formatdate(time.time() + 60, usegmt=True), shape=shape))
    assert raised.retry_after_s is not None
    assert 55 < raised.retry_after_s <= 60
    raised = await failure(bench, rate_limited(None, shape=shape))
    assert (type(raised), raised.retry_after_s) == (RateLimited, None)
    raised = await failure(bench, error(503, shape=shape, headers={"retry-after": "2"}))
    assert raised.retry_after_s == 2.0


@every
async def test_too_long_a_context_is_told_from_other_mistakes(bench: Bench) -> None:
    raised = await failure(bench, context_too_long(shape=bench.case.error_shape))
    assert type(raised) is ContextLengthExceeded
    assert raised.code == "context_length_exceeded"


@with_port("chat")
@pytest.mark.parametrize("shape", ["html", "empty", "text", "fastapi", "detail", "string"])
async def test_any_body_of_an_error_is_understood(bench: Bench, shape: str) -> None:
    raised = await failure(bench, error(502, "Bad gateway at 10.0.0.3", shape=shape))
    assert type(raised) is ProviderError
    assert raised.upstream_status == 502
    assert "<" not in raised.message
    if shape in ("html", "empty"):
        assert raised.message == "Provider 'mine': HTTP 502"


@every
async def test_an_upstream_that_is_not_there(bench: Bench) -> None:
    provider = bench.open(base_url="http://127.0.0.1:1", iam_url="http://127.0.0.1:1/token", allow_client_url=True)
    with pytest.raises(ProviderUnreachable):
        await ask(provider, bench.case)
    health = await provider.health()
    assert health.status == "Error"
    assert "could not be reached" in (health.message or "")


@every
async def test_a_redirect_is_an_error_and_not_followed(bench: Bench) -> None:
    for status in (301, 307):
        raised = await failure(bench, Answer(status, {"Location": f"{bench.up.url}/elsewhere"}))
        assert isinstance(raised, ProviderError)
        assert raised.upstream_status == status
        assert f"redirect (HTTP {status})" in raised.message
    assert all(request.path != "/elsewhere" for request in bench.up.requests)


@every
async def test_configured_headers_never_show(bench: Bench) -> None:
    network = {"headers": {"X-Gateway": "gw-secret-1234"}}
    reply = error(400, "Your gateway token gw-secret-1234 is bad.", shape=bench.case.error_shape)
    raised = await failure(bench, reply, network=network)
    assert "Your gateway token *** is bad." in raised.message
    assert bench.up.last.headers["x-gateway"] == "gw-secret-1234"


@by_key
async def test_keys_never_show(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    # What each call carries to the API, and what the upstream repeats: the key, or the token that it was exchanged for.
    exchanged = bench.case.name == "watsonx"
    own = "iam-token-1" if exchanged else "sk-of-the-client-77"
    configured = "iam-token-1" if exchanged else KEY
    call = Call(provider_data={bench.case.data_key: SecretStr("sk-of-the-client-77")})
    provider = bench.open()
    shown = [repr(provider), repr(provider.config), provider.config.model_dump_json(), repr(call)]
    for status in (400, 401, 500):
        raised = await failure(bench, error(status, f"Your key {configured} is bad.", shape=bench.case.error_shape))
        shown += [raised.message, repr(raised)]
        bench.up.always(error(status, f"Your key {own} is bad.", shape=bench.case.error_shape), on=bench.sent.path)
        with pytest.raises(LlamaStackError) as refused:
            await ask(provider, bench.case, call)
        shown += [refused.value.message, repr(refused.value)]
    shown.append(caplog.text)
    assert "Your key *** is bad." in "".join(shown)
    for secret in (KEY, "sk-of-the-client-77", "iam-token-1"):
        assert [text for text in shown if secret in text] == []


@by_key
async def test_key_of_the_request_takes_the_place_of_the_configured_one(bench: Bench) -> None:
    bench.says(text("ok"))
    bench.up.always(embeddings(), on="/embeddings")
    call = Call(provider_data={bench.case.data_key: SecretStr(" sk-of-the-client\n")})
    await ask(bench.open(), bench.case, call)
    if bench.case.name == "watsonx":
        exchanged = next(request for request in bench.up.requests if request.path == "/identity/token")
        assert b"apikey=sk-of-the-client" in exchanged.raw
    else:
        assert bench.sent.headers[bench.case.key_header] == bench.case.key_prefix + "sk-of-the-client"
    assert all(KEY not in str(request.headers) + request.raw.decode() for request in bench.up.requests)

    broken = Call(provider_data={bench.case.data_key: SecretStr("sk\r\nX-Admin: yes")})
    with pytest.raises(InvalidRequest) as refused:
        await ask(bench.open(), bench.case, broken)
    assert "X-Admin" not in refused.value.message


@by_key
async def test_without_a_key(bench: Bench) -> None:
    bench.says(text("ok"))
    bench.up.always(embeddings(), on="/embeddings")
    provider = bench.open(api_key=None)
    if not bench.case.key_needed:
        await ask(provider, bench.case)
        assert bench.case.key_header not in bench.sent.headers
        return
    with pytest.raises(ProviderRejectedCredentials) as raised:
        await ask(provider, bench.case)
    assert raised.value.code == "upstream_key_missing"
    assert bench.case.data_key in raised.value.message
    assert (await provider.health()).status == "Error"
    assert bench.up.requests == []


@every
async def test_address_of_the_request_is_taken_only_where_allowed(bench: Bench) -> None:
    key = next((key for key, field in bench.descriptor.data_keys.items() if field == "base_url"), None)
    if key is None:
        return  # no request can name another address
    bench.says(text("ok"))
    bench.up.always(embeddings(), on="/embeddings")
    elsewhere = Call(provider_data={key: SecretStr(bench.up.url)})
    with pytest.raises(PermissionDenied) as refused:
        await ask(bench.open(base_url="http://127.0.0.1:1"), bench.case, elsewhere)
    assert "allow_client_url" in refused.value.message
    assert bench.up.requests == []

    await ask(bench.open(base_url="http://127.0.0.1:1", allow_client_url=True), bench.case, elsewhere)
    assert bench.case.key_header not in bench.sent.headers, "the configured key went to the client's address"


# Streams


QUICK = {"network": {"timeout": {"connect": 2.0, "read": 0.2}}}


@with_port("chat")
async def test_a_head_that_never_comes_is_a_timeout(bench: Bench) -> None:
    bench.says(text("x"), stall_head=True)
    with pytest.raises(ProviderTimeout):
        await bench.open(**QUICK).openai_chat_completion(chat(), Call())
    await (await bench.arrived()).wait_hung_up()


@with_port("chat")
async def test_a_stalled_stream_is_a_timeout(bench: Bench) -> None:
    bench.says(text("one two three"), stall_after=2)
    with pytest.raises(ProviderTimeout):
        await chunks_of(bench.open(**QUICK))
    await (await bench.arrived()).wait_hung_up()


BREAKS: dict[str, dict[str, Any]] = {
    "cut between events": {"cut_after": 3},
    "cut in an event": {"cut_after": 2, "cut_in_event": True},
    "ended early": {"end_after": 3, "done": False},
    "not JSON": {"inject": (2, "{oops")},
    "HTML": {"inject": (2, "<html>Bad gateway</html>")},
    "not a chunk": {"inject": (2, "[1, 2]")},
}


@with_port("chat")
@pytest.mark.parametrize("habit", BREAKS.values(), ids=BREAKS)
async def test_a_broken_stream_never_looks_complete(bench: Bench, habit: dict[str, Any]) -> None:
    bench.says(text("one two three four"), **habit)
    with pytest.raises(ProviderStreamBroken):
        await chunks_of(bench.open())


@with_port("chat")
async def test_an_error_event_ends_the_stream_as_what_it_says(bench: Bench) -> None:
    limited = {"error": {"message": "Too many.", "code": 429, "type": "rate_limit"}}
    bench.says(text("one two three"), inject=(2, limited))
    with pytest.raises(RateLimited):
        await chunks_of(bench.open())
    bench.says(text("one two three"), inject=(2, {"error": {"message": "GPU lost", "type": "server_error"}}))
    with pytest.raises(ProviderError, match="GPU lost"):
        await chunks_of(bench.open())


@with_port("chat")
async def test_a_finished_stream_without_done_is_complete(bench: Bench) -> None:
    bench.says(text("one two"), done=False)
    chunks = await chunks_of(bench.open())
    assert "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices) == "one two"


@with_port("chat")
async def test_an_error_in_the_place_of_a_stream(bench: Bench) -> None:
    bench.up.always(error(200, "No capacity left.", shape=bench.case.error_shape))
    with pytest.raises(LlamaStackError) as raised:
        await relayed(await bench.open().openai_chat_completion(chat(stream=True), Call()))
    assert raised.value.status >= 400


@with_port("chat")
async def test_a_large_event_passes(bench: Bench) -> None:
    pieces = ["a" * 3_000_000, "ß" * 10]
    bench.says(text("", pieces=pieces))
    chunks = await chunks_of(bench.open())
    assert "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices) == "".join(pieces)


@with_port("chat")
async def test_hanging_up_reaches_the_upstream_at_once(bench: Bench) -> None:
    bench.says(text("one two three"), stall_after=2)
    stream = await bench.open().openai_chat_completion(chat(stream=True), Call())
    async for _ in stream:
        break
    started = time.monotonic()
    await stream.aclose()
    await bench.sent.wait_hung_up()
    assert time.monotonic() - started < 1.0


@with_port("chat")
async def test_a_cancelled_request_reaches_the_upstream_at_once(bench: Bench) -> None:
    provider = bench.open()
    bench.says(text("x"), stall_head=True)
    task = asyncio.create_task(provider.openai_chat_completion(chat(), Call()))
    while not bench.asked:
        await asyncio.sleep(0.002)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await bench.sent.wait_hung_up()


@with_port("chat")
async def test_connections_are_used_again(bench: Bench) -> None:
    before = bench.up.connections
    provider = bench.open()
    for _ in range(4):
        bench.says(text("one two"))
        await chunks_of(provider)
        await provider.openai_chat_completion(chat(), Call())
    assert bench.up.connections - before == 1


async def whole(provider: Any, params: Any) -> bytes:
    reply = await provider.openai_chat_completion(params, Call())
    if isinstance(reply, EncodedStream):
        return await relayed(reply)
    return relay_reply(reply.body, provider="mine", model="m")[0]


@with_port("chat")
async def test_a_key_in_an_error_that_came_as_a_success_never_shows(bench: Bench) -> None:
    said = json.dumps({"error": {"message": f"Your key {KEY} is bad."}}).encode()
    for stream, kind in ((False, "chat"), (True, "stream")):
        bench.up.always(Answer(200, {"Content-Type": "application/json"}, [said]), on=bench.case.paths[kind])
        with pytest.raises(LlamaStackError) as raised:
            await whole(bench.open(), chat(stream=stream))
        if bench.case.name != "watsonx" and not bench.case.signs:  # which send a token or a signature, never the key
            assert "***" in raised.value.message
            assert KEY not in raised.value.message


LISTS_IN_OPENAIS_WAY = ("openai", "vllm", "groq", "together", "passthrough", "azure")


@pytest.mark.parametrize("case", [case for case in CASES if case.name in LISTS_IN_OPENAIS_WAY], ids=lambda c: c.name)
async def test_a_listing_without_a_list_is_an_error_and_an_empty_one_is_not(bench: Bench) -> None:
    def listed(value: Any) -> Answer:
        return Answer(200, {"Content-Type": "application/json"}, [json.dumps(value).encode()])

    for rubbish in ({}, {"error": "busy"}, {"data": "x"}, {"data": {"id": "m"}}, "x", 5, None):
        bench.up.always(listed(rubbish), on="/models")
        with pytest.raises(ProviderError, match="not a list of models"):
            await bench.open().list_models(SYSTEM_CALL)
    nothing: tuple[Any, ...] = ({"object": "list", "data": None}, {"data": []})
    for empty in (*nothing, {"data": [{"id": ""}, {"id": "x" * 513}, {}, 7]}):
        bench.up.always(listed(empty), on="/models")
        assert await bench.open().list_models(SYSTEM_CALL) == []


@every
async def test_a_listing_that_is_rubbish_is_an_error(bench: Bench) -> None:
    for path in bench.case.listing.replies:
        bench.up.always(error(200, "It works!", shape="html"), on=path)
    with pytest.raises(ProviderError):
        await bench.open().list_models(SYSTEM_CALL)
    for path in bench.case.listing.replies:
        bench.up.always(error(503, "later", shape=bench.case.error_shape), on=path)
    with pytest.raises(ProviderError) as raised:
        await bench.open().list_models(SYSTEM_CALL)
    assert raised.value.upstream_status == 503
