"""Chat and text completions of the embedded model: what is honoured, what is refused, and how replies look."""

import json
from typing import Any

import jsonschema_rs
import openai.types
import openai.types.chat
import pytest

from llama_stack.providers._shared.llama_cpp_parameters import (
    CHAT_HONOURED,
    CHAT_REFUSED,
    COMPLETION_HONOURED,
    COMPLETION_REFUSED,
    SERVED,
)
from llama_stack_api.errors import ContextLengthExceeded, InvalidRequest, ModelNotFound, UnsupportedParameter
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.completions import CompletionRequest
from llama_stack_api.principal import SYSTEM_CALL
from tests.providers.embedded.harness import Embedded, events, relayed

pytestmark = pytest.mark.anyio

TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


async def test_answers_a_question(embedded: Embedded) -> None:
    reply = await embedded.chat("What is the capital of France?")
    assert "Paris" in reply["choices"][0]["message"]["content"]
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert openai.types.chat.ChatCompletion.model_validate(reply).object == "chat.completion"
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens"] == 28  # the template's markers, the system prompt, the question


async def test_streams_the_same_answer(embedded: Embedded) -> None:
    whole = await embedded.text("What is the capital of France?")
    sent, relay = await relayed(await embedded.stream(stream_options={"include_usage": True}))
    chunks = [openai.types.chat.ChatCompletionChunk.model_validate(event) for event in events(sent)]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole
    assert {chunk.model for chunk in chunks} == {"served"}
    assert chunks[-1].usage is not None
    assert relay.done
    assert relay.usage == (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens)


async def test_a_stream_without_usage_asked_for_has_none(embedded: Embedded) -> None:
    sent, _ = await relayed(await embedded.stream(max_tokens=2))
    assert all("usage" not in event for event in events(sent))


@pytest.mark.parametrize("limit", [{"max_tokens": 3}, {"max_tokens": ..., "max_completion_tokens": 3}])
async def test_stops_at_the_token_limit(embedded: Embedded, limit: dict[str, Any]) -> None:
    reply = await embedded.chat("Tell me a long story.", **limit)
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 3


async def test_stops_at_a_stop_sequence(embedded: Embedded) -> None:
    reply = await embedded.chat("What is the capital of France?", stop=[" of"])
    assert reply["choices"][0]["message"]["content"] == "The capital"
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert reply["choices"][0]["stop_reason"] == " of"
    assert "__verbose" not in reply


async def test_a_seed_makes_sampling_repeatable(embedded: Embedded) -> None:
    async def said(seed: int) -> str:
        return await embedded.text("Invent a name.", temperature=1.5, seed=seed, cache_prompt=False)

    first = await said(2**62 + 1)
    assert first == await said(2**62 + 1)
    assert len({first, await said(2), await said(3), await said(-4)}) > 1


async def test_gives_log_probabilities(embedded: Embedded) -> None:
    reply = await embedded.chat(logprobs=True, top_logprobs=3, max_tokens=2)
    tokens = openai.types.chat.ChatCompletion.model_validate(reply).choices[0].logprobs.content
    assert [token.token for token in tokens] == ["The", " capital"]
    assert all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in tokens)
    without = await embedded.chat(logprobs=True, max_tokens=1)
    assert without["choices"][0]["logprobs"]["content"][0]["token"] == "The"


async def test_a_bias_decides_the_token(embedded: Embedded) -> None:
    assert await embedded.text("Hi", logit_bias={"260": 100}, max_tokens=2) == " the the"


async def test_n_answers_are_counted_together(embedded: Embedded) -> None:
    reply = await embedded.chat("Invent a name.", n=3, temperature=1.5, seed=1, max_tokens=4)
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in reply["choices"]}) > 1
    single = await embedded.chat("Invent a name.", max_tokens=4)
    assert reply["usage"]["prompt_tokens"] == single["usage"]["prompt_tokens"]
    assert reply["usage"]["completion_tokens"] > single["usage"]["completion_tokens"]


SCHEMAS: list[dict[str, Any]] = [
    {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "London"]}, "count": {"type": "integer", "minimum": 3, "maximum": 5}},
        "required": ["city", "count"],
        "additionalProperties": False,
    },
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
    {
        "type": "object",
        "properties": {"code": {"$ref": "#/$defs/code"}, "on": {"type": "string", "format": "date"}},
        "required": ["code", "on"],
        "additionalProperties": False,
        "$defs": {"code": {"type": "string", "pattern": "^[a-z]{3}$"}},
    },
    {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 0, "maximum": 9}]},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=["object", "array", "refs-and-patterns", "any-of"])
@pytest.mark.parametrize("temperature", [0, 1.2])
async def test_the_answer_has_the_form_of_the_schema(
    embedded: Embedded, schema: dict[str, Any], temperature: float
) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    reply = await embedded.chat("Where are you?", response_format=form, temperature=temperature, seed=5, max_tokens=120)
    assert reply["choices"][0]["finish_reason"] == "stop"
    jsonschema_rs.validate(schema, json.loads(reply["choices"][0]["message"]["content"]))


async def test_json_object_begins_as_an_object(embedded: Embedded) -> None:
    said = await embedded.text("Describe a cat in JSON.", response_format={"type": "json_object"}, max_tokens=16)
    assert said.lstrip().startswith("{")


async def test_a_schema_that_makes_no_sense_is_refused(embedded: Embedded) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
    with pytest.raises(InvalidRequest, match="nonsense"):
        await embedded.chat(response_format=form)


async def test_llama_cpps_own_sampling_parameters_are_passed_on(embedded: Embedded) -> None:
    assert await embedded.text("Yes or no?", grammar='root ::= "maybe"') == "maybe"


async def test_a_system_message_takes_the_place_of_the_default(embedded: Embedded) -> None:
    def conversation(role: str) -> list[dict[str, str]]:
        return [{"role": role, "content": "Hi."}, {"role": "user", "content": "What is the capital of France?"}]

    tokens = [
        (await embedded.chat(messages=conversation(role), max_tokens=1))["usage"]["prompt_tokens"]
        for role in ("system", "developer")
    ]
    assert tokens[0] == tokens[1] < 27


async def test_an_assistant_message_at_the_end_is_not_repeated(embedded: Embedded) -> None:
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Unlikely beginnings 7345"}]
    assert not (await embedded.text("", messages=said, max_tokens=2)).startswith("Unlikely beginnings")


async def test_texts_in_parts_are_joined(embedded: Embedded) -> None:
    parts = [{"type": "text", "text": "What is the capital"}, {"type": "text", "text": "of France?"}]
    assert "Paris" in await embedded.text(parts)


def test_every_documented_parameter_is_in_one_table() -> None:
    chat = [CHAT_HONOURED, CHAT_REFUSED.keys(), SERVED]
    completion = [COMPLETION_HONOURED, COMPLETION_REFUSED.keys(), SERVED]
    for tables, model in ((chat, ChatCompletionRequest), (completion, CompletionRequest)):
        for name in model.model_fields:
            assert sum(name in table for table in tables) == 1, name


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("functions", [{"name": "f"}]),
        ("function_call", "auto"),
        ("modalities", ["text", "audio"]),
        ("moderation", {"model": "omni"}),
        ("prediction", {"type": "content", "content": "x"}),
        ("reasoning_effort", "high"),
        ("service_tier", "priority"),
        ("verbosity", "low"),
        ("web_search_options", {}),
        ("id_slot", 1),
        ("lora", [{"id": 0, "scale": 1}]),
        ("no_such_parameter", 1),
        ("tools", [TOOL]),
    ],
)
async def test_what_cannot_be_honoured_is_refused_by_name(embedded: Embedded, param: str, value: Any) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        await embedded.chat(**{param: value})
    assert refused.value.param == param
    assert param in refused.value.message


async def test_values_that_change_nothing_are_accepted(embedded: Embedded) -> None:
    harmless = {name: values[0] for name, values in CHAT_REFUSED.items() if values}
    served = {"store": True, "metadata": {"a": "b"}, "user": "u", "safety_identifier": "s", "prompt_cache_key": "k"}
    empty = {"tools": [], "tool_choice": "auto", "stop": None, "n": 1}
    assert "Paris" in await embedded.text("What is the capital of France?", **harmless, **served, **empty)


async def test_many_streamed_answers_are_refused(embedded: Embedded) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        await embedded.stream(n=2)
    assert refused.value.param == "n"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_video"},
    ],
    ids=lambda part: part["type"],
)
async def test_a_text_model_refuses_other_parts(embedded: Embedded, part: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        await embedded.chat([{"type": "text", "text": "See:"}, part])
    assert refused.value.param == "messages[0].content[1]"


async def test_tool_messages_need_a_template_with_tools(embedded: Embedded) -> None:
    messages = [{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "1", "content": "y"}]
    with pytest.raises(UnsupportedParameter) as refused:
        await embedded.chat(messages=messages)
    assert refused.value.param == "messages[1]"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_that_does_not_fit_is_refused(embedded: Embedded, stream: bool) -> None:
    with pytest.raises(ContextLengthExceeded, match="256"):
        await (embedded.stream if stream else embedded.chat)("word " * 300)


async def test_an_answer_ends_where_the_context_does(embedded: Embedded) -> None:
    reply = await embedded.chat("word " * 200, ignore_eos=True, max_tokens=...)
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["total_tokens"] == 256


async def test_an_unknown_model_is_named(embedded: Embedded) -> None:
    with pytest.raises(ModelNotFound, match="smollm2-135m-instruct"):
        await embedded.chat(model="gpt-17")
    assert [model.id for model in await embedded.provider.list_models(SYSTEM_CALL)] == ["smollm2-135m-instruct"]


async def test_completes_texts_and_tokens(embedded: Embedded) -> None:
    reply = await embedded.complete(prompt="The capital of France is")
    assert reply["choices"][0]["text"].startswith(" Paris")
    assert openai.types.Completion.model_validate(reply).id.startswith("cmpl-")
    several = await embedded.complete(prompt=["The capital of France is", "The capital of Italy is"], n=2)
    assert [choice["text"][:6] for choice in several["choices"]] == [" Paris", " Paris", " Rome.", " Rome."]
    assert several["usage"] == {"prompt_tokens": 10, "completion_tokens": 16, "total_tokens": 26}
    assert (await embedded.complete(prompt=[504, 3575, 282, 4649, 314]))["choices"][0]["text"].startswith(" Paris")


@pytest.mark.parametrize(
    ("param", "value"), [("best_of", 3), ("echo", True), ("logprobs", 2), ("suffix", "x"), ("no_such", 1)]
)
async def test_completions_refuse_by_name(embedded: Embedded, param: str, value: Any) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        await embedded.complete(prompt="x", **{param: value})
    assert refused.value.param == param


async def test_a_stream_says_which_stop_sequence_ended_it(embedded: Embedded) -> None:
    stream = await embedded.stream(stop=["nothing like it", " of"])
    raw, _ = await relayed(stream)
    await stream.aclose()
    choices = [choice for event in events(raw) for choice in event["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "The capital"
    assert [choice["stop_reason"] for choice in choices if choice.get("finish_reason")] == [" of"]
    assert b"__verbose" not in raw
