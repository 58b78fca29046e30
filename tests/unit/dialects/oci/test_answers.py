"""Answers of Oracle's chat API, whole and streamed: both say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from llama_stack.dialects.oci.chunks import OciChunks
from llama_stack.dialects.oci.errors import error_of_event, error_of_reply
from llama_stack.dialects.oci.formats import ApiFormat
from llama_stack.dialects.oci.from_oci import completion_of
from llama_stack.dialects.oci.to_oci import oci_request
from llama_stack_api.errors import (
    ContentFiltered,
    ModelNotFound,
    ProviderError,
    ProviderRejectedCredentials,
    RateLimited,
)
from tests.providers.remote.oci_cases import as_chat
from tests.support import oci_upstream
from tests.support.upstream_replies import Say, Tool

ID = "chatcmpl-0123456789abcdef"
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
NAMES = st.sampled_from(["weather", "search", "f"])
VALUES = st.dictionaries(
    TEXTS, TEXTS | st.integers(-9, 9) | st.none() | st.lists(st.booleans(), max_size=2), max_size=3
)


def completion(answer: dict[str, Any]) -> dict[str, Any]:
    made = completion_of({"chatResponse": answer}, model="m", created=1, id=ID)
    ChatCompletion.model_validate(made)
    return made


def streamed(events: list[dict[str, Any]], api_format: ApiFormat) -> list[dict[str, Any]]:
    maker = OciChunks(model="m", created=1, id=ID, api_format=api_format, include_usage=True)
    chunks = [chunk for event in events for chunk in maker.feed(event)]
    assert maker.complete
    chunks += maker.finish()
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk)
    return chunks


def joined(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that the chunks add up to, with its reason and usage."""
    message: dict[str, Any] = {"content": "", "reasoning_content": "", "tool_calls": []}
    reason = None
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        delta = choice["delta"]
        for name in ("content", "reasoning_content"):
            message[name] += delta.get(name) or ""
        for piece in delta.get("tool_calls", ()):
            if piece["index"] == len(message["tool_calls"]):
                message["tool_calls"].append({**piece, "function": {**piece["function"]}})
            else:
                message["tool_calls"][piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
        reason = choice["finish_reason"] or reason
    return {**message, "finish_reason": reason, "usage": chunks[-1]["usage"]}


@st.composite
def sayings(draw: st.DrawFn) -> Say:
    tools = draw(st.lists(st.tuples(NAMES, VALUES), max_size=3))
    pieces = draw(st.lists(TEXTS, max_size=4))
    return Say(
        content="".join(pieces),
        pieces=pieces,
        reasoning=draw(st.none() | TEXTS),
        tools=tuple(Tool(name, json.dumps(arguments), f"call_{at}") for at, (name, arguments) in enumerate(tools)),
    )


@pytest.mark.parametrize("api_format", list(ApiFormat))
@pytest.mark.parametrize("pieces_have_ids", [True, False])
@settings(max_examples=40, deadline=None)
@given(say=sayings())
def test_a_stream_says_what_the_whole_answer_says(api_format: ApiFormat, pieces_have_ids: bool, say: Say) -> None:
    whole = completion(oci_upstream._answer(say, api_format))
    message = whole["choices"][0]["message"]
    added = joined(streamed(list(oci_upstream._events(say, api_format, pieces_have_ids)), api_format))
    assert added["content"] == (message["content"] or "")
    calls = [
        {**call, "function": {**call["function"], "arguments": json.loads(call["function"]["arguments"])}}
        for call in message.get("tool_calls", ())
    ]
    for call in added["tool_calls"]:
        assert call.pop("index") >= 0
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    assert added["tool_calls"] == calls
    assert len({call["id"] for call in calls}) == len(calls)
    assert added["finish_reason"] == whole["choices"][0]["finish_reason"] == ("tool_calls" if say.tools else "stop")
    assert added["usage"] == whole["usage"]
    if api_format is not ApiFormat.COHERE:  # whose models tell no thoughts
        assert added["reasoning_content"] == (message.get("reasoning_content") or "")


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """What every format can hold."""
    words = TEXTS.filter(str.strip).map(str.strip)
    messages: list[dict[str, Any]] = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(words)})
    count = 0
    for _ in range(draw(st.integers(1, 3))):
        messages.append({"role": "user", "content": draw(words)})
        calls = draw(st.lists(st.tuples(NAMES, VALUES), max_size=2))
        if calls:
            made = [
                {"id": f"c{count + at}", "type": "function", "function": {"name": name, "arguments": json.dumps(value)}}
                for at, (name, value) in enumerate(calls, 1)
            ]
            count += len(calls)
            messages.append({"role": "assistant", "content": draw(words | st.none()), "tool_calls": made})
            messages += [{"role": "tool", "tool_call_id": call["id"], "content": draw(TEXTS)} for call in made]
        messages.append({"role": "assistant", "content": draw(words)})
    ends_with_results = messages[-2]["role"] == "tool" and draw(st.booleans())
    return messages[:-1] if ends_with_results else [*messages, {"role": "user", "content": draw(words)}]


@pytest.mark.parametrize("api_format", list(ApiFormat))
@settings(max_examples=40, deadline=None)
@given(messages=conversations())
def test_a_conversation_there_and_back_is_the_same(api_format: ApiFormat, messages: list[dict[str, Any]]) -> None:
    request = oci_request({"model": "m", "messages": messages, "temperature": 0.5}, api_format=api_format)
    back = as_chat({"chatRequest": request, "servingMode": {"modelId": "m"}})
    assert back == {"model": "m", "messages": messages, "temperature": 0.5}


def test_pieces_of_a_call_that_have_ids_of_their_own_are_one_call() -> None:
    """As gpt-oss on Oracle streams: only the first piece has the name."""

    def piece(call_id: str, name: str, arguments: str) -> dict[str, Any]:
        call = {"type": "FUNCTION", "id": call_id, "name": name, "arguments": arguments}
        return {"index": 0, "message": {"role": "ASSISTANT", "toolCalls": [call]}}

    events = [piece("call_9", "look", ""), piece("cc06", "", '{"id":'), piece("9276", "", "103}")]
    added = joined(streamed([*events, {"finishReason": "tool_calls", "index": 0}], ApiFormat.GENERIC))
    (call,) = added["tool_calls"]
    assert (call["id"], call["function"]) == ("call_9", {"name": "look", "arguments": '{"id":103}'})


def test_calls_without_ids_are_given_some() -> None:
    call = {"type": "FUNCTION", "name": "look", "arguments": "{}"}
    made = completion({"choices": [{"index": 0, "message": {"toolCalls": [call, call]}, "finishReason": "STOP"}]})
    first, second = made["choices"][0]["message"]["tool_calls"]
    assert first["id"].startswith("call_")
    assert first["id"] != second["id"]
    assert len(first["id"]) <= 40


def test_the_last_event_of_coheres_is_not_said_twice() -> None:
    def text_of(*events: dict[str, Any]) -> str:
        return str(joined(streamed(list(events), ApiFormat.COHERE))["content"])

    end = {"finishReason": "COMPLETE", "chatHistory": []}
    assert text_of({"text": "Hel"}, {"text": "lo"}, {"text": "Hello", **end}) == "Hello"
    assert text_of({"text": "Hello", **end}) == "Hello"
    assert text_of({"text": "Hel"}, {"text": "Hello", **end}) == "Hello"


def test_several_choices_end_each_for_itself() -> None:
    maker = OciChunks(model="m", created=1, id=ID, api_format=ApiFormat.GENERIC, include_usage=False)
    for index in (0, 1):
        maker.feed({"index": index, "message": {"content": [{"type": "TEXT", "text": "x"}]}})
    maker.feed({"index": 1, "finishReason": "stop", "message": {}})
    before = maker.complete
    maker.feed({"index": 0, "finishReason": "length", "message": {}})
    assert (before, maker.complete) == (False, True)
    assert not maker.over, "the usage may still come"
    assert maker.feed({"usage": {"promptTokens": 1}}) == []
    assert maker.over


def test_logprobs() -> None:
    logprobs = {"tokens": ["Hi", "!"], "tokenLogprobs": [-0.1, -0.2], "topLogprobs": [{"Hi": -0.1, "Ho": -2.0}]}
    choice = {"index": 0, "message": {"content": [{"type": "TEXT", "text": "Hi!"}]}, "logprobs": logprobs}
    first, second = completion({"choices": [choice]})["choices"][0]["logprobs"]["content"]
    assert (first["token"], first["logprob"], first["bytes"]) == ("Hi", -0.1, [72, 105])
    assert [top["token"] for top in first["top_logprobs"]] == ["Hi", "Ho"]
    assert second["top_logprobs"] == []


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("COMPLETE", "stop"),
        ("stop", "stop"),
        ("MAX_TOKENS", "length"),
        ("ERROR_LIMIT", "length"),
        ("ERROR_TOXIC", "content_filter"),
        ("content_filter", "content_filter"),
        ("TOOL_CALL", "tool_calls"),
    ],
)
def test_finish_reasons(reason: str, expected: str) -> None:
    assert completion({"text": "x", "finishReason": reason})["choices"][0]["finish_reason"] == expected


def refused(status: int, code: str, message: str, **headers: str) -> Any:
    body = json.dumps({"code": code, "message": message}).encode()
    return error_of_reply(status, headers, body, "oci")


def test_errors_are_told_by_their_codes() -> None:
    missing = refused(404, "NotAuthorizedOrNotFound", "Authorization failed.", **{"opc-request-id": "A/B/C"})
    assert type(missing) is ModelNotFound
    assert "policies" in missing.message
    assert "(opc-request-id: A/B/C)" in missing.message
    limited = refused(400, "LimitExceeded", "The limit is reached.", **{"retry-after": "3"})
    assert (type(limited), limited.retry_after_s) == (RateLimited, 3.0)
    assert type(refused(429, "TooManyRequests", "Later.")) is RateLimited
    assert type(refused(401, "NotAuthenticated", "Who?")) is ProviderRejectedCredentials
    assert type(refused(400, "400", "Inappropriate content detected!")) is ContentFiltered
    assert type(refused(200, "TooManyRequests", "Later.")) is RateLimited
    assert refused(503, "ServiceUnavailable", "Down.").upstream_status == 503


def test_errors_within_a_stream() -> None:
    assert error_of_event({"message": {"role": "ASSISTANT"}, "text": "x"}, "oci") is None
    assert type(error_of_event({"code": "429", "message": "Later."}, "oci")) is RateLimited
    broken = error_of_event({"finishReason": "ERROR", "errorMessage": "GPU lost"}, "oci")
    assert isinstance(broken, ProviderError)
    assert "GPU lost" in broken.message
    assert isinstance(error_of_event({"finishReason": "ERROR", "text": ""}, "oci"), ProviderError)
