"""A conversation there and back keeps its meaning; a whole reply is its stream; Bedrock refuses nothing of ours."""

from __future__ import annotations

import base64
import json
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llama_stack.dialects.converse.chunks import ConverseChunks, events_of
from llama_stack.dialects.converse.families import foundation_of, traits_of, vendor_of
from llama_stack.dialects.converse.from_converse import completion_of
from llama_stack.dialects.converse.to_converse import Reading, converse_request
from tests.support.anthropic_upstream_contract import Violation
from tests.support.converse_as_chat import as_chat
from tests.support.converse_contract import check_converse, check_event, check_reply
from tests.support.converse_upstream import Conversed, reasoned, redacted, use

CLAUDE, NOVA, LLAMA = "anthropic.claude-opus-4-6", "amazon.nova-pro-v1:0", "meta.llama4-scout-17b-instruct-v1:0"
MISTRAL, UNKNOWN = "mistral.mistral-large-2402-v1:0", "newcomer.model-1"
MODELS = [CLAUDE, NOVA, LLAMA, MISTRAL, UNKNOWN]
NAME = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=12)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(str.strip)
BASE64 = st.binary(min_size=1, max_size=12).map(lambda data: base64.b64encode(data).decode())
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OBJECT = st.dictionaries(st.text(max_size=6), JSON, max_size=3)
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]


def as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@st.composite
def contents(draw: st.DrawFn) -> Any:
    """Of a user: text, or parts with one of text among them. Parts of text in a row are one string nowhere."""
    if draw(st.booleans()):
        return draw(TEXT)
    parts: list[dict[str, Any]] = [{"type": "text", "text": draw(TEXT)}]
    for data in draw(st.lists(BASE64, max_size=2)):
        kind = draw(st.sampled_from(["png", "jpeg", "gif", "webp"]))
        parts.append({"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}})
    if draw(st.booleans()):
        parts.append({"type": "image_url", "image_url": {"url": "s3://pictures/a.png"}})
    return parts if len(parts) > 1 else parts[0]["text"]


@st.composite
def turns(draw: st.DrawFn) -> list[dict[str, Any]]:
    """An assistant's message and, if it calls, the results of all its calls."""
    message: dict[str, Any] = {"role": "assistant", "content": draw(st.none() | TEXT)}
    ids = draw(st.lists(NAME, unique=True, max_size=3))
    if ids:
        message["tool_calls"] = [
            {"id": each, "type": "function", "function": {"name": draw(NAME), "arguments": as_text(draw(OBJECT))}}
            for each in ids
        ]
    elif message["content"] is None:
        message["content"] = draw(TEXT)
    return [message, *({"role": "tool", "tool_call_id": each, "content": draw(TEXT)} for each in ids)]


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """As chats are when nothing in them has to be changed for Converse."""
    messages: list[dict[str, Any]] = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(TEXT)})
    messages.append({"role": "user", "content": draw(contents())})
    for turn in draw(st.lists(turns(), max_size=3)):
        if messages[-1]["role"] == "tool":
            messages += turn
            continue
        if messages[-1]["role"] == "assistant":
            messages.append({"role": "user", "content": draw(contents())})
        messages += turn
    if messages[-1]["role"] == "assistant":
        messages.append({"role": "user", "content": draw(contents())})
    return messages


@settings(max_examples=60, deadline=None)
@given(messages=conversations(), model=st.sampled_from(MODELS))
def test_a_conversation_there_and_back_is_the_same(messages: list[dict[str, Any]], model: str) -> None:
    asked = converse_request({"model": model, "messages": messages, "tools": TOOLS})
    check_converse(model, asked.body, stream=False)
    assert as_chat(asked.body)["messages"] == messages


@settings(max_examples=60, deadline=None)
@given(signature=BASE64, thought=TEXT, data=BASE64)
def test_what_was_thought_comes_back_as_it_was(signature: str, thought: str, data: str) -> None:
    said = Conversed([reasoned(thought, signature), redacted(data), use("f", {}, "t1")])
    message = completion_of(said.reply(), id="c", model="m", created=1)["choices"][0]["message"]
    history = [{"role": "user", "content": "?"}, message, {"role": "tool", "tool_call_id": "t1", "content": "ok"}]
    asked = converse_request({"model": CLAUDE, "messages": history, "tools": TOOLS})
    check_converse(CLAUDE, asked.body, stream=False)
    assert asked.body["messages"][1]["content"] == list(said.blocks)


ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
ANY_PART = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": ANY_TEXT}),
    st.fixed_dictionaries(
        {
            "type": st.just("file"),
            "file": st.fixed_dictionaries(
                {"filename": ANY_TEXT, "file_data": st.just("data:application/pdf;base64,JVBE")}
            ),
        }
    ),
)
ANY_MESSAGE = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "developer", "user"]), "content": ANY_TEXT}),
    st.fixed_dictionaries({"role": st.just("user"), "content": st.lists(ANY_PART, max_size=4)}),
    st.fixed_dictionaries(
        {
            "role": st.just("assistant"),
            "content": st.none() | ANY_TEXT,
            "thinking_blocks": st.lists(
                st.fixed_dictionaries(
                    {
                        "type": st.just("thinking"),
                        "thinking": ANY_TEXT,
                        "signature": st.sampled_from(["", "gemini:x", "s"]),
                    }
                ),
                max_size=2,
            ),
        }
    ),
)


@settings(max_examples=60, deadline=None)
@given(
    messages=st.lists(ANY_MESSAGE, min_size=1, max_size=6),
    turn=turns(),
    model=st.sampled_from(MODELS),
    has_tools=st.booleans(),
)
def test_whatever_a_chat_holds_bedrock_takes_it(
    messages: list[dict[str, Any]], turn: list[dict[str, Any]], model: str, has_tools: bool
) -> None:
    messages = [*messages, {"role": "user", "content": "Do it."}, *turn, *messages]
    chat = {"model": model, "messages": messages, **({"tools": TOOLS} if has_tools else {})}
    check_converse(model, converse_request(chat).body, stream=has_tools and model != LLAMA)


BLOCKS = st.lists(
    st.one_of(
        TEXT.map(lambda text: {"text": text}),
        st.builds(reasoned, TEXT, st.none() | BASE64),
        BASE64.map(redacted),
        st.builds(use, st.sampled_from(["f", "answer"]), OBJECT, NAME),
        TEXT.map(
            lambda text: {
                "citationsContent": {
                    "content": [{"text": text}],
                    "citations": [{"title": "T", "location": {"web": {"url": "https://example.org"}}}],
                }
            }
        ),
    ),
    max_size=5,
)
READINGS = st.sampled_from(
    [Reading(), Reading(answer_tool="answer"), Reading(calls_max=1), Reading(answer_tool="answer", signer="amazon:")]
)
REASONS = st.sampled_from(["", "end_turn", "max_tokens", "stop_sequence", "guardrail_intervened", "content_filtered"])


@settings(max_examples=60, deadline=None)
@given(blocks=BLOCKS, reason=REASONS, reading=READINGS, replayed=st.booleans())
def test_a_whole_reply_is_its_stream(blocks: list[Any], reason: str, reading: Reading, replayed: bool) -> None:
    said = Conversed(blocks, reason=reason)
    check_reply(said.reply())
    whole = completion_of(said.reply(), id="c", model="m", created=1, reading=reading)
    events = events_of(said.reply()) if replayed else list(said.events())
    for event in events:
        check_event(event)
    chunks = ConverseChunks(id="c", model="m", created=1, include_usage=True, reading=reading)
    made = [chunk for event in events for chunk in chunks.feed(event)]
    assert chunks.complete
    assert chunks.over
    streamed, told = joined([*made, *chunks.finish()]), parsed(whole)
    if reading.answer_tool and told["content"]:
        streamed["content"], told["content"] = json.loads(streamed["content"]), json.loads(told["content"])
    assert streamed == told


def joined(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """A whole completion of its chunks, arguments parsed."""
    message: dict[str, Any] = {"role": "assistant", "content": "", "reasoning_content": ""}
    calls: dict[int, dict[str, Any]] = {}
    kept: list[Any] = []
    cited: list[Any] = []
    last: dict[str, Any] = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        delta = choice["delta"]
        message["content"] += delta.get("content") or ""
        message["reasoning_content"] += delta.get("reasoning_content") or ""
        kept += delta.get("thinking_blocks", [])
        cited += delta.get("annotations", [])
        for call in delta.get("tool_calls", []):
            known = calls.setdefault(call["index"], {"id": call.get("id"), "arguments": "", "name": ""})
            known["name"] += call["function"].get("name", "")
            known["arguments"] += call["function"]["arguments"]
        last = choice
    assert [block.pop("index") for block in kept] == list(range(len(kept)))
    assert [each.pop("index") for each in cited] == list(range(len(cited)))
    return {
        "content": message["content"],
        "reasoning_content": message["reasoning_content"],
        "calls": [{**call, "arguments": json.loads(call["arguments"])} for call in calls.values()],
        "kept": kept,
        "cited": cited,
        "finish_reason": last["finish_reason"],
        "usage": chunks[-1]["usage"],
    }


def parsed(completion: dict[str, Any]) -> dict[str, Any]:
    (choice,) = completion["choices"]
    message = choice["message"]
    calls = [
        {"id": call["id"], "name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}
        for call in message.get("tool_calls", [])
    ]
    return {
        "content": message["content"] or "",
        "reasoning_content": message.get("reasoning_content", ""),
        "calls": calls,
        "kept": message.get("thinking_blocks", []),
        "cited": message.get("annotations", []),
        "finish_reason": choice["finish_reason"],
        "usage": completion["usage"],
    }


@pytest.mark.parametrize(
    ("model", "foundation", "vendor"),
    [
        ("us.meta.llama4-scout-17b-instruct-v1:0", LLAMA, "meta"),
        ("global.amazon.nova-2-lite-v1:0", "amazon.nova-2-lite-v1:0", "amazon"),
        ("us-gov.anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku-20240307-v1:0", "anthropic"),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}", NOVA, "amazon"),
        (f"arn:aws:bedrock:us-east-1:1:inference-profile/eu.{NOVA}", NOVA, "amazon"),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/a1b2", "a1b2", ""),
        ("mistral.mistral-7b-instruct-v0:2", "mistral.mistral-7b-instruct-v0:2", "mistral"),
        ("my-model", "my-model", ""),
    ],
)
def test_what_an_id_tells(model: str, foundation: str, vendor: str) -> None:
    assert (foundation_of(model), vendor_of(model)) == (foundation, vendor)
    assert traits_of(model) == traits_of(foundation)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([{"role": "assistant", "content": [{"text": "x"}]}], "start with a user"),
        ([{"role": "user", "content": [{"text": " "}]}], "blank"),
        ([{"role": "user", "content": [{"text": "x"}]}] * 2, "alternate"),
        ([{"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [{"text": "x"}]}}]}], "toolResult"),
        ([{"role": "user", "content": [{"text": "x", "cache": 1}]}], "extraneous"),
        ([{"role": "user", "content": [{"image": {"format": "bmp", "source": {"bytes": "AAAA"}}}]}], "bmp"),
        ([{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": "A A"}}}]}], "base64"),
    ],
)
def test_the_loopback_refuses_what_bedrock_does(messages: list[Any], said: str) -> None:
    with pytest.raises(Violation, match=said):
        check_converse(NOVA, {"messages": messages}, stream=False)
