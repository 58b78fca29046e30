"""The reducer, attacked: whatever the model and the tools do, it keeps to its limits and comes to an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llama_stack.agent.chat.messages import chat_messages
from llama_stack.agent.context import is_instruction, newest_user_turn, tokens_of, without_oldest
from llama_stack.agent.effects import Ask, Changed, Compact, Finish, ListTools, Ran, RunTools
from llama_stack.agent.entries import Entry, Item, ModelCall
from llama_stack.agent.state import Settings, State, only_first
from llama_stack.agent.tools.base import Bound
from llama_stack.agent.tools.tool_search import ToolSearchTools
from llama_stack.agent.turn import Generated, ServerCall, Usage
from llama_stack.config.responses import AgentLimits
from llama_stack.runs.model import RunError, RunStatus
from tests.support.agent import user
from tests.support.agent_tools import Toolset

TOOLS: list[Item] = [
    {"type": "mcp", "server_label": "toys", "name": "free", "pin": "v1"},
    {"type": "mcp", "server_label": "toys", "name": "asks", "approval": True, "pin": "v1"},
    {"type": "function", "name": "callers"},
]
NAMES = ("free", "asks", "nothing")
WAIT = {"function_call", "mcp_approval_request"}

numbers = st.integers(0, 10**9)
made_calls = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["{}", '{"a": 1}', "", "[]", "{"])), max_size=6)
rounds = st.fixed_dictionaries(
    {
        "calls": made_calls,
        "callers": st.integers(0, 2),
        "text": st.booleans(),
        "reason": st.sampled_from(["stop", "tool_calls", "length", "content_filter", None, "eos"]),
        "usage": st.none() | st.tuples(st.integers(0, 5000), st.integers(0, 50)),
        "fails": st.sampled_from([None, None, None, None, "context_length_exceeded", "server_error"]),
        "results": st.lists(st.sampled_from(["done", "changed", "more"]), min_size=6, max_size=6),
    }
)
chosen_settings = st.builds(
    Settings,
    rounds_max=st.integers(1, 5),
    tool_calls_max=st.integers(1, 8),
    output_tokens_max=st.none() | st.integers(16, 120),
    parallel=st.booleans(),
    tool_choice=st.sampled_from(["auto", "required", "none", {"type": "mcp", "server_label": "toys", "name": "free"}]),
    compact_at=st.none() | st.integers(1, 4000),
    truncations_max=st.integers(0, 4),
)


def message(role: str, text: str, number: int = 0) -> Entry:
    kind = "output_text" if role == "assistant" else "input_text"
    item = {"id": f"msg_{role}_{number}", "type": "message", "role": role, "content": [{"type": kind, "text": text}]}
    return Entry(item)


def generated(number: int, plan: dict[str, Any]) -> Generated:
    entries = [message("assistant", "well", number)] if plan["text"] else []
    entries += [
        Entry({"id": f"fc_{number}_{n}", "type": "function_call", "call_id": f"call_{number}_{n}", "name": "callers",
               "arguments": "{}", "status": "completed"})
        for n in range(plan["callers"])
    ]  # fmt: skip
    calls = [
        ServerCall(f"mcp_{number}{n:03}", ModelCall(f"call_{number}_s{n}", name, arguments))
        for n, (name, arguments) in enumerate(plan["calls"])
    ]
    usage = None if plan["usage"] is None else Usage(plan["usage"][0], 0, plan["usage"][1], 0)
    return Generated(entries, calls, plan["reason"], usage)


class World:
    """Carries out effects as the plan says, and checks each."""

    def __init__(self, chosen: Settings, plans: Sequence[dict[str, Any]], before: Sequence[Entry]) -> None:
        self.settings = chosen
        self.plans = list(plans)
        kind = Toolset()
        self.state = State(chosen, before, [user("Go on")], [kind.bind(tool, before) for tool in TOOLS])
        self.asked: list[Ask] = []
        self.ran: list[str] = []
        self.compactions = 0
        self.plan: dict[str, Any] = {}

    def run(self) -> Finish:
        for _ in range(200):
            effect = self.state.next()
            assert self.state.next() == effect, "to look changes nothing"
            match effect:
                case Finish():
                    return effect
                case Ask():
                    self._ask(effect)
                case RunTools():
                    self._run_tools(effect)
                case Compact():
                    self.compactions += 1
                    item = {"id": f"cmp_{effect.number}", "type": "compaction", "encrypted_content": "summary"}
                    self.state.compacted(Entry(item), Usage(10, 0, 1, 0))
                case ListTools():
                    raise AssertionError("nothing is to be listed")
        raise AssertionError("it does not end")

    def _ask(self, ask: Ask) -> None:
        assert ask.max_tokens is None or ask.max_tokens > 0
        if self.state.rounds > 0:
            assert ask.choice.tool_choice in (None, "none"), "forced in the first round only"
        assert ask.number not in [other.number for other in self.asked]
        assert not WAIT & {entry.item["type"] for entry in self.state.output}, "the caller is waited for"
        check_chat(ask.entries)
        self.asked.append(ask)
        self.plan = self.plans.pop(0) if self.plans else {**ANSWER}
        if self.plan["fails"]:
            self.state.failed(RunError(self.plan["fails"], "no"))
            return
        made = generated(ask.number, self.plan)
        self.state.answered(made if self.settings.parallel else only_first(made))

    def _run_tools(self, effect: RunTools) -> None:
        assert all(planned.tool.name == "free" for planned in effect.calls), "what asks for approval does not run"
        if not self.settings.parallel:
            assert len(effect.calls) == 1
        self.ran += [planned.item_id for planned in effect.calls]
        results: dict[str, Ran] = {}
        for planned, what in zip(effect.calls, self.plan["results"], strict=False):
            item = {"id": planned.item_id, "type": "mcp_call", "status": "completed", "server_label": "toys",
                    "name": "free", "arguments": planned.call.arguments, "output": "ok"}  # fmt: skip
            entry = Entry(item, planned.call, "ok")
            more = Entry({"id": f"tso_{planned.item_id}", "type": "tool_search_output", "tools": []})
            results[planned.item_id] = Changed("v2") if what == "changed" else [entry, *[more] * (what == "more")]
        self.state.ran(results)


ANSWER = {"calls": [], "callers": 0, "text": True, "reason": "stop", "usage": (5, 5), "fails": None, "results": []}


def check_chat(entries: Sequence[Entry]) -> None:
    """A conversation that every provider takes: each call is answered once, right after it was made."""
    waiting: list[str] = []
    for each in chat_messages(entries, unseal=lambda kind, text: text):
        if each["role"] == "tool":
            assert waiting.pop(0) == each["tool_call_id"]
        else:
            assert not waiting
            waiting = [call["id"] for call in each.get("tool_calls") or ()]
    assert not waiting


@settings(max_examples=300, deadline=None)
@given(chosen_settings, st.lists(rounds, max_size=8), st.integers(0, 6))
def test_limits_hold_and_it_ends(chosen: Settings, plans: list[dict[str, Any]], length: int) -> None:
    before = [message("user" if n % 2 else "assistant", "word " * 40, n) for n in range(length)]
    world = World(chosen, plans, before)
    finish = world.run()
    state = world.state
    assert state.rounds <= chosen.rounds_max
    assert len(world.ran) == len(set(world.ran)) <= chosen.tool_calls_max
    assert len(world.asked) <= chosen.rounds_max + chosen.truncations_max + 1
    assert world.compactions <= len(world.asked) + 1
    if finish.status == "failed":
        assert finish.error is not None
    ids = [entry.item["id"] for entry in state.output]
    assert len(ids) == len(set(ids))
    calls = {entry.item["id"] for entry in state.output if entry.item["type"] == "mcp_call"}
    assert calls <= set(world.ran)
    if not chosen.parallel:
        assert sum(entry.item["type"] == "function_call" for entry in state.output) <= 1
    usages = [plan["usage"] for plan in plans[: len(world.asked)] if plan["usage"] and not plan["fails"]]
    if state.usage is not None and not world.compactions and len(plans) >= len(world.asked):
        assert state.usage.output_tokens == sum(usage[1] for usage in usages)


@given(st.lists(rounds, max_size=4))
def test_the_same_history_leads_the_same_way(plans: list[dict[str, Any]]) -> None:
    chosen = Settings(rounds_max=4, tool_calls_max=4, compact_at=500, truncations_max=2)
    first, second = World(chosen, plans, []), World(chosen, plans, [])
    assert first.run() == second.run()
    assert [entry.item for entry in first.state.output][1:] == [entry.item for entry in second.state.output][1:]
    assert [ask.number for ask in first.asked] == [ask.number for ask in second.asked]


def test_a_search_loads_deferred_tools() -> None:
    (shown,) = Toolset().bind(TOOLS[0], []).tools
    hidden = replace(shown, name="hidden", bare_name="hidden", deferred=True)
    search = ToolSearchTools().bind({"type": "tool_search"}, [])
    state = State(Settings(), [], [user("Find it")], [search, Bound([hidden])])
    assert [tool.name for tool in asked(state).choice.offered] == ["tool_search"]
    call = ServerCall("tsc_1", ModelCall("call_1", "tool_search", '{"query": "hidden"}'))
    state.answered(Generated([], [call]))
    assert isinstance(state.next(), RunTools)
    found = {"type": "mcp", "server_label": "toys", "allowed_tools": ["hidden"]}
    output = {"id": "tso_1", "type": "tool_search_output", "execution": "server", "tools": [found]}
    searched = Entry({"id": "tsc_1", "type": "tool_search_call", "status": "completed"}, call.call, "found")
    state.ran({"tsc_1": [searched, Entry(output)]})
    assert [tool.name for tool in asked(state).choice.offered] == ["tool_search", "hidden"]


def asked(state: State) -> Ask:
    effect = state.next()
    assert isinstance(effect, Ask)
    return effect


def test_a_trigger_asks_for_a_compaction_alone() -> None:
    trigger = Entry({"id": "x", "type": "compaction_trigger"})
    state = State(Settings(), [message("user", "Hi")], [trigger])
    assert isinstance(state.next(), Compact)
    state.compacted(Entry({"id": "cmp_1", "type": "compaction", "encrypted_content": ""}), None)
    assert state.next() == Finish(RunStatus.COMPLETED)
    state = State(Settings(), [message("user", "Hi")], [trigger])
    state.not_compacted(RunError("upstream_error", "no"))
    assert state.next() == Finish(RunStatus.FAILED, error=RunError("upstream_error", "no"))


def test_settings_of_a_request() -> None:
    limits = AgentLimits(rounds=7, rounds_max=20, tool_calls_max=9)
    ours = "server.responses.tool_calls_max"
    assert Settings.of({}, limits) == Settings(rounds_max=7, tool_calls_max=9, tool_calls_of=ours)
    assert Settings.of({"max_tool_calls": 10}, limits) == Settings.of({}, limits)
    request = {
        "max_infer_iters": 50, "max_tool_calls": 3, "max_output_tokens": 99, "parallel_tool_calls": False,
        "truncation": "auto", "context_management": [{"type": "compaction", "compact_threshold": 5000}],
    }  # fmt: skip
    assert Settings.of(request, limits) == Settings(20, 3, 99, False, "auto", 5000, limits.truncations_max)


kinds = st.sampled_from(["user", "assistant", "system", "developer", "call", "output", "server"])


def _entry(kind: str, number: int) -> Entry:
    if kind == "call":
        item = {"type": "function_call", "call_id": f"call_{number}", "name": "f", "arguments": "{}"}
        return Entry({"id": f"fc_{number}", **item})
    if kind == "output":
        item = {"type": "function_call_output", "call_id": f"call_{number - 1}", "output": "word " * 20}
        return Entry({"id": f"fco_{number}", **item})
    if kind == "server":
        return Entry({}, ModelCall(f"s_{number}", "free", "{}"), "word " * 30)
    return message(kind, "word " * 25, number)


@given(st.lists(kinds, max_size=25))
def test_what_goes_first(listed: list[str]) -> None:
    entries = [_entry(kind, number) for number, kind in enumerate(listed)]
    turn = [entries[at] for at in newest_user_turn(entries)]
    while True:
        kept = without_oldest(entries)
        if kept is None:
            break
        assert len(kept) < len(entries)
        assert tokens_of(kept) < tokens_of(entries)
        assert [entry for entry in entries if is_instruction(entry)] == [each for each in kept if is_instruction(each)]
        assert all(any(entry is each for each in kept) for entry in turn[-1:])
        assert kept[-1] is entries[-1]
        calls = {entry.item["call_id"] for entry in entries if entry.item.get("type") == "function_call"}
        left = [entry.item["call_id"] for entry in kept if entry.item.get("type") == "function_call"]
        outputs = [entry.item["call_id"] for entry in kept if entry.item.get("type") == "function_call_output"]
        assert all(call_id in left for call_id in outputs if call_id in calls), "outputs do not stay without calls"
        entries = kept
