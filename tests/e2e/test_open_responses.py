"""What Open Responses asks of a server: whole objects, and the same exchanges over HTTP and over a WebSocket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.support.responding import MODEL, RESPONSES, Responding, responding
from tests.support.response_socket import ask, socket
from tests.support.upstream import Tool, calls, error, text

pytestmark = pytest.mark.anyio

Json: TypeAlias = dict[str, Any]
Exchange: TypeAlias = Callable[[Json], Awaitable[list[Json]]]
"""From a request to the events of its response."""

TEXT = (str,)
NUMBER = (int, float)
OBJECT = (dict,)
MEMBERS: dict[str, tuple[type | None, ...]] = {
    "id": TEXT, "object": TEXT, "created_at": NUMBER, "completed_at": (int, float, None), "status": TEXT,
    "incomplete_details": (dict, None), "model": TEXT, "previous_response_id": (str, None),
    "instructions": (str, None), "output": (list,), "error": (dict, None), "tools": (list,), "tool_choice": (str, dict),
    "truncation": TEXT, "parallel_tool_calls": (bool,), "text": OBJECT, "top_p": NUMBER, "presence_penalty": NUMBER,
    "frequency_penalty": NUMBER, "top_logprobs": (int,), "temperature": NUMBER, "reasoning": OBJECT, "usage": OBJECT,
    "max_output_tokens": (int, None), "max_tool_calls": (int, None), "store": (bool,), "background": (bool,),
    "service_tier": TEXT, "metadata": OBJECT, "safety_identifier": (str, None), "prompt_cache_key": (str, None),
}  # fmt: skip
"""Of every response, at every time of its life, with the types that they may have."""

WEATHER = {"type": "function", "name": "get_weather"}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Responding]:
    async with responding(tmp_path) as up:
        yield up


@pytest.fixture(params=["http", "websocket"])
async def exchange(up: Responding, request: pytest.FixtureRequest) -> AsyncIterator[Exchange]:
    """Both ways of asking for a stream; over the WebSocket, all of a test's on one connection."""
    if request.param == "http":
        yield lambda body: streamed(up, body)
    else:
        async with socket(up) as connection:
            yield lambda body: ask(connection, **{"store": True, **body})


async def streamed(up: Responding, body: Json) -> list[Json]:
    reply = await up.http.post(RESPONSES, json={"model": MODEL, "stream": True, **body})
    assert reply.status_code == 200, reply.text
    return [json.loads(event.partition("data: ")[2]) for event in reply.text.removesuffix("\n\n").split("\n\n")]


def assert_whole(response: Json) -> None:
    for name, kinds in MEMBERS.items():
        assert name in response, f"{name} is missing"
        value = response[name]
        allowed = [kind for kind in kinds if kind is not None]
        fits = value is None if None in kinds and value is None else isinstance(value, tuple(allowed))
        assert fits, f"{name} is {value!r}"
        assert isinstance(value, bool) == (kinds == (bool,)), f"{name} is {value!r}"
    assert response["object"] == "response"
    assert response["text"]["format"]["type"]
    assert response["reasoning"].keys() >= {"effort", "summary"}
    for tool in response["tools"]:
        assert tool["type"] != "function" or tool.keys() >= {"name", "description", "parameters", "strict"}


def ended(events: list[Json]) -> Json:
    """The response, after a look at all of its events."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    assert events[-1]["type"] == f"response.{events[-1]['response']['status']}"
    for event in events:
        if "response" in event:
            assert_whole(event["response"])
    response: Json = events[-1]["response"]
    return response


async def test_text(exchange: Exchange, up: Responding) -> None:
    up.upstream.reply(text("Hello there, you."))
    events = await exchange({"input": [{"type": "message", "role": "user", "content": "Greet me in three words."}]})
    response = ended(events)
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["text"] == "Hello there, you."
    assert "".join(each["delta"] for each in events if each["type"].endswith("text.delta")) == "Hello there, you."
    assert response["usage"]["total_tokens"] == response["usage"]["input_tokens"] + response["usage"]["output_tokens"]
    assert events[0]["response"]["usage"]["total_tokens"] == 0


@pytest.mark.parametrize("settings", [{}, {"background": True}, {"store": False}], ids=str)
async def test_whole_replies(up: Responding, settings: Json) -> None:
    tools = [WEATHER, {"type": "namespace", "name": "n", "description": "d", "tools": [{**WEATHER, "name": "inner"}]}]
    body = {"model": MODEL, "input": "Hi", "tools": tools, **settings}
    response = (await up.http.post(RESPONSES, json=body)).json()
    assert_whole(response)
    assert response["tools"][0] == {**WEATHER, "description": None, "parameters": None, "strict": False}
    assert response["tools"][1]["tools"][0].keys() >= {"description", "parameters", "strict"}


async def test_what_failed_is_whole_too(exchange: Exchange, up: Responding) -> None:
    up.upstream.always(error(400, "I will not."), on="completions")
    response = ended(await exchange({"input": "Hi"}))
    assert response["status"] == "failed"
    assert response["error"]["message"]


async def test_phases_of_an_assistant_who_spoke_before(exchange: Exchange, up: Responding) -> None:
    said = [
        {"type": "message", "role": "user", "content": "What is in the box?"},
        {"type": "message", "role": "assistant", "phase": "commentary", "content": "I shall look."},
        {"type": "message", "role": "assistant", "phase": "final_answer", "content": "A cat."},
        {"type": "message", "role": "user", "content": "Which colour?"},
    ]
    assert ended(await exchange({"input": said}))["status"] == "completed"
    assert [role for role, _ in up.said()] == ["user", "assistant", "assistant", "user"]


async def test_a_system_prompt_among_the_items(exchange: Exchange, up: Responding) -> None:
    said = [
        {"type": "message", "role": "system", "content": "Speak like a pirate."},
        {"type": "message", "role": "user", "content": "Hello."},
    ]
    assert ended(await exchange({"input": said}))["status"] == "completed"
    assert up.said() == [("system", "Speak like a pirate."), ("user", "Hello.")]


async def test_a_call_of_a_function(exchange: Exchange, up: Responding) -> None:
    up.upstream.reply(calls(Tool("get_weather", {"location": "Ulm"})))
    parameters = {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]}
    events = await exchange({"input": "Weather in Ulm?", "tools": [{**WEATHER, "parameters": parameters}]})
    (call,) = ended(events)["output"]
    assert (call["type"], call["name"], json.loads(call["arguments"])) == (
        "function_call",
        "get_weather",
        {"location": "Ulm"},
    )
    of_item = [event for event in events if "output_index" in event]
    kinds = list(dict.fromkeys(event["type"].removeprefix("response.") for event in of_item))
    assert kinds == [
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
    ]  # fmt: skip
    assert of_item[0]["item"]["type"] == "function_call"
    told = "".join(event["delta"] for event in of_item if event["type"].endswith("arguments.delta"))
    assert told == of_item[-2]["arguments"] == call["arguments"]


async def test_an_image(exchange: Exchange, up: Responding) -> None:
    content = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": PIXEL}]
    said = [{"type": "message", "role": "user", "content": content}]
    assert ended(await exchange({"input": said}))["status"] == "completed"
    assert up.asked()[0]["content"][1]["image_url"]["url"] == PIXEL


async def test_several_turns_as_items(exchange: Exchange, up: Responding) -> None:
    said = [
        {"type": "message", "role": "user", "content": "I am Ann."},
        {"type": "message", "role": "assistant", "content": "Hello Ann!"},
        {"type": "message", "role": "user", "content": "Who am I?"},
    ]
    assert ended(await exchange({"input": said}))["status"] == "completed"
    assert up.said() == [("user", "I am Ann."), ("assistant", "Hello Ann!"), ("user", "Who am I?")]


async def test_a_compaction_begins_the_next_context(up: Responding) -> None:
    up.upstream.reply(text("They spoke of boxes."), text("Of boxes."))
    said = [{"role": "user", "content": "The box is red."}, {"role": "assistant", "content": "I see."}]
    body = {"model": MODEL, "input": said, "prompt_cache_key": "boxes"}
    compacted = (await up.http.post(f"{RESPONSES}/compact", json=body)).json()
    assert compacted["object"] == "response.compaction"
    assert compacted["output"][-1]["type"] == "compaction"
    assert compacted["usage"]["total_tokens"] > 0
    async with socket(up) as connection:
        follow_up = {"type": "message", "role": "user", "content": "What did we speak of?"}
        assert ended(await ask(connection, input=[*compacted["output"], follow_up]))["status"] == "completed"
    assert "They spoke of boxes." in json.dumps(up.asked())


async def test_a_compaction_needs_a_model(up: Responding) -> None:
    refused = await up.http.post(f"{RESPONSES}/compact", json={"input": "Hi"})
    assert refused.status_code in (400, 422)
    assert refused.json()["error"]["type"] == "invalid_request_error"


# --- what only a connection knows


async def test_one_after_the_other_on_a_connection(up: Responding) -> None:
    up.upstream.reply(text("One."), text("Two."), text("Three."))
    async with socket(up) as connection:
        answers = [ended(await ask(connection, input=f"Say {number}")) for number in range(3)]
    assert [each["output"][0]["content"][0]["text"] for each in answers] == ["One.", "Two.", "Three."]
    assert len({each["id"] for each in answers}) == 3
    assert [len(request.body["messages"]) for request in up.upstream.requests] == [1, 1, 1]


async def test_a_new_connection_does_not_know_what_was_not_stored(up: Responding) -> None:
    async with socket(up) as connection:
        first = ended(await ask(connection, input="Remember the number 7."))
        ended(await ask(connection, input="Which number?", previous_response_id=first["id"]))
        assert len(up.asked()) == 3
    async with socket(up) as another:
        (refused,) = await ask(another, input="Which number?", previous_response_id=first["id"])
        assert (refused["type"], refused["error"]["code"]) == ("error", "previous_response_not_found")
        assert ended(await ask(another, input="Hello again."))["status"] == "completed"


async def test_nothing_goes_on_from_what_never_was(up: Responding) -> None:
    async with socket(up) as connection:
        (refused,) = await ask(connection, input="Hi", previous_response_id="resp_" + "0" * 48)
        assert refused["error"]["code"] == "previous_response_not_found"


ORPHAN = {"type": "function_call_output", "call_id": "call_of_nobody", "output": "42"}


def refusing(up: Responding) -> Json:
    return {"input": [ORPHAN]}


def failing(up: Responding) -> Json:
    up.upstream.reply(error(400, "I will not."))
    return {"input": "Go on."}


@pytest.mark.parametrize("failure", [refusing, failing])
async def test_a_continuation_that_fails_is_the_end_of_what_it_goes_on_from(
    up: Responding, failure: Callable[[Responding], Json]
) -> None:
    async with socket(up) as connection:
        first = ended(await ask(connection, input="Hi"))
        failed = (await ask(connection, **failure(up), previous_response_id=first["id"]))[-1]
        assert failed["type"] in ("error", "response.failed")
        (gone,) = await ask(connection, input="And?", previous_response_id=first["id"])
        assert gone["error"]["code"] == "previous_response_not_found"


async def test_a_failure_elsewhere_leaves_it_alone(up: Responding) -> None:
    async with socket(up) as connection:
        first = ended(await ask(connection, input="Hi"))
        await ask(connection, input="And?", previous_response_id="resp_" + "0" * 48)
        await ask(connection, input=[ORPHAN])
        assert ended(await ask(connection, input="And?", previous_response_id=first["id"]))["status"] == "completed"


async def test_getting_ready_is_something_to_go_on_from(up: Responding) -> None:
    async with socket(up) as connection:
        ready = ended(await ask(connection, input="I am Ann.", generate=False))
        assert (ready["status"], ready["output"]) == ("completed", [])
        assert up.upstream.requests == []
        ended(await ask(connection, input="Who am I?", previous_response_id=ready["id"]))
        assert up.said() == [("user", "I am Ann."), ("user", "Who am I?")]


@pytest.mark.parametrize("generate", [True, False])
async def test_what_a_connection_remembers_has_all_that_came_before(up: Responding, generate: bool) -> None:
    """Of a stored response, and of a conversation."""
    stored = await up.openai.responses.create(model=MODEL, input="I am Ann.")
    item: Any = {"role": "user", "content": "I am Bob."}
    conversation = await up.openai.conversations.create(items=[item])
    for before, name in (({"previous_response_id": stored.id}, "Ann"), ({"conversation": conversation.id}, "Bob")):
        async with socket(up) as connection:
            second = ended(await ask(connection, input="Hi", generate=generate, **before))
            ended(await ask(connection, input="Who am I?", previous_response_id=second["id"]))
            assert up.said()[0] == ("user", f"I am {name}.")
            assert up.said()[-1] == ("user", "Who am I?")


async def test_how_an_answer_comes_is_no_part_of_a_message(up: Responding) -> None:
    async with socket(up) as connection:
        delivery = {"stream": False, "stream_options": {"include_obfuscation": False}, "background": False}
        assert ended(await ask(connection, input="Hi", **delivery))["status"] == "completed"


# --- outputs and their calls

CUSTOM = {"type": "custom_tool_call_output", "call_id": "call_of_nobody", "output": "42"}


def message_of(refused: list[Json]) -> Any:
    (event,) = refused
    assert event["type"] == "error"
    return event["error"]


@pytest.mark.parametrize(("output", "named"), [(ORPHAN, "function call"), (CUSTOM, "custom tool call")])
async def test_an_output_without_a_call_is_refused(up: Responding, output: Json, named: str) -> None:
    stored = await up.openai.responses.create(model=MODEL, input="Hi")
    conversation = await up.openai.conversations.create()
    asked = len(up.upstream.requests)
    for before in ({}, {"previous_response_id": stored.id}, {"conversation": conversation.id}):
        body = {"model": MODEL, "input": [{"role": "user", "content": "Hi"}, output], **before}
        refused = await up.http.post(RESPONSES, json=body)
        assert refused.status_code == 400
        assert refused.json()["error"] == {
            "message": f"No tool call found for {named} output with call_id call_of_nobody.",
            "type": "invalid_request_error",
            "param": "input",
            "code": "invalid_request",
        }
    async with socket(up) as connection:
        assert "call_of_nobody" in message_of(await ask(connection, input=[output]))["message"]
    assert len(up.upstream.requests) == asked


async def test_the_call_may_be_anywhere_in_the_context(up: Responding) -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    kinds = {"tools": [WEATHER], "model": MODEL}

    async def accepted(**body: Any) -> str:
        reply = await up.http.post(RESPONSES, json={**kinds, **body})
        assert reply.status_code == 200, reply.text
        return str(reply.json()["id"])

    await accepted(input=[output, call])
    up.upstream.reply(calls(Tool("get_weather", {})))
    first = await accepted(input="Weather?")
    second = await accepted(input="Wait.", previous_response_id=first)
    await accepted(input=[output], previous_response_id=first)
    await accepted(input=[output], previous_response_id=second)
    chatter = [{"role": "user", "content": f"{number}"} for number in range(19)]
    conversation = (await up.http.post("/v1/conversations", json={"items": [call, *chatter]})).json()["id"]
    for _ in range(3):
        await up.http.post(f"/v1/conversations/{conversation}/items", json={"items": chatter})
    await accepted(input=[output], conversation=conversation)


async def test_a_compaction_may_stand_for_the_call(up: Responding) -> None:
    said = [{"role": "user", "content": "Weather?"}]
    compacted = (await up.http.post(f"{RESPONSES}/compact", json={"model": MODEL, "input": said})).json()["output"]
    reply = await up.http.post(RESPONSES, json={"model": MODEL, "input": [*compacted, ORPHAN]})
    assert reply.status_code == 200
