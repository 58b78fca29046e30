"""A chat completion request as a Messages request, feature by feature."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack.dialects.anthropic.to_messages import messages_request
from llama_stack_api.errors import InvalidRequest, UnsupportedParameter

Json = dict[str, Any]

HI = {"role": "user", "content": "Hi"}


def request(*messages: Json, model: str = "claude-opus-4-6", **members: Any) -> Json:
    return messages_request({"model": model, "messages": list(messages or (HI,)), **members}, max_tokens=4096)


def text(said: str, **more: Any) -> Json:
    return {"type": "text", "text": said, **more}


def call(call_id: str, arguments: str = "{}") -> Json:
    return {"id": call_id, "type": "function", "function": {"name": "look", "arguments": arguments}}


def use(call_id: str, **given: Any) -> Json:
    return {"type": "tool_use", "id": call_id, "name": "look", "input": given}


def result(call_id: str, content: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


def test_instructions_anywhere_are_the_system() -> None:
    found = request(
        {"role": "system", "content": "Be brief."}, HI, {"role": "developer", "content": [text("In French.")]}, HI
    )
    assert found["system"] == [text("Be brief."), text("In French.")]
    assert found["messages"] == [{"role": "user", "content": [text("Hi"), text("Hi")]}]
    alone = request({"role": "system", "content": "Say hi."})
    assert alone["messages"] == [{"role": "user", "content": [text("Say hi.")]}]
    assert "system" not in alone


def test_calls_and_their_results() -> None:
    assert request(
        HI,
        {"role": "assistant", "content": None, "tool_calls": [call("a.1", '{"q": 1}'), call("b", "oops")]},
        {"role": "tool", "tool_call_id": "a.1", "content": "one"},
        {"role": "tool", "tool_call_id": "b", "content": [text("two"), text("three")]},
        {"role": "user", "content": "So?"},
    )["messages"][1:] == [
        {"role": "assistant", "content": [use("a_1", q=1), use("b", arguments="oops")]},
        {"role": "user", "content": [result("a_1", "one"), result("b", [text("two"), text("three")]), text("So?")]},
    ]


def test_the_deprecated_function_call() -> None:
    found = request(
        HI,
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "seen"},
    )["messages"]
    assert found[2]["content"] == [result(found[1]["content"][0]["id"], "seen")]


def test_media() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,QUJD"}},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}, "cache_control": {"a": 1}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"}},
        {
            "type": "file",
            "file": {"file_data": "data:text/csv;base64,QUJD"},
            "prompt_cache_breakpoint": {"mode": "explicit"},
        },
    ]
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "QUJD"}
    assert request({"role": "user", "content": parts})["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "QUJD"}},
        {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}, "cache_control": {"a": 1}},
        {"type": "document", "source": pdf, "title": "a.pdf"},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "ABC"},
            "cache_control": {"type": "ephemeral"},
        },
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "input_video"},
        {"type": "file", "file": {"file_id": "file_1"}},
        {"type": "file", "file": {"file_data": "data:application/zip;base64,/w=="}},
    ],
)
def test_content_that_it_does_not_take(part: Json) -> None:
    with pytest.raises(InvalidRequest):
        request({"role": "user", "content": [part]})


def test_who_speaks_first_and_last() -> None:
    found = request({"role": "assistant", "content": "Hello!"}, HI, {"role": "assistant", "content": "Well \n"})
    assert [message["role"] for message in found["messages"]] == ["user", "assistant", "user", "assistant"]
    assert found["messages"][-1]["content"] == [text("Well")]


def test_text_without_a_visible_character_is_left_out() -> None:
    assert request(HI, {"role": "assistant", "content": " "}, {"role": "user", "content": ""})["messages"] == [
        {"role": "user", "content": [text("Hi")]}
    ]


TOOLS = [{"type": "function", "function": {"name": name}} for name in ("look", "ask")]
LOOK = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
FORCED = {"type": "function", "function": {"name": "look"}}


@pytest.mark.parametrize(
    ("members", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, None),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": FORCED}, {"type": "tool", "name": "look"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"tool_choice": "required", "parallel_tool_calls": False},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_tools_and_tool_choice(members: Json, choice: Json | None) -> None:
    found = request(tools=TOOLS, **members)
    assert found["tools"] == [LOOK, {**LOOK, "name": "ask"}]
    assert found.get("tool_choice") == choice


def test_allowed_tools() -> None:
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [FORCED]}}
    found = request(tools=TOOLS, tool_choice=allowed)
    assert (found["tools"], found["tool_choice"]) == ([LOOK], {"type": "any"})


@pytest.mark.parametrize(
    ("model", "effort", "members"),
    [
        ("claude-opus-4-6", "none", {"thinking": {"type": "disabled"}}),
        (
            "claude-opus-4-6",
            "high",
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}},
        ),
        (
            "claude-opus-5-5",
            "minimal",
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
        ),
        ("claude-sonnet-4-5-20250929", "low", {"thinking": {"type": "enabled", "budget_tokens": 3072}}),
        ("claude-sonnet-4-20250514", "minimal", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", "max", {"thinking": {"type": "enabled", "budget_tokens": 3072}}),
    ],
)
def test_reasoning_effort(model: str, effort: str, members: Json) -> None:
    found = request(model=model, reasoning_effort=effort)
    assert {name: found[name] for name in ("thinking", "output_config") if name in found} == members


@pytest.mark.parametrize("model", ["claude-3-haiku-20240307", "claude-3-5-sonnet-latest"])
def test_a_model_that_does_not_reason(model: str) -> None:
    with pytest.raises(UnsupportedParameter, match="does not reason") as raised:
        request(model=model, reasoning_effort="low")
    assert raised.value.param == "reasoning_effort"
    assert request(model=model, reasoning_effort="none")["thinking"] == {"type": "disabled"}


def test_thinking_is_left_off_where_it_would_be_refused() -> None:
    signed = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    made_by_another = {"role": "assistant", "content": "Well.", "tool_calls": [call("a")]}
    own = {**made_by_another, "thinking_blocks": [signed], "reasoning_content": "Hm."}
    answer = {"role": "tool", "tool_call_id": "a", "content": "seen"}
    found = request(HI, made_by_another, answer, reasoning_effort="high")
    assert "thinking" not in found
    assert found["output_config"] == {"effort": "high"}
    kept = request(HI, own, answer, reasoning_effort="high")
    assert kept["thinking"]["type"] == "adaptive"
    assert [block["type"] for block in kept["messages"][1]["content"]] == ["thinking", "text", "tool_use"]
    assert "thinking" not in request(tools=TOOLS, tool_choice="required", reasoning_effort="high")
    assert "thinking" not in request(HI, {"role": "assistant", "content": "So"}, reasoning_effort="high")
    assert "thinking" not in request(model="claude-opus-4-5", reasoning_effort="high", max_completion_tokens=1200)


def test_thoughts_that_anthropic_did_not_sign_are_not_sent() -> None:
    unsigned = {"type": "thinking", "thinking": "Hm.", "signature": ""}
    said = {"role": "assistant", "content": "Well.", "reasoning_content": "Hm.", "thinking_blocks": [unsigned]}
    assert request(HI, said, HI)["messages"][1]["content"] == [text("Well.")]


def test_parameters() -> None:
    schema = {"type": "object", "properties": {}}
    found = request(
        max_completion_tokens=7,
        stop="END",
        user="u",
        service_tier="default",
        temperature=1.5,
        top_k=3,
        stream=True,
        stream_options={"include_usage": True},
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        n=1,
        frequency_penalty=0,
        logprobs=False,
        store=False,
        metadata={"a": "b"},
        prompt_cache_key="k",
    )
    assert {name: value for name, value in found.items() if name not in ("model", "messages")} == {
        "max_tokens": 7,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
        "service_tier": "standard_only",
        "temperature": 1,
        "top_k": 3,
        "stream": True,
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
    }
    assert request()["max_tokens"] == 4096
    assert request(max_tokens=5)["max_tokens"] == 5


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"temperature": 0.5, "top_p": 1}, {"temperature": 0.5}),
        ({"temperature": 1, "top_p": 0.5}, {"top_p": 0.5}),
        ({"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5, "top_p": 0.5}),
        ({"temperature": 1, "reasoning_effort": "low"}, {"temperature": 1}),
        ({"top_p": 0.97, "reasoning_effort": "low"}, {"top_p": 0.97}),
    ],
)
def test_temperature_and_top_p(given: Json, sent: Json) -> None:
    found = request(**given)
    assert {name: found[name] for name in ("temperature", "top_p") if name in found} == sent


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("logit_bias", {"1": 1}),
        ("seed", 1),
        ("frequency_penalty", 0.5),
        ("presence_penalty", 0.5),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("modalities", ["text", "audio"]),
        ("prediction", {"type": "content", "content": "x"}),
        ("web_search_options", {}),
        ("functions", [{"name": "f"}]),
        ("verbosity", "low"),
        ("response_format", {"type": "json_object"}),
        ("service_tier", "flex"),
        ("reasoning_effort", "enormous"),
        ("repetition_penalty", 1.1),
        ("tools", [{"type": "custom", "custom": {"name": "x"}}]),
    ],
)
def test_what_it_does_not_know_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(UnsupportedParameter) as raised:
        request(**{name: value})
    assert raised.value.param == name


@pytest.mark.parametrize(("name", "value"), [("temperature", 0.5), ("top_p", 0.5)])
def test_sampling_of_a_model_that_thinks(name: str, value: Any) -> None:
    with pytest.raises(UnsupportedParameter) as raised:
        request(reasoning_effort="high", **{name: value})
    assert raised.value.param == name
