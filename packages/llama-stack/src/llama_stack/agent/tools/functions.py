"""The caller's tools: `function`, `custom` and `namespace`; and the types of tools that nobody here runs.

The model is offered functions only, since that is what every provider's chat API has:
- a custom tool is a function with one string parameter `input`, whose description says what the text has to be;
- a namespace is unfolded into its functions and custom tools, named `<namespace>__<name>`;
- a name that a chat API would refuse gets a safe one (`names.model_name`), and the caller sees its own again.

A tool of a type in `LEFT_OUT`, or of one that nobody knows, is left out: the response has it in its `tools`, the model
is not offered it, and the request goes on. So it is with tools of such types in a namespace.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from llama_stack.agent.chat.custom_input import INPUT
from llama_stack.agent.entries import Entry, Item
from llama_stack.agent.tools.base import Bound, BoundTool, CallerKind, CallerTool
from llama_stack.agent.tools.names import model_name
from llama_stack_api.errors import InvalidRequest

LEFT_OUT: Final = frozenset({
    "code_interpreter", "image_generation", "computer", "computer_use", "computer_use_preview", "shell", "local_shell",
    "apply_patch", "programmatic_tool_calling",
})  # fmt: skip
"""Types of the contract whose tools this server does not run."""

_NO_PARAMETERS: Final[dict[str, Any]] = {"type": "object", "properties": {}}


class FunctionTools:
    """The kinds of tools `function` and `custom`."""

    types = frozenset({"function", "custom"})

    def check(self, tool: Item) -> None:
        if not tool.get("name"):
            raise InvalidRequest("A tool needs a name.", param="name")
        parameters = tool.get("parameters")
        if parameters is not None and not isinstance(parameters, dict):
            raise InvalidRequest("The parameters of a function are a JSON Schema.", param="parameters")

    def bind(self, tool: Item, before: Sequence[Entry]) -> Bound:
        return Bound([_bound(tool, tool, None)])


class NamespaceTools:
    """The kind of tools `namespace`."""

    types = frozenset({"namespace"})

    def check(self, tool: Item) -> None:
        if not tool.get("name"):
            raise InvalidRequest("A namespace needs a name.", param="name")
        functions = FunctionTools()
        for index, inner in enumerate(tool.get("tools") or ()):
            if inner.get("type") in functions.types:
                try:
                    functions.check(inner)
                except InvalidRequest as error:
                    raise InvalidRequest(error.message, param=f"tools[{index}].{error.param}") from None

    def bind(self, tool: Item, before: Sequence[Entry]) -> Bound:
        inner = [inner for inner in tool.get("tools") or () if inner.get("type") in FunctionTools.types]
        return Bound([_bound(each, tool, tool["name"]) for each in inner])


class UnrunTools:
    """Tools of the types in `LEFT_OUT`: there is nothing to offer."""

    types = LEFT_OUT

    def check(self, tool: Item) -> None:
        return None

    def bind(self, tool: Item, before: Sequence[Entry]) -> Bound:
        return Bound()


def _bound(tool: Item, origin: Item, namespace: str | None) -> BoundTool:
    kind: CallerKind = "custom" if tool["type"] == "custom" else "function"
    name = model_name(tool["name"], namespace)
    function = _custom(name, tool) if kind == "custom" else _function(name, tool)
    return BoundTool(
        name=name,
        definition={"type": "function", "function": function},
        origin=origin,
        caller=CallerTool(kind, tool["name"], namespace),
        deferred=tool.get("defer_loading") is True,
    )


def _function(name: str, tool: Item) -> Item:
    function: Item = {"name": name, "parameters": tool.get("parameters") or _NO_PARAMETERS}
    for member in ("description", "strict"):
        if tool.get(member) is not None:
            function[member] = tool[member]
    return function


def _custom(name: str, tool: Item) -> Item:
    says = [tool.get("description") or "", _input_rule(tool.get("format") or {})]
    return {
        "name": name,
        "description": "\n\n".join(part for part in says if part),
        "parameters": {
            "type": "object",
            "properties": {INPUT: {"type": "string", "description": "The whole input of the tool, as plain text."}},
            "required": [INPUT],
            "additionalProperties": False,
        },
    }


def _input_rule(form: Item) -> str:
    """What the text has to be. The chat API has no grammar of its own, so that it is only said, not enforced."""
    if form.get("type") != "grammar":
        return ""
    syntax = {"lark": "Lark grammar", "regex": "regular expression"}.get(str(form.get("syntax")), "grammar")
    return (
        f"`{INPUT}` must be text that matches this {syntax} as a whole, with nothing before or after it:\n"
        f"{form.get('definition', '')}"
    )
