"""The names of tools: unique, safe, and the same in a later turn."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llama_stack.agent.tools.base import BoundTool, CallerTool
from llama_stack.agent.tools.names import distinct, key_of, safe_name
from llama_stack.agent.tools.tool_search import ToolSearch

RUNNER = ToolSearch(1.0)


def definition(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": "", "parameters": {}}}


def function(name: str, namespace: str | None = None) -> BoundTool:
    shown = f"{namespace}__{name}" if namespace else name
    return BoundTool(shown, definition(shown), {}, caller=CallerTool("function", name, namespace))


def served(label: str, name: str) -> BoundTool:
    shown = safe_name(label, name)
    return BoundTool(shown, definition(shown), {}, runner=RUNNER, label=label, bare_name=name)


def names(*tools: BoundTool) -> list[str]:
    named = distinct(tools)
    assert [tool.definition["function"]["name"] for tool in named] == [tool.name for tool in named]
    return [tool.name for tool in named]


def test_a_servers_tool_keeps_its_own_name_where_it_is_free() -> None:
    assert names(served("a", "search"), served("b", "search"), served("b", "read")) == ["search", "b__search", "read"]


def test_the_callers_functions_keep_their_names_wherever_they_stand() -> None:
    assert names(served("a", "search"), function("search")) == ["a__search", "search"]


def test_a_server_that_is_added_later_renames_none() -> None:
    first = [served("a", "search"), function("go")]
    assert names(*first, served("b", "search"), served("b", "go"))[:2] == names(*first)


def test_a_tool_that_is_there_twice_is_taken_once() -> None:
    assert names(function("f"), function("f"), served("a", "x"), served("a", "x"), function("f", "n")) == [
        "f",
        "x",
        "n__f",
    ]


def test_even_qualified_names_may_be_taken() -> None:
    assert names(served("a", "x"), served("b", "x"), function("b__x")) == ["x", "x_2", "b__x"]


def test_names_that_providers_refuse_are_made_safe() -> None:
    assert safe_name("files", "fs/read.file") == "files__fs_read_file"
    long = [safe_name("label", "tool" * 40 + ending) for ending in ("one", "two")]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{64}", name) for name in long)
    assert long[0] != long[1]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "é", "a_"]), st.text(min_size=1, max_size=80)).map(
            lambda pair: served(*pair)
        )
        | st.from_regex(r"\A[a-z_]{1,5}\Z").map(function),
        max_size=30,
    )
)
def test_names_are_unique_and_safe_and_in_order(tools: list[BoundTool]) -> None:
    named = distinct(tools)
    assert len({tool.name for tool in named}) == len(named) == len({key_of(tool) for tool in tools})
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", tool.name) for tool in named)
    assert [key_of(tool) for tool in named] == list(dict.fromkeys(map(key_of, tools)))
