"""A request of Converse back in the words of a chat completion: what the translator's tests compare with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_MEDIA = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "html": "text/html",
    "md": "text/markdown",
    "txt": "text/plain",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}


def as_chat(request: Mapping[str, Any]) -> dict[str, Any]:
    messages = [_told("system", request["system"])] if request.get("system") else []
    for message in request["messages"]:
        results = [block["toolResult"] for block in message["content"] if "toolResult" in block]
        messages += [_result(result) for result in results]
        rest = [block for block in message["content"] if "toolResult" not in block]
        if rest:
            messages.append(_assistant(rest) if message["role"] == "assistant" else _told(message["role"], rest))
    chat: dict[str, Any] = {"messages": messages}
    config = request.get("toolConfig")
    if config:
        chat["tools"] = [_tool(tool["toolSpec"]) for tool in config["tools"]]
    return chat


def _told(role: str, blocks: list[Mapping[str, Any]]) -> dict[str, Any]:
    parts = [_part(block) for block in blocks]
    if len(parts) == 1 and parts[0]["type"] == "text":
        return {"role": role, "content": parts[0]["text"]}
    return {"role": role, "content": parts}


def _part(block: Mapping[str, Any]) -> dict[str, Any]:
    match block:
        case {"text": text}:
            return {"type": "text", "text": text}
        case {"image": {"format": kind, "source": {"bytes": data}}}:
            return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}}
        case {"image": {"source": {"s3Location": {"uri": uri}}}}:
            return {"type": "image_url", "image_url": {"url": uri}}
        case {"document": {"format": kind, "name": name, "source": {"bytes": data}}}:
            file = {"filename": f"{name}.{kind}", "file_data": f"data:{_MEDIA[kind]};base64,{data}"}
            return {"type": "file", "file": file}
    raise AssertionError(f"no part of a chat: {block}")


def _assistant(blocks: list[Mapping[str, Any]]) -> dict[str, Any]:
    texts = "".join(block["text"] for block in blocks if "text" in block)
    message: dict[str, Any] = {"role": "assistant", "content": texts or None}
    if calls := [_call(block["toolUse"]) for block in blocks if "toolUse" in block]:
        message["tool_calls"] = calls
    if kept := [_thought(block["reasoningContent"]) for block in blocks if "reasoningContent" in block]:
        message["thinking_blocks"] = kept
    return message


def _thought(said: Mapping[str, Any]) -> dict[str, Any]:
    if "redactedContent" in said:
        return {"type": "redacted_thinking", "data": said["redactedContent"]}
    spoken = said["reasoningText"]
    return {"type": "thinking", "thinking": spoken["text"], "signature": spoken["signature"]}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": json.dumps(call["input"], ensure_ascii=False, separators=(",", ":"))}
    return {"id": call["toolUseId"], "type": "function", "function": function}


def _result(result: Mapping[str, Any]) -> dict[str, Any]:
    told = _told("tool", result["content"])
    return {"role": "tool", "tool_call_id": result["toolUseId"], "content": told["content"]}


def _tool(spec: Mapping[str, Any]) -> dict[str, Any]:
    described = {"description": spec["description"]} if "description" in spec else {}
    return {
        "type": "function",
        "function": {"name": spec["name"], **described, "parameters": spec["inputSchema"]["json"]},
    }
