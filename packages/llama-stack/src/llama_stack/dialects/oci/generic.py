"""Messages and tools in the generic format, and in Cohere's second one, which differs in how calls are written.

    system, developer       SYSTEM; DEVELOPER for OpenAI's models
    user                    USER: text, images
    assistant               ASSISTANT: text, toolCalls. Without text it has no content: an empty one misleads the model
    tool                    TOOL with the id of its call
    reasoning_content       reasoningContent, in the generic format

Google's models want each call followed by its own result; calls made at once are told one after the other.
"""

from __future__ import annotations

from typing import Any, Final

from llama_stack.dialects.chat.requests import offered_tools
from llama_stack.dialects.chat.values import Json, mapping, objects, text_or, without_nulls
from llama_stack.dialects.oci.content import parts_of, text_of, text_part
from llama_stack.dialects.oci.formats import ApiFormat
from llama_stack.dialects.oci.parameters import parameters, unsupported
from llama_stack.dialects.oci.schemas import plain_schema

_CHOICES: Final = {"auto": "AUTO", "none": "NONE", "required": "REQUIRED"}


def generic_request(chat: Json) -> Json:
    return {
        "apiFormat": ApiFormat.GENERIC,
        "messages": messages_of(chat, ApiFormat.GENERIC),
        **parameters(chat, ApiFormat.GENERIC),
        **_tool_members(chat),
    }


def messages_of(chat: Json, api_format: ApiFormat) -> list[Json]:
    model = str(chat.get("model", ""))
    messages = objects(chat.get("messages"))
    if model.startswith("google."):
        messages = _call_by_call(messages)
    return [
        _message(message, f"messages[{at}]", model, api_format)
        for at, message in enumerate(messages)
    ]  # fmt: skip


def functions_of(chat: Json) -> list[Json]:
    """The functions that may be called, each `name`, `description`, `parameters`."""
    functions = []
    for tool in offered_tools(chat)[0]:
        if tool.get("type") != "function":
            raise unsupported("tools", f"Oracle takes no tools of type {tool.get('type')!r}. Give functions.")
        function = mapping(tool.get("function"))
        functions.append(
            without_nulls({
                "name": function.get("name"),
                "description": function.get("description"),
                "parameters": plain_schema(function.get("parameters") or {"type": "object", "properties": {}}),
            })
        )  # fmt: skip
    return functions


def _tool_members(chat: Json) -> Json:
    tools = [{"type": "FUNCTION", **function} for function in functions_of(chat)]
    if not tools:
        return {}
    request: Json = {"tools": tools}
    match offered_tools(chat)[1]:
        case None:
            pass
        case str() as mode if mode in _CHOICES:
            request["toolChoice"] = {"type": _CHOICES[mode]}
        case {"type": "function", "function": {"name": str() as name}}:
            request["toolChoice"] = {"type": "FUNCTION", "name": name}
        case other:
            raise unsupported("tool_choice", f"Oracle takes no 'tool_choice' such as {other!r}.")
    if (parallel := chat.get("parallel_tool_calls")) is not None:
        request["isParallelToolCalls"] = parallel
    return request


def _message(message: Json, where: str, model: str, api_format: ApiFormat) -> Json:
    role = text_or(message.get("role"))
    content = message.get("content")
    match role:
        case "assistant":
            return _assistant(message, where, api_format)
        case "tool":
            result = [text_part(text_of(content, f"{where}.content"))]
            return {"role": "TOOL", "toolCallId": text_or(message.get("tool_call_id")), "content": result}
        case "developer" if api_format is ApiFormat.GENERIC and model.startswith("openai."):
            said = "DEVELOPER"
        case "system" | "developer":
            said = "SYSTEM"
        case "user":
            said = "USER"
        case _:
            raise unsupported(f"{where}.role", f"Oracle has no messages of the role {role!r}.")
    parts = parts_of(content, f"{where}.content", api_format)
    return {"role": said, "content": parts or [text_part("")], **_named(message, api_format)}


def _assistant(message: Json, where: str, api_format: ApiFormat) -> Json:
    parts = parts_of(message.get("content") or message.get("refusal"), f"{where}.content", api_format)
    calls = [_call(call, where, api_format) for call in objects(message.get("tool_calls"))]
    said: Json = {"role": "ASSISTANT", **_named(message, api_format)}
    if parts or not calls:
        said["content"] = parts or [text_part("")]
    if api_format is ApiFormat.GENERIC and isinstance(thought := message.get("reasoning_content"), str) and thought:
        said["reasoningContent"] = thought
    if calls:
        said["toolCalls"] = calls
    return said


def _named(message: Json, api_format: ApiFormat) -> Json:
    name = message.get("name")
    return {"name": name} if isinstance(name, str) and api_format is ApiFormat.GENERIC else {}


def _call(call: Json, where: str, api_format: ApiFormat) -> Json:
    function = call.get("function")
    if not isinstance(function, dict):
        raise unsupported(f"{where}.tool_calls", f"Oracle takes no calls of type {call.get('type')!r}.")
    named = {"name": text_or(function.get("name")), "arguments": text_or(function.get("arguments"), "{}") or "{}"}
    head = {"id": text_or(call.get("id")), "type": "FUNCTION"}
    return {**head, **named} if api_format is ApiFormat.GENERIC else {**head, "function": named}


def _call_by_call(messages: list[Json]) -> list[Json]:
    """The same conversation with each call of several followed by its own result."""
    told: list[Json] = []
    at = 0
    while at < len(messages):
        message = messages[at]
        at += 1
        calls = objects(message.get("tool_calls"))
        results: list[Json] = []
        while len(calls) > 1 and at < len(messages) and messages[at].get("role") == "tool":
            results.append(messages[at])
            at += 1
        if not results:
            told.append(message)
            continue
        first: Any = message
        for call in calls:
            told.append({**first, "tool_calls": [call]})
            told += [result for result in results if result.get("tool_call_id") == call.get("id")]
            first = {"role": "assistant"}
    return told
