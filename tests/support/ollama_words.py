"""A request to Ollama's `/api/chat` back in the words of a chat completion: what tests hold a translation against."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_NAMES = {"num_predict": "max_tokens"}


def as_chat(request: Mapping[str, Any]) -> dict[str, Any]:
    if "input" in request:
        return dict(request)
    chat = {"model": request["model"], "messages": [_message(message) for message in request["messages"]]}
    chat |= {name: request[name] for name in ("tools", "logprobs", "top_logprobs", "keep_alive") if name in request}
    chat |= {_NAMES.get(name, name): value for name, value in request.get("options", {}).items()}
    if "format" in request:
        schema = {"name": "schema", "schema": request["format"]}
        as_schema = {"type": "json_schema", "json_schema": schema}
        chat["response_format"] = {"type": "json_object"} if request["format"] == "json" else as_schema
    if "think" in request:
        chat["reasoning_effort"] = request["think"] or "none"
    return chat | ({"stream": True} if request["stream"] else {})


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message["role"], "content": message["content"]}
    if images := message.get("images"):
        parts = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}} for image in images]
        said["content"] = [{"type": "text", "text": message["content"]}, *parts]
    if "thinking" in message:
        said["reasoning_content"] = message["thinking"]
    if calls := message.get("tool_calls"):
        said["content"] = message["content"] or None
        said["tool_calls"] = [_call(call) for call in calls]
    if message["role"] == "tool":
        said["tool_call_id"] = message["tool_call_id"]
    return said


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    made = {"name": function["name"], "arguments": json.dumps(function["arguments"])}
    return {"id": call["id"], "type": "function", "function": made}
