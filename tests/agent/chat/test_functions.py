from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.agent.tools.base import CallerTool
from llama_stack.agent.tools.functions import LEFT_OUT, FunctionTools, NamespaceTools, UnrunTools
from llama_stack.agent.tools.names import model_name
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.openai.chat_tools import FunctionTool
from llama_stack_api.openai.responses.tools import TOOL_TYPES


def test_function() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    tool = {"type": "function", "name": "get", "description": "D", "parameters": schema, "strict": True}
    (bound,) = FunctionTools().bind(tool, ()).tools
    assert bound.definition == {
        "type": "function",
        "function": {"name": "get", "parameters": schema, "description": "D", "strict": True},
    }
    assert (bound.name, bound.caller, bound.runner, bound.deferred) == (
        "get",
        CallerTool("function", "get"),
        None,
        False,
    )
    assert bound.origin is tool


def test_function_with_nothing_but_a_name() -> None:
    (bound,) = FunctionTools().bind({"type": "function", "name": "get", "parameters": None, "strict": None}, ()).tools
    assert bound.definition["function"] == {"name": "get", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (None, ""),
        ({"type": "text"}, ""),
        (
            {"type": "grammar", "syntax": "lark", "definition": 'start: "a"'},
            'Lark grammar as a whole, with nothing before or after it:\nstart: "a"',
        ),
        (
            {"type": "grammar", "syntax": "regex", "definition": "a+"},
            "regular expression as a whole, with nothing before or after it:\na+",
        ),
    ],
)
def test_custom(form: Any, said: str) -> None:
    tool = {"type": "custom", "name": "patch", "description": "Patches.", "format": form, "defer_loading": True}
    (bound,) = FunctionTools().bind(tool, ()).tools
    function = FunctionTool.model_validate(bound.definition).function
    assert function.description is not None
    assert function.description.startswith("Patches.")
    assert function.description.endswith(said)
    assert function.parameters is not None
    assert list(function.parameters["properties"]) == function.parameters["required"] == ["input"]
    assert bound.caller == CallerTool("custom", "patch")
    assert bound.deferred


def test_namespace() -> None:
    tool = {
        "type": "namespace",
        "name": "crm",
        "description": "Customers",
        "tools": [
            {"type": "function", "name": "find", "defer_loading": True},
            {"type": "custom", "name": "note"},
            {"type": "web_search"},
            {"type": "function", "name": "x" * 64},
        ],
    }
    NamespaceTools().check(tool)
    find, note, long = NamespaceTools().bind(tool, ()).tools
    assert (find.name, find.caller, find.deferred) == ("crm__find", CallerTool("function", "find", "crm"), True)
    assert (note.name, note.caller) == ("crm__note", CallerTool("custom", "note", "crm"))
    assert len(long.name) == 64
    assert long.caller == CallerTool("function", "x" * 64, "crm")
    assert find.origin is tool


@pytest.mark.parametrize(
    ("kind", "tool", "param"),
    [
        (FunctionTools(), {"type": "function", "name": ""}, "name"),
        (FunctionTools(), {"type": "function", "name": "a", "parameters": []}, "parameters"),
        (NamespaceTools(), {"type": "namespace", "tools": []}, "name"),
        (
            NamespaceTools(),
            {"type": "namespace", "name": "n", "tools": [{"type": "x"}, {"type": "custom"}]},
            "tools[1].name",
        ),
    ],
)
def test_check(kind: Any, tool: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        kind.check(tool)
    assert caught.value.param == param


def test_what_nobody_runs_is_left_out() -> None:
    kind = UnrunTools()
    for each in sorted(LEFT_OUT):
        kind.check({"type": each})
        assert kind.bind({"type": each}, ()).tools == ()
    run = FunctionTools.types | NamespaceTools.types | {"mcp", "file_search", "tool_search"}
    searches = {each for each in TOOL_TYPES if each.startswith("web_search")}
    assert set(TOOL_TYPES) <= LEFT_OUT | run | searches


@given(name=st.text(min_size=1, max_size=100), namespace=st.none() | st.text(min_size=1, max_size=30))
def test_names_are_such_as_every_provider_takes(name: str, namespace: str | None) -> None:
    made = model_name(name, namespace)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", made)
    assert made == model_name(name, namespace)


@given(names=st.sets(st.text(alphabet="a._ é-", min_size=1, max_size=6), min_size=2, max_size=6))
def test_different_names_stay_different(names: set[str]) -> None:
    assert len({model_name(name) for name in names}) == len(names)


def test_good_names_stay_as_they_are() -> None:
    assert model_name("read_file-2") == "read_file-2"
    assert model_name("x" * 64) == "x" * 64
