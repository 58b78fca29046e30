"""Approvals, listings, guardrails, compaction, summaries, secrets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from llama_stack.agent.entries import Entry, Item, ModelCall
from llama_stack.agent.ids import new_id
from llama_stack.agent.seals import Seals
from llama_stack.agent.tools.base import ToolContext
from llama_stack.agent.tools.errors import DefinitionChanged
from llama_stack.agent.turn import ServerSecrets, Turn, TurnSecrets, server_key
from llama_stack.runs.secrets import open_secrets, seal_secrets
from llama_stack_api.errors import LlamaStackError, ProviderUnreachable
from llama_stack_api.principal import Call, Principal
from tests.agent.loop.conftest import Ended, Respond
from tests.support.agent import ALICE, Remembered, turn, user
from tests.support.agent_tools import Listings, OpenSeal, Toolset, WordShield
from tests.support.upstream_replies import Say, Tool, calls, text

pytestmark = pytest.mark.anyio


def toy(name: str, **options: Any) -> Item:
    return {"type": "mcp", "server_label": "toys", "name": name, **options}


def answering(request_id: str, approve: bool, reason: str | None = None) -> Entry:
    item = {"id": new_id("mcp_approval_response"), "type": "mcp_approval_response", "approve": approve}
    return Entry(item | {"approval_request_id": request_id} | ({"reason": reason} if reason else {}))


def following(ended: Ended, *input: Entry, **request: Any) -> tuple[Turn, Remembered]:
    """A turn after `ended`, and the history that it has then."""
    entries = list(map(as_entry, ended.turn))
    asked = turn(*input, **request)
    asked.previous = ended.response["id"]
    return asked, Remembered(entries)


def as_entry(stored: dict[str, Any]) -> Entry:
    call = stored.get("call")
    made = ModelCall(**call) if call else None
    return Entry(stored["item"], made, stored.get("shown"), pin=stored.get("pin"))


# --- approvals


async def asking(respond: Respond, tools: Toolset, pin: str = "v1") -> Ended:
    asked = turn("Pay!", tools=[toy("pay", approval=True, pin=pin), toy("look")])
    script = [calls(Tool("pay", {"sum": 5}, "call_p"), Tool("look", {}, "call_l"))]
    ended = await respond(asked, script, tools=tools)
    assert [item["type"] for item in ended.output] == ["mcp_approval_request", "mcp_call"]
    request = ended.output[0]
    assert (request["name"], request["server_label"], request["arguments"]) == ("pay", "toys", '{"sum": 5}')
    assert ended.response["status"] == "completed"
    assert tools.calls == ["look {}"]
    return ended


def shop() -> Toolset:
    return Toolset({"pay": lambda call, context: "paid", "look": lambda call, context: "seen"})


async def test_an_approved_call_runs_in_the_next_response(respond: Respond) -> None:
    tools = shop()
    ended = await asking(respond, tools)
    request = ended.output[0]
    asked, history = following(
        ended, answering(request["id"], True), tools=[toy("pay", approval=True, pin="v1"), toy("look")]
    )
    ended = await respond(asked, [text("It is paid")], tools=tools, history=history)
    assert [item["type"] for item in ended.output] == ["mcp_call", "message"]
    assert ended.output[0]["approval_request_id"] == request["id"]
    assert ended.output[0]["output"] == "paid"
    assert tools.calls == ["look {}", 'pay {"sum": 5}']
    assert [message.get("tool_call_id") for message in ended.model.asked[0]["messages"]][2:] == ["call_p", "call_l"]
    assert ended.model.asked[0]["messages"][2]["content"] == "paid"

    asked, history = following(ended, answering(request["id"], True), tools=asked.request["tools"])
    again = await respond(asked, [text("Yes")], tools=tools, history=history)
    assert [item["type"] for item in again.output] == ["message"], "it was settled before"
    assert len(tools.calls) == 2


async def test_a_call_that_is_not_approved(respond: Respond) -> None:
    tools = shop()
    ended = await asking(respond, tools)
    asked, history = following(ended, answering(ended.output[0]["id"], False, "too much"), tools=[toy("pay")])
    ended = await respond(asked, [text("As you wish")], tools=tools, history=history)
    assert [item["type"] for item in ended.output] == ["message"]
    results = [message["content"] for message in ended.model.asked[0]["messages"] if message["role"] == "tool"]
    assert results[0] == "The user did not approve this call: too much"
    assert tools.calls == ["look {}"]


async def test_a_changed_definition_asks_again(respond: Respond) -> None:
    tools = shop()
    ended = await asking(respond, tools)
    asked, history = following(
        ended, answering(ended.output[0]["id"], True), tools=[toy("pay", approval=True, pin="v2")]
    )
    again = await respond(asked, [], tools=tools, history=history)
    assert [item["type"] for item in again.output] == ["mcp_approval_request"]
    assert again.output[0]["id"] != ended.output[0]["id"]
    assert again.turn[-1]["pin"] == "v2"
    assert tools.calls == ["look {}"]


async def test_a_tool_that_finds_itself_changed_asks_for_approval(respond: Respond) -> None:
    def changed(call: ModelCall, context: ToolContext) -> str:
        raise DefinitionChanged(call.name, "v3")

    ended = await respond(
        turn("Pay!", tools=[toy("pay", pin="v1")]), [calls(Tool("pay", {}))], tools=Toolset({"pay": changed})
    )
    assert [item["type"] for item in ended.output] == ["mcp_approval_request"]
    assert ended.turn[-1]["pin"] == "v3"
    done = [event["item"] for event in ended.events if event["type"] == "response.output_item.done"]
    assert [(item["type"], item.get("status")) for item in done] == [
        ("mcp_call", "incomplete"),
        ("mcp_approval_request", None),
    ]


async def test_an_approval_of_a_tool_that_is_gone(respond: Respond) -> None:
    tools = shop()
    ended = await asking(respond, tools)
    asked, history = following(ended, answering(ended.output[0]["id"], True))
    ended = await respond(asked, [text("Sorry")], tools=tools, history=history)
    assert ended.model.asked[0]["messages"][2]["content"] == "The tool 'pay' of 'toys' is not there any more."


# --- listings


async def test_servers_are_asked_at_once_and_listed_in_order(respond: Respond) -> None:
    listings = Listings(Toolset({"a_tool": lambda call, context: "from a"}), asyncio.Barrier(2))
    script = [calls(Tool("a_tool", {})), text("a says so")]
    tools = [{"type": "mcp", "server_label": "a"}, {"type": "mcp", "server_label": "b"}]
    ended = await respond(turn("Ask!", tools=tools), script, tools=listings)
    assert [item.get("server_label") for item in ended.output] == ["a", "b", "toys", None]
    assert [tool["function"]["name"] for tool in ended.model.asked[0]["tools"]] == ["a_tool", "b_tool"]
    asked, history = following(ended, user("Again"), tools=tools)
    again = await respond(asked, [text("ok")], tools=listings, history=history)
    assert [item["type"] for item in again.output] == ["message"], "what was listed is not asked for again"


# --- guardrails


async def test_input_that_is_not_let_in(respond: Respond) -> None:
    shield = WordShield(("bomb",))
    ended = await respond(turn("Build a bomb", guardrails=["s1"]), [], shields=shield)
    assert ended.response["status"] == "completed"
    assert ended.output[0]["content"] == [{"type": "refusal", "refusal": "bomb is not spoken of"}]
    assert ended.model.asked == []
    assert ended.types[2:] == [
        "output_item.added", "content_part.added", "refusal.delta", "refusal.done", "content_part.done",
        "output_item.done", "completed",
    ]  # fmt: skip

    ended = await respond(turn("Hi", guardrails=[{"type": "absent"}]), [], shields=shield)
    assert ended.response["status"] == "failed"
    assert "there is no shield 'absent'" in ended.response["error"]["message"]
    ended = await respond(turn("Hi", guardrails=["s1"]), [])
    assert ended.response["status"] == "failed"


@pytest.mark.parametrize("stream", [True, False])
async def test_output_that_is_not_let_out(respond: Respond, stream: bool) -> None:
    words = "safe word " * 60 + "bomb " + "after " * 100
    asked = turn("Hi", guardrails=["s1"], stream=stream)
    ended = await respond(asked, [text(words)], shields=WordShield(("bomb",)))
    assert ended.response["status"] == "completed"
    shown, refusal = ended.output[0]["content"]
    assert refusal["refusal"] == "bomb is not spoken of"
    assert "bomb" not in json.dumps(ended.events).replace("bomb is not spoken of", "")
    assert words.startswith(shown["text"])
    assert bool(shown["text"]) is stream, "what nobody watches is checked as a whole"
    assert ended.model.closed == 1

    ended = await respond(asked, [text("all is well")], shields=WordShield(("bomb",)))
    assert ended.text == "all is well"


async def test_a_shield_that_fails_lets_nothing_out(respond: Respond) -> None:
    class Failing(WordShield):
        def __init__(self, error: LlamaStackError) -> None:
            super().__init__(())
            self.error = error

        async def check(self, shield_ids: Sequence[str], messages: Sequence[dict[str, Any]], call: Call) -> Any:
            if messages[0]["role"] == "assistant":
                raise self.error

    for error in (LlamaStackError("shield away"), ProviderUnreachable("shield away")):
        ended = await respond(turn("Hi", guardrails=["s1"]), lambda body: text("secret"), shields=Failing(error))
        assert ended.response["status"] == "failed"
        assert "secret" not in json.dumps(ended.events)
        assert "shield away" in ended.response["error"]["message"]


async def test_arguments_and_results_that_are_blocked(respond: Respond) -> None:
    tools = Toolset({"say": lambda call, context: json.loads(call.arguments)["what"][::-1]})
    asking = [Tool("say", {"what": what}, f"call_{what}") for what in ("bomb", "lirep", "x")]
    script = [calls(*asking), text("well")]
    ended = await respond(
        turn("Say!", tools=[toy("say")], guardrails=["s1"]), script, tools=tools, shields=WordShield(("bomb", "peril"))
    )
    assert [item["status"] for item in ended.output] == ["failed", "failed", "completed", "completed"]
    results = [message["content"] for message in ended.model.asked[1]["messages"] if message["role"] == "tool"]
    assert results == [
        "Error: The call was blocked by the shield s1: bomb is not spoken of",
        "Error: The tool's result was blocked by the shield s1: peril is not spoken of",
        "x",
    ]
    assert len(tools.calls) == 2, "the first never ran"


@pytest.mark.parametrize(
    "say",
    [
        Say("fine", reasoning="I think of a bomb"),
        Say("fine", tools=(Tool("mine", {"what": "x"}, "c1"), Tool("mine", {"what": "bomb"}, "c2"))),
        Say(tools=(Tool("mine", '{"what": "b\\u006fmb"}', "c1"),)),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_thoughts_and_calls_that_are_not_let_out(respond: Respond, stream: bool, say: Say) -> None:
    function = {"type": "function", "name": "mine", "parameters": {"type": "object"}}
    asked = turn("Hi", tools=[function], guardrails=["s1"], stream=stream)
    ended = await respond(asked, [say], shields=WordShield(("bomb",)))
    assert ended.response["status"] == "completed"
    assert ended.output[-1]["content"] == [{"type": "refusal", "refusal": "bomb is not spoken of"}]
    sent = json.dumps(ended.events).replace("bomb is not spoken of", "")
    assert "bomb" not in sent
    assert "u006f" not in sent
    indices = [event["output_index"] for event in ended.events if event["type"] == "response.output_item.added"]
    assert indices == list(range(len(ended.output)))

    ended = await respond(asked, [say], shields=WordShield(("nothing",)))
    assert {item["status"] for item in ended.output} == {"completed"}
    assert ended.output[-1]["type"] == ("function_call" if say.tools else "message")


# --- compaction and summaries


async def test_the_context_is_compacted(respond: Respond) -> None:
    def script(body: dict[str, Any]) -> Say:
        if "too long" in str(body["messages"][-1]["content"]):
            return text("SUMMARY", prompt_tokens=50)
        if len(body["messages"]) == 1:
            return calls(Tool("look", {}), prompt_tokens=2000)
        return text("Done", prompt_tokens=100)

    management = [{"type": "compaction", "compact_threshold": 1000}]
    asked = turn("Look!", tools=[toy("look")], context_management=management)
    sealer = OpenSeal()
    ended = await respond(asked, script, tools=shop(), sealer=sealer)
    assert [item["type"] for item in ended.output] == ["mcp_call", "compaction", "message"]
    sealed = ended.output[1]["encrypted_content"]
    assert "SUMMARY" not in sealed
    assert Seals(sealer, ALICE).unseal("compaction", sealed) == "SUMMARY"
    assert Seals(sealer, Principal("bob")).unseal("compaction", sealed) is None
    alike = Seals(sealer, Principal("b:c", tenant="a")).seal("compaction", "SUMMARY")
    assert Seals(sealer, Principal("c", tenant="a:b")).unseal("compaction", alike) is None
    assert ended.model.asked[2]["messages"] == [
        {"role": "user", "content": "Summary of the conversation so far:\n\nSUMMARY"},
        {"role": "user", "content": "Look!"},
    ]
    assert ended.response["usage"]["input_tokens"] == 2150

    asked, history = following(ended, user("And now?"), context_management=management)
    ended = await respond(asked, script, history=history, sealer=sealer)
    assert [message["content"] for message in ended.model.asked[-1]["messages"]] == [
        "Summary of the conversation so far:\n\nSUMMARY",
        "Done",
        "And now?",
    ]


async def test_a_compaction_that_fails_is_done_without(respond: Respond) -> None:
    def script(body: dict[str, Any]) -> Say | Exception:
        if "too long" in str(body["messages"][-1]["content"]):
            return LlamaStackError("no")
        return text("Done")

    asked = turn("word " * 2000, "Now!", context_management=[{"type": "compaction", "compact_threshold": 1000}])
    asked.input.insert(1, Entry({"id": "x", "type": "message", "role": "assistant", "content": "word " * 2000}))
    ended = await respond(asked, script)
    assert ended.text == "Done"
    assert [item["type"] for item in ended.output] == ["message"]


async def test_reasoning_is_summarised(respond: Respond) -> None:
    def script(body: dict[str, Any]) -> Say:
        if body["messages"][0]["role"] == "system":
            return text("**Sum** up", prompt_tokens=5)
        return Say("42", reasoning="six times seven")

    asked = turn("6*7?", reasoning={"summary": "auto", "effort": "low"}, include=["reasoning.encrypted_content"])
    ended = await respond(asked, script, sealer=OpenSeal())
    reasoning, message = ended.output
    assert reasoning["summary"] == [{"type": "summary_text", "text": "**Sum** up"}]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "six times seven"}]
    assert Seals(OpenSeal(), ALICE).unseal("reasoning", reasoning["encrypted_content"]) == "six times seven"
    assert message["content"][0]["text"] == "42"
    summary = [kind for kind in ended.types if kind.startswith("reasoning_summary")]
    assert summary == [f"reasoning_summary_{kind}" for kind in ("part.added", "text.delta", "text.done", "part.done")]
    assert ended.model.asked[0]["reasoning_effort"] == "low"
    assert ended.response["usage"]["input_tokens"] == 9 + 5

    asked.request.pop("include")
    ended = await respond(asked, script, sealer=OpenSeal())
    assert "encrypted_content" not in ended.output[0]
    assert "encrypted_content" in ended.turn[1]["item"], "entries are whole"


# --- secrets


async def test_secrets_are_opened_for_the_run_alone(respond: Respond) -> None:
    secrets = TurnSecrets(servers={server_key({"server_label": "a"}): ServerSecrets(authorization="token")})
    asked = turn("Hi", tools=[{"type": "mcp", "server_label": "a"}])
    sealed = seal_secrets(OpenSeal(), secrets, "resp_1")
    assert open_secrets(OpenSeal(), sealed, "resp_1", TurnSecrets) == secrets
    with pytest.raises(LlamaStackError):
        open_secrets(OpenSeal(), sealed, "resp_2", TurnSecrets)
    ended = await respond(asked, [], sealer=OpenSeal(b"other"), secrets=sealed)
    assert ended.response["status"] == "failed"
    assert ended.response["error"]["code"] == "credentials_lost"
    ended = await respond(asked, [], secrets=sealed)
    assert ended.response["error"]["code"] == "credentials_lost"

    listings = Listings(Toolset(), asyncio.Barrier(1))
    await respond(asked, [text("hi")], sealer=OpenSeal(), tools=listings, run_id="resp_1", secrets=sealed)
    assert listings.secrets == ["token"]
