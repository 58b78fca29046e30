from __future__ import annotations

import time
from typing import Any

import pytest

from llama_stack.agent.chat.choice import chat_choice
from llama_stack.agent.tools.base import BoundTool
from llama_stack.agent.tools.tool_search import ToolSearchTools
from llama_stack_api.errors import InvalidRequest
from tests.agent.chat.stream import bound

RUNNER = ToolSearchTools().bind({"type": "tool_search"}, ()).tools[0].runner


def run_here(name: str, origin: str, **members: Any) -> BoundTool:
    return BoundTool(name, {"type": "function", "function": {"name": name}}, {"type": origin}, runner=RUNNER, **members)


TOOLS = [
    *bound(
        {"type": "function", "name": "get"},
        {"type": "custom", "name": "patch"},
        {
            "type": "namespace", "name": "crm",
            "tools": [{"type": "function", "name": "find"}, {"type": "custom", "name": "say"}],
        },
        {"type": "function", "name": "odd name"},
    ).values(),
    run_here("add", "mcp", label="calc", bare_name="add"),
    run_here("calc__get", "mcp", label="calc", bare_name="get"),
    run_here("echo", "mcp", label="one", bare_name="echo"),
    run_here("web_search", "web_search_preview_2025_03_11"),
    run_here("file_search", "file_search"),
    run_here("tool_search", "tool_search"),
]  # fmt: skip
NAMES = [tool.name for tool in TOOLS]
ODD = NAMES[4]


def choose(tool_choice: Any, tools: Any = TOOLS, *, first_round: bool = True) -> tuple[list[str], Any]:
    choice = chat_choice(tool_choice, tools, first_round=first_round)
    return [tool.name for tool in choice.offered], choice.tool_choice


def forced(name: str) -> Any:
    return {"type": "function", "function": {"name": name}}


@pytest.mark.parametrize(
    ("tool_choice", "first", "later"),
    [(None, None, None), ("auto", None, None), ("none", "none", "none"), ("required", "required", None)],
)
def test_modes(tool_choice: Any, first: Any, later: Any) -> None:
    assert choose(tool_choice) == (NAMES, first)
    assert choose(tool_choice, first_round=False) == (NAMES, later)
    assert choose(tool_choice, []) == ([], None)


@pytest.mark.parametrize(
    ("tool_choice", "name"),
    [
        ({"type": "function", "name": "get"}, "get"),
        ({"type": "function", "function": {"name": "get"}}, "get"),
        ({"type": "function", "name": "odd name"}, ODD),
        ({"type": "function", "name": "find"}, "crm__find"),
        ({"type": "function", "name": "find", "namespace": "crm"}, "crm__find"),
        ({"type": "function", "name": "crm__find"}, "crm__find"),
        ({"type": "custom", "name": "patch"}, "patch"),
        ({"type": "mcp", "server_label": "calc", "name": "get"}, "calc__get"),
        ({"type": "mcp", "server_label": "one"}, "echo"),
        ({"type": "web_search"}, "web_search"),
        ({"type": "web_search_preview"}, "web_search"),
        ({"type": "web_search_2025_08_26"}, "web_search"),
        ({"type": "file_search"}, "file_search"),
        ({"type": "tool_search"}, "tool_search"),
    ],
)
def test_forced(tool_choice: Any, name: str) -> None:
    assert choose(tool_choice) == (NAMES, forced(name))
    assert choose(tool_choice, first_round=False) == (NAMES, None)


@pytest.mark.parametrize(
    ("tool_choice", "names"),
    [
        ({"type": "mcp", "server_label": "calc"}, ["add", "calc__get"]),
        ({"type": "namespace", "name": "crm"}, ["crm__find", "crm__say"]),
    ],
)
def test_any_of_several(tool_choice: Any, names: list[str]) -> None:
    assert choose(tool_choice) == (names, "required")
    assert choose(tool_choice, first_round=False) == (NAMES, None)


ALLOWED = [
    {"type": "web_search"}, {"type": "function", "name": "get"}, {"type": "custom", "name": "patch"},
    {"type": "mcp", "server_label": "calc"}, {"type": "image_generation"},
]  # fmt: skip
KEPT = ["get", "patch", "add", "calc__get", "web_search"]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(("mode", "first"), [("auto", None), ("required", "required")])
def test_allowed_tools(mode: str, first: Any, nested: bool) -> None:
    rule = {"mode": mode, "tools": ALLOWED}
    tool_choice = {"type": "allowed_tools", **({"allowed_tools": rule} if nested else rule)}
    assert choose(tool_choice) == (KEPT, first)
    assert choose(tool_choice, first_round=False) == (KEPT, None)


def test_allowed_tools_of_which_none_is_run_here() -> None:
    assert choose({"type": "allowed_tools", "mode": "required", "tools": [{"type": "shell"}]}) == ([], None)


@pytest.mark.parametrize("kind", ["image_generation", "code_interpreter", "computer", "shell", "of_tomorrow"])
def test_a_choice_of_what_nobody_runs_is_left_out(kind: str) -> None:
    assert choose({"type": kind}) == (NAMES, None)


@pytest.mark.parametrize(
    "tool_choice",
    [
        {"type": "function", "name": "put"},
        {"type": "function", "name": "patch"},
        {"type": "function", "name": "find", "namespace": "erp"},
        {"type": "custom", "name": "get"},
        {"type": "mcp", "server_label": "other"},
        {"type": "mcp", "server_label": "calc", "name": "echo"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "put"}]},
        {"type": "allowed_tools", "mode": "sometimes", "tools": []},
        "sometimes",
        7,
    ],
)
def test_a_choice_of_what_is_not_there_is_refused(tool_choice: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        choose(tool_choice)
    assert caught.value.param == "tool_choice"


def test_a_hosted_tool_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        choose({"type": "web_search"}, TOOLS[:1])


def test_many_references_to_many_tools_cost_no_more_than_both() -> None:
    many = 3000
    named = [{"type": "function", "name": f"f{number}"} for number in range(many)]
    tools = list(bound(*named).values())
    began = time.process_time()
    choice = chat_choice({"type": "allowed_tools", "mode": "auto", "tools": named[::-1]}, tools, first_round=True)
    assert choice.offered == tuple(tools)
    assert time.process_time() - began < 1.0, "all with all would be some seconds"
