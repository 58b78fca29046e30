"""Every event, item and response that the server can emit is what our types, those of the `openai` package and
OpenAI's contract say of it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx
import pytest

from llama_stack.agent.tools.file_search import FileSearchKind
from llama_stack_api.openai.responses.events import EVENT_TYPES
from llama_stack_api.openai.responses.items import ITEM_TYPES
from tests.agent.loop.conftest import Respond, respond
from tests.agent.tools.test_file_search import MemoryStores
from tests.support.agent import ALICE, turn
from tests.support.agent_tools import WordShield
from tests.support.edge import client
from tests.support.emitted import Descriptions, Json
from tests.support.mcp_server import LoopbackMcp
from tests.support.search_engines import KEY, PAGES, TAVILY
from tests.support.upstream import Answer, Recorded, Tool, Upstream, Wire, calls, error, text
from tests.support.upstream_replies import Say
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio

__all__ = ["respond"]

MODEL = "m"
RESPONSES = "/v1/responses"
WAIT_S = 10.0


@dataclass
class Place:
    """A whole server, the model that it asks, and an MCP server. `seen` holds what it says against all descriptions."""

    http: httpx.AsyncClient
    model: Upstream
    mcp: LoopbackMcp
    seen: Descriptions

    async def stream(self, *script: Any, **body: Any) -> Json:
        """What comes of a request whose model says `script`: the response that its last event has."""
        self.model.reset()
        self.model.reply(*script, on="completions")
        self.model.always(TAVILY.answer(PAGES), on=TAVILY.path)
        reply = await self.http.post(RESPONSES, json={"model": MODEL, "input": "Hi", "stream": True, **body})
        assert reply.status_code == 200, reply.text
        blocks = reply.text.removesuffix("\n\n").split("\n\n")
        response = self.seen.check_log([json.loads(block.partition("data: ")[2]) for block in blocks])
        if response["store"]:
            assert await self.read(response["id"]) == response
        return response

    async def read(self, response_id: str) -> Json:
        found: Json = (await self.http.get(f"{RESPONSES}/{response_id}")).json()
        self.seen.check_response(found)
        return found

    def server(self, **options: Any) -> Json:
        return {"type": "mcp", "server_label": "loopback", "server_url": self.mcp.url, **options}


@pytest.fixture(scope="module")
async def place(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    directory = tmp_path_factory.mktemp("emitted")
    with LoopbackMcp() as mcp, Upstream() as up:
        upstream = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": up.base_url}}
        engine = {"provider_id": "web", "provider_type": TAVILY.type, "config": {"base_url": up.url, "api_key": KEY}}
        providers = {"inference": [upstream], "tool_runtime": [engine]}
        models = [{"model_id": MODEL, "provider_id": "up"}]
        server = {"egress": {"allow_private_networks": True}}
        async with (
            whole_stack(directory, [], models, providers=providers, server=server) as running,
            client(running) as http,
        ):
            yield Place(http, up, mcp, Descriptions())


FUNCTION = {
    "type": "function",
    "name": "f",
    "parameters": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
}
CUSTOM = {"type": "custom", "name": "c", "description": "Runs a patch."}


async def message(place: Place) -> None:
    settings = {
        "instructions": "Be kind.", "metadata": {"a": "b"}, "temperature": 0.5, "top_p": 0.9, "max_output_tokens": 500,
        "max_tool_calls": 3, "safety_identifier": "s", "prompt_cache_key": "k", "service_tier": "default", "user": "u",
        "truncation": "auto", "parallel_tool_calls": False, "text": {"verbosity": "low"}, "max_infer_iters": 4,
        "tools": [FUNCTION, CUSTOM], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [
            {"type": "function", "name": "f"}
        ]},
        "include": ["message.output_text.logprobs"], "top_logprobs": 2,
    }  # fmt: skip
    response = await place.stream(text("Hello there."), **settings)
    assert response["output"][0]["content"][0]["logprobs"]
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    json_text = {"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}}
    await place.stream(text('{"a":1}'), text=json_text, store=False)
    prompt = (await place.http.post("/v1/prompts", json={"prompt": "Speak {{l}}.", "variables": ["l"]})).json()
    conversation = (await place.http.post("/v1/conversations", json={})).json()["id"]
    asked = {"id": prompt["prompt_id"], "version": "1", "variables": {"l": "Latin"}}
    await place.stream(text("Salve."), prompt=asked, conversation=conversation)


async def refusal(place: Place) -> None:
    response = await place.stream(Say(refusal="That I will not do."))
    assert response["output"][0]["content"] == [{"type": "refusal", "refusal": "That I will not do."}]


async def thoughts(place: Place) -> None:
    response = await place.stream(
        Say("42.", reasoning="Six times seven."),
        text("**Sums**\n\nIt multiplies."),
        reasoning={"effort": "low", "summary": "auto"},
        include=["reasoning.encrypted_content"],
    )
    reasoning = response["output"][0]
    assert reasoning["summary"]
    assert reasoning["encrypted_content"]


async def calls_of_the_caller(place: Place) -> None:
    script = calls(Tool("f", {"a": "b"}, "call_1"), Tool("c", {"input": "*** patch"}, "call_2"))
    response = await place.stream(script, tools=[FUNCTION, CUSTOM])
    function, custom = response["output"]
    assert json.loads(function["arguments"]) == {"a": "b"}
    outputs = [
        {"type": "function_call_output", "call_id": function["call_id"], "output": "done"},
        {"type": "custom_tool_call_output", "call_id": custom["call_id"], "output": "patched"},
    ]
    await place.stream(text("Done."), input=outputs, previous_response_id=response["id"], tools=[FUNCTION, CUSTOM])
    namespace = {"type": "namespace", "name": "files", "description": "Of files.", "tools": [FUNCTION]}
    response = await place.stream(calls(Tool("files__f", {"a": "b"})), tools=[namespace])
    assert response["output"][0]["type"] == "function_call"


async def mcp(place: Place) -> None:
    script = calls(Tool("add", {"a": 1, "b": 2}, "call_1"), Tool("fails", {"why": "because"}, "call_2"))
    options = {"allowed_tools": ["add", "fails"], "require_approval": "never", "headers": {"X-Key": "k"}}
    response = await place.stream(script, text("Three."), tools=[place.server(**options)])
    assert [item.get("status") for item in response["output"][1:]] == ["completed", "failed", "completed"]
    gone = {"type": "mcp", "server_label": "gone", "server_url": "http://127.0.0.1:9/mcp"}
    response = await place.stream(text("Nobody there."), tools=[gone])
    assert response["output"][0]["error"]


async def approval(place: Place) -> None:
    tools = [place.server(require_approval="always", allowed_tools=["add"])]
    for approve in (True, False):
        asked = await place.stream(calls(Tool("add", {"a": 1, "b": 2})), tools=tools)
        request = asked["output"][-1]
        answer = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": approve}
        answered = await place.stream(text("So."), input=[answer], previous_response_id=asked["id"], tools=tools)
        assert answered["output"][-1]["content"][0]["text"] == "So."
        listed = (await place.http.get(f"{RESPONSES}/{answered['id']}/input_items")).json()
        assert listed["data"][0]["type"] == "mcp_approval_response"


async def web_search(place: Place) -> None:
    def cites(request: Recorded) -> Answer:
        results = [said["content"] for said in request.body["messages"] if said["role"] == "tool"]
        mark = re.findall(r"^【(\w+)】", results[0], re.MULTILINE)[0]
        return text(f"Paris is big【{mark}】.")(request)

    response = await place.stream(
        calls(Tool("web_search", {"query": "paris"})),
        cites,
        tools=[{"type": "web_search", "user_location": {"type": "approximate", "country": "FR"}}],
        include=["web_search_call.action.sources"],
    )
    assert response["output"][0]["action"]["sources"]
    assert response["output"][1]["content"][0]["annotations"][0]["type"] == "url_citation"


async def tool_search(place: Place) -> None:
    weather = {"type": "function", "name": "get_weather", "description": "The weather of a city.", "parameters": {}}
    tools = [{"type": "tool_search"}, {**weather, "defer_loading": True}]
    response = await place.stream(
        calls(Tool("tool_search", {"query": "weather"})), calls(Tool("get_weather", {}, "call_2")), tools=tools
    )
    assert [item["type"] for item in response["output"]] == ["tool_search_call", "tool_search_output", "function_call"]
    parameters = {"type": "object", "properties": {"goal": {"type": "string"}}}
    own = {"type": "tool_search", "execution": "client", "description": "Finds tools.", "parameters": parameters}
    response = await place.stream(calls(Tool("tool_search", {"goal": "weather"})), tools=[own])
    (call,) = response["output"]
    found = {"type": "tool_search_output", "call_id": call["call_id"], "execution": "client", "tools": [weather]}
    goes_on = {"previous_response_id": response["id"], "tools": [own]}
    response = await place.stream(calls(Tool("get_weather", {}, "call_2")), input=[found], **goes_on)
    assert response["output"][0]["name"] == "get_weather"


async def compaction(place: Place) -> None:
    script = (calls(Tool("add", {"a": 1, "b": 2}), prompt_tokens=5000), text("They add."), text("Three."))
    management = [{"type": "compaction", "compact_threshold": 1000}]
    response = await place.stream(*script, tools=[place.server()], context_management=management)
    assert [item["type"] for item in response["output"][1:]] == ["mcp_call", "compaction", "message"]


async def cut_short(place: Place) -> None:
    for reason, said in (("length", "max_output_tokens"), ("content_filter", "content_filter")):
        response = await place.stream(text("And so", finish_reason=reason))
        assert response["incomplete_details"] == {"reason": said}
    script = [calls(Tool("add", {"a": 1, "b": 2}, f"call_{number}")) for number in range(2)]
    response = await place.stream(*script, tools=[place.server()], max_infer_iters=1)
    assert response["incomplete_details"] == {"reason": "max_iterations_exceeded"}


async def failed(place: Place) -> None:
    response = await place.stream(error(400, "I will not."))
    assert response["status"] == "failed"
    response = await place.stream(*[text("One two three.", wire=Wire(cut_after=3)) for _ in range(3)])
    assert response["status"] == "failed"
    response = await place.stream(
        *[Say("One", reasoning="Two three.", tools=(Tool("f", {"a": "b"}),), wire=Wire(cut_after=5)) for _ in range(2)],
        text("At last."),
        tools=[FUNCTION],
    )
    assert response["status"] == "completed"


async def background(place: Place) -> None:
    response = await place.stream(text("Done."), background=True)
    assert response["status"] == "completed"
    place.model.reset()
    place.model.reply(text("One two three.", wire=Wire(stall_after=3)), on="completions")
    made = (await place.http.post(RESPONSES, json={"model": MODEL, "input": "Hi", "background": True})).json()
    assert made["status"] == "queued"
    place.seen.check_response(made)
    async with asyncio.timeout(WAIT_S):
        while not (await place.read(made["id"]))["output"]:
            await asyncio.sleep(0.02)
    cancelled = (await place.http.post(f"{RESPONSES}/{made['id']}/cancel")).json()
    assert cancelled["status"] == "cancelled"
    place.seen.check_response(cancelled)
    log = (await place.http.get(f"{RESPONSES}/{made['id']}", params={"stream": True})).text
    blocks = log.removesuffix("\n\n").split("\n\n")
    assert place.seen.check_log([json.loads(block.partition("data: ")[2]) for block in blocks]) == cancelled


LIFE = {"created", "in_progress", "completed", "output_item.added", "output_item.done"}
TEXT = {*LIFE, "content_part.added", "content_part.done", "output_text.delta", "output_text.done"}
CALLS = {"function_call_arguments.delta", "function_call_arguments.done"}
MCP = {
    "mcp_list_tools.in_progress", "mcp_list_tools.completed", "mcp_call.in_progress", "mcp_call_arguments.delta",
    "mcp_call_arguments.done", "mcp_call.completed",
}  # fmt: skip

Scenario: TypeAlias = Callable[[Place], Awaitable[None]]
SCENARIOS: dict[Scenario, tuple[set[str], set[str]]] = {
    message: (TEXT, {"message"}),
    refusal: ({*LIFE, "refusal.delta", "refusal.done"}, {"message"}),
    thoughts: (
        {
            *TEXT, "reasoning_text.delta", "reasoning_text.done", "reasoning_summary_part.added",
            "reasoning_summary_part.done", "reasoning_summary_text.delta", "reasoning_summary_text.done",
        },
        {"reasoning"},
    ),
    calls_of_the_caller: (
        {*CALLS, "custom_tool_call_input.delta", "custom_tool_call_input.done"}, {"function_call", "custom_tool_call"},
    ),
    mcp: ({*MCP, "mcp_call.failed", "mcp_list_tools.failed"}, {"mcp_list_tools", "mcp_call"}),
    approval: (MCP, {"mcp_approval_request"}),
    web_search: (
        {
            "web_search_call.in_progress", "web_search_call.searching", "web_search_call.completed",
            "output_text.annotation.added",
        },
        {"web_search_call"},
    ),
    tool_search: (CALLS, {"tool_search_call", "tool_search_output"}),
    compaction: (MCP, {"compaction"}),
    cut_short: ({"incomplete"}, {"message"}),
    failed: ({"failed", "output_item.done"}, {"message"}),
    background: ({"queued", "incomplete"}, {"message"}),
}  # fmt: skip
"""What each must have shown."""
FILE_SEARCH = {"file_search_call.in_progress", "file_search_call.searching", "file_search_call.completed"}

NOT_RUN_HERE = re.compile(
    r"(code_interpreter|image_generation|shell|audio|computer|local_shell|apply_patch|program)\w*"
)
"""Tools that this server does not run, and sound."""
ITEMS_OF_CLIENTS = {
    "function_call_output", "custom_tool_call_output", "mcp_approval_response", "item_reference", "additional_tools",
    "compaction_trigger",
}  # fmt: skip


@pytest.fixture
def seen(place: Place) -> Descriptions:
    place.seen.events.clear()
    place.seen.items.clear()
    return place.seen


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_what_the_server_says(place: Place, seen: Descriptions, scenario: Scenario) -> None:
    await scenario(place)
    events, items = SCENARIOS[scenario]
    assert seen.events >= events
    assert seen.items >= items


async def test_file_search(respond: Respond) -> None:
    """Over stores in memory, as no others are served."""
    seen = Descriptions()
    tool = {"type": "file_search", "vector_store_ids": ["vs_1"]}
    script = [calls(Tool("file_search", {"query": "what do llamas eat"})), text("They eat grass <|file-a1|>.")]
    asked = turn("What?", tools=[tool], include=["file_search_call.results"])
    ended = await respond(asked, script, tools=FileSearchKind(MemoryStores(ALICE.id)))
    seen.check_response(seen.check_log(ended.events))
    assert seen.events >= {*FILE_SEARCH, "output_text.annotation.added"}
    assert ended.output[0]["results"]
    gone = turn("What?", tools=[{"type": "file_search", "vector_store_ids": ["vs_gone"]}])
    ended = await respond(gone, [script[0], text("Nowhere.")], tools=FileSearchKind(MemoryStores(ALICE.id)))
    seen.check_response(seen.check_log(ended.events))
    assert ended.output[0]["status"] == "failed"


async def test_what_a_guardrail_refuses(respond: Respond) -> None:
    seen = Descriptions()
    words = "safe word " * 60 + "bomb " + "after " * 100
    for said in ("Build a bomb", "Hi"):
        ended = await respond(turn(said, guardrails=["s1"]), [text(words)], shields=WordShield(("bomb",)))
        seen.check_response(seen.check_log(ended.events))
    assert seen.events >= {"refusal.delta", "refusal.done"}


def test_nothing_that_can_be_emitted_is_left_out() -> None:
    """What is said anywhere above, and what nobody says, is all that there is."""
    events = {kind.removeprefix("response.") for kind in EVENT_TYPES} - {"error"}
    said = set.union(FILE_SEARCH, *(events for events, _ in SCENARIOS.values()))
    assert {kind for kind in events - said if not NOT_RUN_HERE.match(kind)} == set()
    items = set.union({"file_search_call"}, ITEMS_OF_CLIENTS, *(items for _, items in SCENARIOS.values()))
    assert {kind for kind in set(ITEM_TYPES) - items if not NOT_RUN_HERE.match(kind)} == set()
