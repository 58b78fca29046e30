"""Requests in Cohere's formats.

The first has the last message of the user, or the results of the last calls, apart from the history before it:

    system at the start     preambleOverride; a later one is a SYSTEM entry of the history
    user                    USER; the last one is `message`
    assistant               CHATBOT, its calls with their arguments as objects; calls have no ids
    tool                    TOOL; those at the end are `toolResults`, and then `message` is empty
    tools                   parameterDefinitions: names with types and descriptions. What a type cannot say (values,
                            items, members) is put into the description as JSON Schema, so that the model knows it
    tool_choice             `none` offers no tools; `required` and a named one are refused

The second is like the generic one; a named `tool_choice` offers that function alone and requires a call.
"""

from __future__ import annotations

from typing import Any, Final

from llama_stack.dialects.chat.arguments import tool_input
from llama_stack.dialects.chat.requests import offered_tools
from llama_stack.dialects.chat.values import Json, as_json, mapping, objects, text_or, without_nulls
from llama_stack.dialects.oci.content import text_of
from llama_stack.dialects.oci.formats import ApiFormat
from llama_stack.dialects.oci.generic import functions_of, messages_of
from llama_stack.dialects.oci.parameters import parameters, unsupported
from llama_stack_api.errors import InvalidRequest

_TYPES: Final = {
    "string": "str", "number": "float", "integer": "int", "boolean": "bool", "array": "list", "object": "dict",
}  # fmt: skip
_SAID_BY_THE_TYPE: Final = frozenset({"type", "description", "title", "default"})


def cohere_request(chat: Json) -> Json:
    """In Cohere's first format."""
    messages = objects(chat.get("messages"))
    preamble: list[str] = []
    while messages and messages[0].get("role") in ("system", "developer"):
        preamble.append(text_of(messages.pop(0).get("content"), "messages"))
    _refuse_choice(chat)
    return {
        "apiFormat": ApiFormat.COHERE,
        **_turn(messages),
        **({"preambleOverride": "\n\n".join(preamble)} if preamble else {}),
        **parameters(chat, ApiFormat.COHERE),
        **_tools(chat),
    }


def cohere_v2_request(chat: Json) -> Json:
    """In Cohere's second format."""
    if chat.get("parallel_tool_calls") is False and chat.get("tools"):
        raise unsupported("parallel_tool_calls", "Cohere's models at Oracle take no 'parallel_tool_calls': false.")
    return {
        "apiFormat": ApiFormat.COHEREV2,
        "messages": messages_of(chat, ApiFormat.COHEREV2),
        **parameters(chat, ApiFormat.COHEREV2),
        **_tools_v2(chat),
    }


def _turn(messages: list[Json]) -> Json:
    """`message` and `toolResults`, and the history before them."""
    last = len(messages)
    while last and messages[last - 1].get("role") == "tool":
        last -= 1
    results = messages[last:]
    if results:
        told = _History()
        history = told.entries(messages[:last])
        return {"message": "", "chatHistory": history, "toolResults": [told.result(result) for result in results]}
    asked = next((at for at in reversed(range(len(messages))) if not _is_system(messages[at])), None)
    if asked is None or messages[asked].get("role") != "user":
        raise InvalidRequest(
            "A conversation with a model of Cohere's at Oracle ends with a message of the user or of a tool.",
            param="messages",
        )
    history = _History().entries([*messages[:asked], *messages[asked + 1 :]])
    said = text_of(messages[asked].get("content"), f"messages[{asked}].content")
    return {"message": said, **({"chatHistory": history} if history else {})}


def _is_system(message: Json) -> bool:
    return message.get("role") in ("system", "developer")


class _History:
    """Entries of the history. A call is told by its name and arguments, so that its result must know them."""

    def __init__(self) -> None:
        self._calls: dict[str, Json] = {}

    def entries(self, messages: list[Json]) -> list[Json]:
        entries: list[Json] = []
        for message in messages:
            if message.get("role") != "tool":
                entries.append(self._entry(message))
            elif entries and entries[-1]["role"] == "TOOL":
                entries[-1]["toolResults"].append(self.result(message))
            else:
                entries.append({"role": "TOOL", "toolResults": [self.result(message)]})
        return entries

    def result(self, message: Json) -> Json:
        call = self._calls.get(text_or(message.get("tool_call_id")))
        if call is None:
            raise InvalidRequest("The result of a tool belongs to no call of the conversation.", param="messages")
        return {"call": call, "outputs": [{"output": text_of(message.get("content"), "messages")}]}

    def _entry(self, message: Json) -> Json:
        text = text_of(message.get("content"), "messages")
        match message.get("role"):
            case "user":
                return {"role": "USER", "message": text}
            case "system" | "developer":
                return {"role": "SYSTEM", "message": text}
            case "assistant":
                calls = [self._call(call) for call in objects(message.get("tool_calls"))]
                # It must not be empty; a space is what the models were shown.
                said: Json = {"role": "CHATBOT", "message": text or text_or(message.get("refusal")) or " "}
                return {**said, "toolCalls": calls} if calls else said
            case other:
                raise unsupported("messages", f"Oracle has no messages of the role {other!r}.")

    def _call(self, call: Json) -> Json:
        function = mapping(call.get("function"))
        told = {"name": text_or(function.get("name")), "parameters": tool_input(function.get("arguments"))}
        self._calls[text_or(call.get("id"))] = told
        return told


def _refuse_choice(chat: Json) -> None:
    tools, choice = offered_tools(chat)
    if not tools:
        return
    if choice not in (None, "auto", "none"):
        raise unsupported("tool_choice", "This model of Cohere's takes no 'tool_choice' but auto and none.")
    if chat.get("parallel_tool_calls") is False:
        raise unsupported("parallel_tool_calls", "Cohere's models at Oracle take no 'parallel_tool_calls': false.")


def _tools(chat: Json) -> Json:
    functions = functions_of(chat)
    if not functions or offered_tools(chat)[1] == "none":
        return {}
    return {
        "tools": [
            {
                "name": function.get("name"),
                "description": function.get("description") or text_or(function.get("name")),
                "parameterDefinitions": _definitions(function["parameters"]),
            }
            for function in functions
        ]
    }


def _definitions(schema: Json) -> Json:
    required = schema.get("required")
    needed = required if isinstance(required, list) else []
    return {
        name: without_nulls({
            "type": _type_of(mapping(member)),
            "description": _described(mapping(member)),
            "isRequired": name in needed,
        })
        for name, member in mapping(schema.get("properties")).items()
    }  # fmt: skip


def _type_of(schema: Json) -> str:
    kind: Any = schema.get("type")
    return _TYPES.get(kind, "Any") if isinstance(kind, str) else "Any"


def _described(schema: Json) -> str | None:
    more = {name: member for name, member in schema.items() if name not in _SAID_BY_THE_TYPE}
    said = [text_or(schema.get("description")), f"JSON Schema: {as_json(more)}" if more else ""]
    return "\n".join(filter(None, said)) or None


def _tools_v2(chat: Json) -> Json:
    functions = functions_of(chat)
    if not functions:
        return {}
    request: Json = {}
    match offered_tools(chat)[1]:
        case None | "auto":
            pass
        case "none" | "required" as mode:
            request["toolsChoice"] = mode.upper()
        case {"type": "function", "function": {"name": str() as name}}:
            functions = [function for function in functions if function.get("name") == name]
            request["toolsChoice"] = "REQUIRED"
        case other:
            raise unsupported("tool_choice", f"Oracle takes no 'tool_choice' such as {other!r}.")
    return {"tools": [{"type": "FUNCTION", "function": function} for function in functions], **request}
