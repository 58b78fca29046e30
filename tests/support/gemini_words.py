"""What tests say and expect in OpenAI's words, in those of generateContent, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.gemini_upstream import GeminiWire, Says, call, error_body, text, thought
from tests.support.gemini_upstream_contract import DUMMY
from tests.support.upstream import Say, Wire

_RENAMED = {
    "maxOutputTokens": "max_tokens",
    "stopSequences": "stop",
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "candidateCount": "n",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "responseLogprobs": "logprobs",
    "logprobs": "top_logprobs",
}
_AUDIO = "audio/"


def speaks_as_gemini(say: Say) -> Says:
    thoughts = [thought(say.reasoning)] if say.reasoning else []
    called = [call(tool.name, json.loads(tool.text), tool.id) for tool in say.tools]
    texts = [text(say.content or "")] if say.content or say.pieces else []
    members = {name: getattr(say.wire, name) for name in Wire.__dataclass_fields__ if name != "done"}
    if say.wire.inject is not None and isinstance(say.wire.inject[1], Mapping):
        error = say.wire.inject[1]["error"]
        members["inject"] = (say.wire.inject[0], error_body(error.get("code", 500), error["message"]))
    return Says([*thoughts, *texts, *called], pieces=say.pieces, wire=GeminiWire(**members))


def as_chat(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request for a chat completion that one for generateContent, or for embeddings, amounts to."""
    if "contents" not in request:
        return {"input": _embedded(request)}
    config = dict(request.get("generationConfig", {}))
    chat: dict[str, Any] = {"messages": _messages(request)}
    declared = [each for tool in request.get("tools", ()) for each in tool.get("functionDeclarations", ())]
    if declared:
        chat["tools"] = [{"type": "function", "function": _function(each)} for each in declared]
    chat |= {name: config[theirs] for theirs, name in _RENAMED.items() if theirs in config}
    if "responseJsonSchema" in config:
        schema = {"name": "schema", "schema": config["responseJsonSchema"]}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    return chat


def _embedded(request: Mapping[str, Any]) -> list[str]:
    if "requests" in request:
        return [each["content"]["parts"][0]["text"] for each in request["requests"]]
    return [each["content"] for each in request.get("instances", ())]


def _function(declared: Mapping[str, Any]) -> dict[str, Any]:
    names = {"name": "name", "description": "description", "parametersJsonSchema": "parameters"}
    return {names[name]: value for name, value in declared.items()}


def _messages(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    system = request.get("systemInstruction", {}).get("parts", ())
    messages: list[dict[str, Any]] = [{"role": "system", "content": part["text"]} for part in system]
    ids: list[str] = []
    for content in request["contents"]:
        parts = content["parts"]
        if content["role"] == "model":
            messages.append(_assistant(parts))
            ids = [made["id"] for made in messages[-1].get("tool_calls", ())]
        elif "functionResponse" in parts[0]:
            messages += [
                {"role": "tool", "tool_call_id": known, "content": _result(part["functionResponse"])}
                for known, part in zip(ids, parts, strict=True)
            ]
        else:
            messages.append({"role": "user", "content": _content(parts)})
    return messages


def _assistant(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    said = "".join(part["text"] for part in parts if "text" in part)
    message: dict[str, Any] = {"role": "assistant", "content": said or None}
    signed = [part["thoughtSignature"] for part in parts if part.get("thoughtSignature", DUMMY) != DUMMY]
    if signed:
        message["thinking_blocks"] = [
            {"type": "thinking", "thinking": "", "signature": f"gemini:{signature}"} for signature in signed
        ]
    made = [part["functionCall"] for part in parts if "functionCall" in part]
    if made:
        message["tool_calls"] = [
            {
                "id": each.get("id", f"c{number}"),
                "type": "function",
                "function": {"name": each["name"], "arguments": json.dumps(each["args"])},
            }
            for number, each in enumerate(made, 1)
        ]
    return message


def _result(response: Mapping[str, Any]) -> Any:
    said = response["response"]["output"]
    shown = [_part(part) for part in response.get("parts", ())]
    return [*([{"type": "text", "text": said}] if said else []), *shown] if shown else said


def _content(parts: Sequence[Mapping[str, Any]]) -> Any:
    return parts[0]["text"] if len(parts) == 1 and "text" in parts[0] else [_part(part) for part in parts]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if "text" in part:
        return {"type": "text", "text": part["text"]}
    if "fileData" in part:
        return {"type": "file", "file": {"file_id": part["fileData"]["fileUri"]}}
    media, data = part["inlineData"]["mimeType"], part["inlineData"]["data"]
    if media.startswith(_AUDIO):
        return {"type": "input_audio", "input_audio": {"data": data, "format": media.removeprefix(_AUDIO)}}
    url = f"data:{media};base64,{data}"
    if media.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"file_data": url}}
