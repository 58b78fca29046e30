"""The messages of a chat completion request, with one kind of call: that of a function, by `tool_calls`.

function_call           a call with an id of ours, and the `function` message behind it the result of that
custom                  a function with the member `input`
"""

from __future__ import annotations

from typing import Any

from llama_stack.dialects.chat.values import Json, as_json, mapping, objects, text_or


def with_function_calls(messages: Any) -> list[Json]:
    calls = 0
    told = []
    for message in objects(messages):
        legacy = message.get("function_call")
        if message.get("role") == "function":
            message = {**message, "role": "tool", "tool_call_id": f"function_call_{calls}"}
        elif message.get("tool_calls") or isinstance(legacy, dict):
            made = [_function_call(call) for call in objects(message.get("tool_calls"))]
            if isinstance(legacy, dict):
                calls += 1
                made.append({"id": f"function_call_{calls}", "type": "function", "function": legacy})
            message = {**message, "tool_calls": made}
        told.append(message)
    return told


def _function_call(call: Json) -> Json:
    custom = call.get("custom")
    if not isinstance(custom, dict):
        return call
    given = as_json({"input": text_or(custom.get("input"))})
    rest = {name: value for name, value in call.items() if name != "custom"}
    return {**rest, "type": "function", "function": {"name": text_or(mapping(custom).get("name")), "arguments": given}}
