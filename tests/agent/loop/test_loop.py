"""What responses come to: rounds, tools, limits, failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from llama_stack.agent.entries import Entry, ModelCall
from llama_stack.agent.tools.base import ToolContext
from llama_stack.agent.tools.functions import FunctionTools
from llama_stack.agent.turn import Turn
from llama_stack_api.errors import ContextLengthExceeded, NotFound, ProviderUnreachable, RateLimited
from llama_stack_api.principal import Principal
from tests.agent.loop.conftest import Respond
from tests.support.agent import Remembered, turn, user
from tests.support.agent_tools import Toolset
from tests.support.upstream_replies import Say, Tool, calls, text
from tests.support.upstream_wire import Wire

pytestmark = pytest.mark.anyio


def toy(name: str, **options: Any) -> dict[str, Any]:
    return {"type": "mcp", "server_label": "toys", "name": name, **options}


ADD = toy("add")


async def test_a_plain_answer(respond: Respond) -> None:
    ended = await respond(turn("Hello?", metadata={"a": "b"}), [text("Hello there")])
    assert ended.types == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert ended.text == "Hello there"
    assert ended.response["status"] == "completed"
    assert ended.response["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 11,
    }
    assert ended.response["metadata"] == {"a": "b"}
    assert [entry["item"]["role"] for entry in ended.turn] == ["user", "assistant"]
    assert ended.model.closed == 1


def adder() -> Toolset:
    return Toolset({"add": lambda call, context: sum(json.loads(call.arguments)["of"]), "boom": _boom})


def _boom(call: ModelCall, context: ToolContext) -> None:
    raise ValueError("a bug")


def of(*numbers: int) -> dict[str, Any]:
    return {"of": list(numbers)}


async def test_tools_run_and_the_model_sees_their_results(respond: Respond) -> None:
    tools = adder()
    script = [calls(Tool("add", of(1, 2), "call_a"), Tool("add", of(3, 4), "call_b")), text("3 and 7")]
    ended = await respond(turn("Add!", tools=[ADD]), script, tools=tools)
    assert [item["type"] for item in ended.output] == ["mcp_call", "mcp_call", "message"]
    assert [item["output"] for item in ended.output[:2]] == ["3", "7"]
    assert ended.text == "3 and 7"
    assert ended.model.asked[1]["messages"][1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_a", "type": "function", "function": {"name": "add", "arguments": '{"of": [1, 2]}'}},
                {"id": "call_b", "type": "function", "function": {"name": "add", "arguments": '{"of": [3, 4]}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_a", "content": "3"},
        {"role": "tool", "tool_call_id": "call_b", "content": "7"},
    ]
    assert sorted(tools.calls) == ['add {"of": [1, 2]}', 'add {"of": [3, 4]}']
    assert ended.response["usage"]["output_tokens"] == 14 + 3
    assert ended.types[2:6] == [
        "output_item.added", "mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.done",
    ]  # fmt: skip
    assert [entry.get("shown") for entry in ended.turn] == [None, "3", "7", None]


async def test_tools_run_at_the_same_time(respond: Respond) -> None:
    together = asyncio.Barrier(3)

    async def meet(call: ModelCall, context: ToolContext) -> str:
        await together.wait()
        return "met"

    script = [calls(*(Tool("meet", {}, f"call_{n}") for n in range(3))), text("all met")]
    ended = await respond(turn("Meet!", tools=[toy("meet")]), script, tools=Toolset({"meet": meet}))
    assert [item["output"] for item in ended.output[:3]] == ["met"] * 3


async def test_a_tool_that_fails_is_an_item_that_the_model_sees(respond: Respond) -> None:
    tools = [toy("boom"), toy("slow", timeout_s=0.01), ADD]
    kind = adder()
    kind.effects = {**kind.effects, "slow": lambda call, context: asyncio.sleep(10)}
    script = [
        calls(Tool("boom", {}, "call_1"), Tool("slow", {}, "call_2"), Tool("add", of(1), "call_3")),
        text("sorry"),
    ]
    ended = await respond(turn("Try!", tools=tools), script, tools=kind)
    assert [item.get("status") for item in ended.output] == ["failed", "failed", "completed", "completed"]
    assert [message["content"] for message in ended.model.asked[1]["messages"][2:]] == [
        "Error: the tool failed by an error of the server",
        "Error: the tool took longer than 0.01 s",
        "1",
    ]
    assert ended.response["status"] == "completed"


async def test_calls_that_cannot_be_run_are_answered(respond: Respond) -> None:
    script = [
        calls(Tool("add", '{"of": [1', "call_1"), Tool("add", "", "call_2"), Tool("add", of(5), "call_3")),
        text("5"),
    ]
    tools = Toolset({"add": lambda call, context: sum(json.loads(call.arguments).get("of", []))})
    ended = await respond(turn("Add!", tools=[ADD]), script, tools=tools)
    results = [message["content"] for message in ended.model.asked[1]["messages"][2:]]
    assert results[0].startswith("The arguments are not a JSON object.")
    assert results[1:] == ["0", "5"]
    assert [item["type"] for item in ended.output] == ["mcp_call", "mcp_call", "message"]
    assert ended.text == "5"


async def test_a_call_of_the_callers_ends_the_response(respond: Respond) -> None:
    function = {"type": "function", "name": "ask_user", "parameters": {"type": "object", "properties": {}}}
    script = [calls(Tool("ask_user", {}, "call_u"), Tool("add", of(1, 1), "call_a"))]
    ended = await respond(turn("Ask!", tools=[function, ADD]), script, tools=adder())
    assert [item["type"] for item in ended.output] == ["function_call", "mcp_call"]
    assert ended.output[0]["call_id"] == "call_u"
    assert ended.output[1]["output"] == "2"
    assert ended.response["status"] == "completed"
    assert ended.response["tools"][0] == {**function, "description": None, "strict": False}
    assert len(ended.model.asked) == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_only_the_first_call_if_not_in_parallel(respond: Respond, stream: bool) -> None:
    function = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    script = [calls(Tool("f", {"n": 1}, "call_1"), Tool("f", {"n": 2}, "call_2"))]
    ended = await respond(turn("Go!", tools=[function], parallel_tool_calls=False, stream=stream), script)
    assert [item["call_id"] for item in ended.output] == ["call_1"]
    assert [event["item"]["call_id"] for event in ended.events if "item" in event] == ["call_1", "call_1"]

    script = [calls(Tool("add", of(1), "call_1"), Tool("add", of(2), "call_2")), text("done")]
    ended = await respond(turn("Go!", tools=[ADD], parallel_tool_calls=False), script, tools=adder())
    assert [item.get("output") for item in ended.output] == ["1", None]
    assert len(ended.model.asked[1]["messages"]) == 3


async def test_limits_of_calls_and_rounds(respond: Respond) -> None:
    tools = adder()
    script = [
        calls(*(Tool("add", of(n), f"call_{n}") for n in range(3))),
        calls(Tool("add", of(9), "call_9")),
        text("enough"),
    ]
    ended = await respond(turn("Add!", tools=[ADD], max_tool_calls=2), script, tools=tools)
    assert len(tools.calls) == 2
    assert [item["type"] for item in ended.output] == ["mcp_call", "mcp_call", "message"]
    assert ended.model.asked[1]["messages"][-1]["content"].startswith("Not run: this response may call no more than 2")
    assert ended.response["status"] == "completed"

    ended = await respond(
        turn("Add!", tools=[ADD], max_infer_iters=2),
        lambda body: calls(Tool("add", of(1), f"call_{len(body['messages'])}")),
        tools=adder(),
    )
    assert ended.response["status"] == "incomplete"
    assert ended.response["incomplete_details"] == {"reason": "max_iterations_exceeded"}
    assert len(ended.model.asked) == 2
    assert [item["status"] for item in ended.output] == ["completed"] * 2


async def test_output_tokens_are_a_budget_of_all_rounds(respond: Respond) -> None:
    script = [calls(Tool("add", of(1))), text("cut short", finish_reason="length")]
    ended = await respond(turn("Add!", tools=[ADD], max_output_tokens=20), script, tools=adder())
    assert [body["max_completion_tokens"] for body in ended.model.asked] == [20, 13]
    assert ended.response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert ended.events[-1]["type"] == "response.incomplete"
    assert ended.output[-1]["status"] == "incomplete"

    ended = await respond(
        turn("Add!", tools=[ADD], max_output_tokens=16), lambda body: calls(Tool("add", of(1))), tools=adder()
    )
    assert ended.response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert len(ended.model.asked) == 3

    ended = await respond(turn("Bad!"), [text("no", finish_reason="content_filter")])
    assert ended.response["incomplete_details"] == {"reason": "content_filter"}


async def test_items_bring_tools(respond: Respond) -> None:
    late = {"type": "function", "name": "late", "parameters": {"type": "object", "properties": {}}}
    brings = Entry({"id": "at_1", "type": "additional_tools", "role": "developer", "tools": [late]})
    ended = await respond(turn(brings, "Go!", tools=[ADD]), [calls(Tool("late", {}))])
    assert [tool["function"]["name"] for tool in ended.model.asked[0]["tools"]] == ["add", "late"]
    assert [item["type"] for item in ended.output] == ["function_call"]


class Counted:
    def __init__(self) -> None:
        self.tools: list[tuple[str, str]] = []
        self.responses: list[tuple[str, int]] = []

    def tool_done(self, kind: str, outcome: str, duration_s: float) -> None:
        assert 0 <= duration_s < 10
        self.tools.append((kind, outcome))

    def response_done(self, status: str, rounds: int) -> None:
        self.responses.append((status, rounds))


async def test_what_is_counted(respond: Respond) -> None:
    counted = Counted()
    script = [calls(Tool("add", of(1), "c1"), Tool("boom", {}, "c2")), text("well")]
    await respond(turn("Add!", tools=[ADD, toy("boom")]), script, tools=adder(), metrics=counted)
    await respond(turn("Hi"), [RateLimited("slow down")], metrics=counted)
    await respond(turn("Hi", guardrails=["s1"]), [], metrics=counted)
    assert counted.tools == [("mcp", "ok"), ("mcp", "tool_error")]
    assert counted.responses == [("completed", 2), ("failed", 0), ("failed", 0)]


async def test_a_conversation_that_is_gone(respond: Respond) -> None:
    class Gone(Remembered):
        async def add(self, principal: Principal, turn: Turn, run_id: str, entries: Sequence[Entry]) -> None:
            raise NotFound("there is no conversation")

    asked = turn("Hi")
    asked.conversation = "conv_1"
    history = Remembered()
    ended = await respond(asked, [text("Hello")], history=history, run_id="resp_1")
    assert [entry.item["role"] for entry in history.added["resp_1"]] == ["user", "assistant"]
    ended = await respond(asked, [text("Hello")], history=Gone())
    assert ended.response["status"] == "completed"


async def test_a_forced_choice_holds_in_the_first_round(respond: Respond) -> None:
    script = [calls(Tool("add", of(1))), text("1")]
    ended = await respond(turn("Add!", tools=[ADD], tool_choice="required"), script, tools=adder())
    assert [body.get("tool_choice") for body in ended.model.asked] == ["required", None]


async def test_a_provider_that_fails(respond: Respond) -> None:
    ended = await respond(turn("Hi"), [RateLimited("slow down")])
    assert ended.events[-1]["type"] == "response.failed"
    assert ended.response["error"] == {"code": "rate_limit_exceeded", "message": "slow down"}
    ended = await respond(turn("Hi"), [ProviderUnreachable("nobody there")])
    assert ended.response["error"] == {"code": "server_error", "message": "nobody there (upstream_unreachable)"}
    assert ended.response["output"] == []


async def test_a_stream_that_breaks_is_tried_again(respond: Respond) -> None:
    whole = text("Hello there you", wire=Wire())
    script = [text("Hello there you", wire=Wire(cut_after=3)), text("Hello there you", wire=Wire(cut_after=2)), whole]
    ended = await respond(turn("Hi"), script)
    statuses = [event["item"]["status"] for event in ended.events if event["type"] == "response.output_item.done"]
    assert statuses == ["incomplete", "incomplete", "completed"]
    assert [item["status"] for item in ended.output] == ["completed"]
    assert ended.text == "Hello there you"
    assert len(ended.turn) == 2

    ended = await respond(turn("Hi"), lambda body: text("Hello there you", wire=Wire(cut_after=3)))
    assert len(ended.model.asked) == 3
    assert ended.response["status"] == "failed"
    assert ended.response["error"]["code"] == "server_error"
    assert ended.response["output"] == []


async def test_no_call_is_done_before_the_answer_is(respond: Respond) -> None:
    function = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    both = Tool("f", {"n": 1}, "call_1"), Tool("f", {"n": 2}, "call_2")
    ended = await respond(turn("Go!", tools=[function]), [calls(*both, wire=Wire(cut_after=7)), calls(*both)])
    done = [event["item"] for event in ended.events if event["type"] == "response.output_item.done"]
    assert [item["status"] for item in done] == ["incomplete", "incomplete", "completed", "completed"]
    assert [item["arguments"] for item in done] == ['{"n":', '{"n":', '{"n": 1}', '{"n": 2}']
    assert ended.output == done[2:]


@pytest.mark.parametrize("cut_after", range(2, 12))
async def test_no_call_that_was_cut_off_can_be_run(respond: Respond, cut_after: int) -> None:
    """Clients are seen to run whatever call has ended, whether its end says `incomplete` or not."""
    function = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    custom = {"type": "custom", "name": "free"}
    tools = Tool("f", {"n": 1}, "c1"), Tool("free", {"input": "rm x"}, "c2"), Tool("f", {"n": 2}, "c3")
    said = Say("So:", tools=tools)
    script = [replace(said, wire=Wire(cut_after=cut_after)), said]
    ended = await respond(turn("Go!", tools=[function, custom]), script, tools=FunctionTools())
    done = [event["item"] for event in ended.events if event["type"] == "response.output_item.done"]
    cut = [item for item in done if item["status"] == "incomplete"]
    assert cut == done[: len(done) - 4]
    assert {item["type"] for item in cut} <= {"message", "function_call"}
    for item in cut[1:]:
        assert 0 < len(item["arguments"]) < len('{"n": 1}')
    assert [item.get("arguments") or item.get("input") for item in ended.output[1:]] == ['{"n": 1}', "rm x", '{"n": 2}']
    added = [event["item"]["id"] for event in ended.events if event["type"] == "response.output_item.added"]
    assert added == [item["id"] for item in (*cut, *ended.output)], "items begin in the order of the output"


async def test_finished_thoughts_of_a_broken_answer_stay(respond: Respond) -> None:
    say = Say("Hello there", reasoning="hm")
    ended = await respond(turn("Hi"), [replace(say, wire=Wire(cut_after=3)), replace(say, reasoning=None)])
    assert [(item["type"], item["status"]) for item in ended.output] == [
        ("reasoning", "completed"),
        ("message", "completed"),
    ]
    ended = await respond(turn("Hi"), lambda body: replace(say, wire=Wire(cut_after=3)))
    assert ended.response["status"] == "failed"
    assert [item["type"] for item in ended.output] == ["reasoning"] * 3


async def test_calls_after_a_broken_stream_have_ids_of_their_own(respond: Respond) -> None:
    function = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    script = [calls(Tool("f", {"n": 1}, wire := "call_1"), wire=Wire(cut_after=4)), calls(Tool("f", {"n": 1}, wire))]
    ended = await respond(turn("Go!", tools=[function]), script)
    first, second = (event["item"] for event in ended.events if event["type"] == "response.output_item.done")
    assert (first["status"], first["call_id"]) == ("incomplete", "call_1")
    assert second["call_id"] not in ("", "call_1")
    assert ended.output == [second]
    assert ended.turn[1]["item"]["call_id"] == second["call_id"]


async def test_old_items_go_if_truncation_is_auto(respond: Respond) -> None:
    history = [user(f"{n} " + "word " * 100) for n in range(20)]

    def script(body: dict[str, Any]) -> Say | Exception:
        return text("fine") if len(json.dumps(body)) < 5000 else ContextLengthExceeded("too long")

    system = Entry({"id": "msg_s", "type": "message", "role": "system", "content": "Be brief."})
    asked = Turn({"model": "toy-model", "truncation": "auto"}, [user("The newest")], 1, previous="resp_1")
    ended = await respond(asked, script, history=Remembered([system, *history, _said()]))
    assert ended.text == "fine"
    messages = ended.model.asked[-1]["messages"]
    assert messages[0] == {"role": "system", "content": "Be brief."}
    assert messages[-1] == {"role": "user", "content": "The newest"}
    assert 2 < len(ended.model.asked) <= 13
    asked = Turn({"model": "toy-model"}, [user("The newest")], 1, previous="resp_1")
    ended = await respond(asked, script, history=Remembered([system, *history, _said()]))
    assert ended.response["error"] == {"code": "context_length_exceeded", "message": "too long"}
    assert len(ended.model.asked) == 1


async def test_of_messages_of_the_user_alone_the_last_one_stays(respond: Respond) -> None:
    def script(body: dict[str, Any]) -> Say | Exception:
        return text("fine") if len(json.dumps(body)) < 3000 else ContextLengthExceeded("too long")

    messages = [user(f"{n} " + "word " * 100) for n in range(12)]
    ended = await respond(
        Turn({"model": "toy-model", "truncation": "auto"}, [*messages, user("The newest")], 1), script
    )
    assert ended.text == "fine"
    asked = ended.model.asked[-1]["messages"]
    assert asked[-1] == {"role": "user", "content": "The newest"}
    assert 1 < len(asked) < 12


def _said() -> Entry:
    content = [{"type": "output_text", "text": "I see.", "annotations": []}]
    return Entry({"id": "msg_a", "type": "message", "role": "assistant", "status": "completed", "content": content})
