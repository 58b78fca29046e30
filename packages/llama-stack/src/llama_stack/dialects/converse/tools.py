"""`tools`, `tool_choice` and `response_format` of a chat completion request as Converse has them.

Converse has no `none` for a choice of tools: then none are offered. A named tool is forced as the only one where a
model can be forced to call some tool, but not which.

An answer by a JSON schema is asked for by `outputConfig.textFormat` where the model's family has that. For others it is
the input of a tool of ours, `answer`, which the model is forced to call (beside the request's own, if it has some): the
reply's translators turn that call into the answer's text, whole or as it streams, and what the model says beside it
into `reasoning_content`. So is `json_object`, for which Bedrock has no words. A model that cannot be forced to call a
tool refuses both.

`strict` of a tool is passed on where the model's family has it; for others the schema is a hint, as it is without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from llama_stack.dialects.chat.requests import name_of, object_schema, offered_tools
from llama_stack.dialects.chat.values import Json, as_json, mapping, text_or, without_nulls
from llama_stack.dialects.converse.families import Traits
from llama_stack_api.errors import UnsupportedParameter

ANSWER: Final = "answer"
_TELL_ANSWER: Final = "Gives the final answer. Call it exactly once, with the whole answer."


@dataclass(frozen=True, slots=True)
class Offer:
    """`config`: Converse's `toolConfig`, if tools are offered. `output`: its `outputConfig`, if the answer has a form.
    `answer_tool`: the tool whose input is the answer."""

    config: Json | None = None
    output: Json | None = None
    answer_tool: str | None = None


def offer_of(chat: Json, traits: Traits) -> Offer:
    """`UnsupportedParameter` for what the model cannot be asked for."""
    tools, choice = offered_tools(chat)
    specs = [{"toolSpec": _spec(tool, traits)} for tool in tools] if choice != "none" else []
    if specs and not traits.tools:
        raise UnsupportedParameter(f"The model '{chat.get('model')}' cannot call tools.", param="tools")
    form = mapping(chat.get("response_format"))
    kind = text_or(form.get("type"), "text")
    if kind not in ("text", "json_schema", "json_object"):
        raise UnsupportedParameter(
            f"Bedrock has no 'response_format' of type {kind!r}. Give a json_schema.", param="response_format"
        )
    schema = mapping(form.get("json_schema"))
    if kind == "json_schema" and traits.schemas:
        config = _chosen(specs, choice, traits) if specs else None
        return Offer(config, {"textFormat": _text_format(schema)})
    if kind == "text" or (specs and choice not in (None, "auto")):
        # A call that is forced anyway is no answer, so that its form is of no matter.
        return Offer(_chosen(specs, choice, traits)) if specs else Offer()
    return _answered_by_tool(chat, specs, schema, traits)


def _spec(tool: Json, traits: Traits) -> Json:
    if tool.get("type") != "function":
        raise UnsupportedParameter(
            f"Bedrock takes no tools of type {tool.get('type')!r}. Give functions.", param="tools"
        )
    function = mapping(tool.get("function"))
    return without_nulls({
        "name": function.get("name"),
        "description": text_or(function.get("description")).strip() or None,
        "inputSchema": {"json": object_schema(mapping(function.get("parameters")))},
        "strict": (function.get("strict") or None) if traits.schemas else None,
    })  # fmt: skip


def _chosen(specs: list[Json], choice: Any, traits: Traits) -> Json:
    match choice:
        case None | "auto":
            return {"tools": specs}
        case "required" if "any" in traits.forces:
            return {"tools": specs, "toolChoice": {"any": {}}}
        case {"type": "function"} if "tool" in traits.forces:
            return {"tools": specs, "toolChoice": {"tool": {"name": name_of(choice)}}}
        case {"type": "function"} if "any" in traits.forces:
            only = [spec for spec in specs if spec["toolSpec"]["name"] == name_of(choice)]
            return {"tools": only or specs, "toolChoice": {"any": {}}}
    raise UnsupportedParameter(f"The model takes no 'tool_choice' such as {choice!r}.", param="tool_choice")


def _text_format(schema: Json) -> Json:
    described = without_nulls({
        "schema": as_json(mapping(schema.get("schema"))),
        "name": schema.get("name"),
        "description": schema.get("description"),
    })  # fmt: skip
    return {"type": "json_schema", "structure": {"jsonSchema": described}}


def _answered_by_tool(chat: Json, specs: list[Json], schema: Json, traits: Traits) -> Offer:
    if not traits.tools or not traits.forces:
        raise UnsupportedParameter(
            f"The model '{chat.get('model')}' cannot be held to a 'response_format'. Ask for JSON in the prompt.",
            param="response_format",
        )
    name = ANSWER
    while any(spec["toolSpec"]["name"] == name for spec in specs):
        name += "_"
    wanted = schema.get("description")
    answer = {
        "name": name,
        "description": f"{_TELL_ANSWER} {wanted}" if wanted else _TELL_ANSWER,
        "inputSchema": {"json": object_schema(mapping(schema.get("schema")))},
    }
    forced: Json = {"any": {}} if specs or "tool" not in traits.forces else {"tool": {"name": name}}
    if specs and "any" not in traits.forces:
        raise UnsupportedParameter("The model takes no 'response_format' beside tools.", param="response_format")
    return Offer({"tools": [*specs, {"toolSpec": answer}], "toolChoice": forced}, answer_tool=name)
