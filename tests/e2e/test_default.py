"""`llama stack run` and nothing else: the embedded model and embedder through the real `openai` package."""

from __future__ import annotations

import asyncio
import base64
import math
import struct

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.e2e.conftest import CHAT_MODEL, EMBEDDING_MODEL, HELLO
from tests.support.running import RunningServer


def test_models_are_listed_and_found(client: OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert {CHAT_MODEL, EMBEDDING_MODEL} <= set(listed)
    found = client.models.retrieve(CHAT_MODEL)
    assert (found.id, found.object) == (CHAT_MODEL, "model")


def test_chat_gives_real_words_and_counts_them(client: OpenAI) -> None:
    reply = client.chat.completions.create(model=CHAT_MODEL, messages=HELLO, max_tokens=20, temperature=0)
    assert isinstance(reply, ChatCompletion)
    ChatCompletion.model_validate(reply.model_dump(), strict=False)
    assert reply.choices[0].message.role == "assistant"
    assert (reply.choices[0].message.content or "").strip()
    assert reply.choices[0].finish_reason in ("stop", "length")
    assert reply.usage is not None
    assert 0 < reply.usage.completion_tokens <= 20
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_a_stream_says_the_same_as_the_whole_reply(client: OpenAI) -> None:
    options = {"model": CHAT_MODEL, "messages": HELLO, "max_tokens": 16, "temperature": 0, "seed": 1}
    whole = client.chat.completions.create(**options)  # type: ignore[call-overload]
    chunks: list[ChatCompletionChunk] = list(
        client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True})  # type: ignore[call-overload]
    )
    assert len(chunks) > 3
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == [
        whole.choices[0].finish_reason
    ]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert {chunk.model for chunk in chunks} == {CHAT_MODEL}


def test_completions(client: OpenAI) -> None:
    reply = client.completions.create(model=CHAT_MODEL, prompt="The capital of France is", max_tokens=8, temperature=0)
    assert reply.object == "text_completion"
    assert reply.choices[0].text.strip()


def test_embeddings_as_floats_and_as_base64(client: OpenAI) -> None:
    texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "Interest rates rose again."]
    reply = client.embeddings.create(model=EMBEDDING_MODEL, input=texts, encoding_format="float")
    cat, kitten, rates = (item.embedding for item in reply.data)
    assert len(cat) == 384
    assert cosine(cat, kitten) > cosine(cat, rates) + 0.2
    raw = client.embeddings.with_raw_response.create(model=EMBEDDING_MODEL, input=texts[0], encoding_format="base64")
    encoded = raw.http_response.json()["data"][0]["embedding"]
    decoded = struct.unpack(f"<{len(cat)}f", base64.b64decode(encoded))
    assert max(abs(one - other) for one, other in zip(decoded, cat, strict=True)) < 1e-3


def cosine(one: list[float], other: list[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


@pytest.mark.anyio
async def test_several_clients_are_answered_at_once(async_client: AsyncOpenAI) -> None:
    async def ask(word: str) -> str:
        stream = await async_client.chat.completions.create(
            model=CHAT_MODEL, messages=[{"role": "user", "content": f"Repeat: {word}"}], max_tokens=8, stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    answers = await asyncio.gather(*(ask(word) for word in ("one", "two", "three")))
    assert all(answer.strip() for answer in answers)


def test_a_stored_chat_can_be_read_back(client: OpenAI) -> None:
    made = client.chat.completions.create(
        model=CHAT_MODEL,
        messages=HELLO,
        max_tokens=4,
        store=True,
        metadata={"kind": "e2e"},
    )
    found = client.chat.completions.retrieve(made.id)
    assert found.choices[0].message.content == made.choices[0].message.content
    assert made.id in [each.id for each in client.chat.completions.list(metadata={"kind": "e2e"})]
    assert [message.content for message in client.chat.completions.messages.list(made.id)] == ["Say hello."]
    assert client.chat.completions.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(made.id)


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="llama-cpp/nothing", messages=HELLO)
    assert caught.value.code == "model_not_found"
    assert "llama-cpp/nothing" in caught.value.message


def test_a_bad_request_names_the_parameter(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=CHAT_MODEL, messages=HELLO, temperature="hot")  # type: ignore[call-overload]
    assert caught.value.param == "temperature"
    assert caught.value.type == "invalid_request_error"


def test_a_chat_with_an_embedding_model_is_a_bad_request(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="all-minilm-l6-v2"):
        client.chat.completions.create(model=EMBEDDING_MODEL, messages=HELLO)


def test_routes_for_people_and_machines(default_server: RunningServer) -> None:
    with httpx.Client(base_url=default_server.url) as http:
        assert http.get("/v1/health").json() == {"status": "OK"}
        assert "version" in http.get("/v1/version").json()
        assert {p["provider_id"] for p in http.get("/v1/providers").json()["data"]} >= {"llama-cpp", "minilm"}
        assert http.get("/docs").status_code == 200
        assert "/v1/chat/completions" in http.get("/openapi.json").json()["paths"]
        assert "llama_stack_requests_total" in http.get("/metrics").text
        lost = http.get("/v1/nowhere")
        assert lost.status_code == 404
        assert lost.json()["error"]["type"] == "invalid_request_error"


def test_headers_beyond_the_limit_are_refused(default_server: RunningServer) -> None:
    with httpx.Client(base_url=default_server.url) as http:
        refused = http.get("/v1/health", headers={"x-large": "x" * 100_000})
    assert refused.status_code == 431
    assert "server.limits.header_bytes_max" in refused.json()["error"]["message"]
