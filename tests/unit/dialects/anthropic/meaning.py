"""What a conversation means, whichever API it is written for: the normal form in which translations are compared.

    system      all instructions, joined by lines: a Messages request has one place for them
    turns       runs of one role. The user's: results by the id of their call (`Error: ` before one that failed),
                text, and media, those of results first, in the order of the calls, for chat shows them there. The
                assistant's: what it signed, what it said, what it called with which arguments
    the rest    parameters, in the words of chat completions

Not part of it: thoughts that nobody signed (they cannot be sent to Anthropic), the borders of text blocks in a row, and
a participant's name.
"""

from __future__ import annotations

import json
from typing import Any

from llama_stack.dialects.anthropic.chat_calls import SHOWN_BELOW

Json = dict[str, Any]

LABEL = "Output of "
"""How the text begins that tells the user's message which call the media behind it are of."""


def meaning_of_chat(chat: Json) -> Json:
    system, turns = [], _Turns()
    for message in chat["messages"]:
        content = message.get("content") or []
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        texts = [part["text"] for part in parts if part["type"] == "text"]
        match message["role"]:
            case "system" | "developer":
                system += texts
            case "assistant":
                turn = turns.of("assistant")
                turn["signed"] += [tuple(sorted(block.items())) for block in message.get("thinking_blocks", ())]
                turn["said"] += texts
                for call in message.get("tool_calls", ()):
                    turn["called"].append((call["id"], call["function"]["name"], _loaded(call)))
            case "tool":
                text = "\n".join(texts)
                turns.of("user")["results"][message["tool_call_id"]] = "" if text == SHOWN_BELOW else text
            case "user":
                turn = turns.of("user")
                turn["said"] += [text for text in texts if not text.startswith(LABEL)]
                turn["media"] += [_chat_media(part) for part in parts if part["type"] != "text"]
    return {"system": "\n".join(system), "turns": turns.whole(), **_chat_parameters(chat)}


def meaning_of_messages(request: Json) -> Json:
    system, turns, order = _texts(request.get("system")), _Turns(), list[str]()
    for message in request["messages"]:
        blocks = message["content"]
        blocks = [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks
        if message["role"] == "system":
            system += _texts(blocks)
            continue
        turn = turns.of(message["role"])
        turn["signed"] += [tuple(sorted(block.items())) for block in blocks if _is_signed(block)]
        turn["said"] += [text for text in _texts(blocks) if not text.startswith(LABEL)]
        calls = [(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
        turn["called"] += calls
        order += [call[0] for call in calls]
        results = sorted((b for b in blocks if b["type"] == "tool_result"), key=lambda b: order.index(b["tool_use_id"]))
        for block in results:
            text = "\n".join(_texts(block.get("content")))
            turn["results"][block["tool_use_id"]] = f"Error: {text}" if block.get("is_error") else text
            turn["media"] += _media(block.get("content"))
        turn["media"] += _media(blocks)
    return {"system": "\n".join(system), "turns": turns.whole(), **_messages_parameters(request)}


class _Turns:
    def __init__(self) -> None:
        self._turns: list[Json] = []

    def of(self, role: str) -> Json:
        if not self._turns or self._turns[-1]["role"] != role:
            self._turns.append({"role": role, "signed": [], "said": [], "called": [], "results": {}, "media": []})
        return self._turns[-1]

    def whole(self) -> list[Json]:
        return [{**turn, "said": "\n".join(turn["said"])} for turn in self._turns]


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content] if content else []
    return [block["text"] for block in content or () if block["type"] == "text"]


def _is_signed(block: Json) -> bool:
    return bool(block["type"] == "redacted_thinking" or block.get("signature"))


def _media(content: Any) -> list[Any]:
    blocks = content if isinstance(content, list) else []
    return [_block_media(block) for block in blocks if block["type"] in ("image", "document")]


def _block_media(block: Json) -> tuple[str, ...]:
    source = block["source"]
    url = source["url"] if source["type"] == "url" else f"data:{source['media_type']};base64,{source['data']}"
    return ("image", url) if block["type"] == "image" else ("file", block.get("title", ""), url)


def _chat_media(part: Json) -> tuple[str, ...]:
    if part["type"] == "image_url":
        return ("image", part["image_url"]["url"])
    return ("file", part["file"].get("filename", ""), part["file"]["file_data"])


def _loaded(call: Json) -> Any:
    return json.loads(call["function"]["arguments"])


def _chat_parameters(chat: Json) -> Json:
    choice = chat.get("tool_choice", "auto")
    return {
        "tools": [tool["function"] for tool in chat.get("tools", ())],
        "choice": choice if isinstance(choice, str) else ("function", choice["function"]["name"]),
        "parallel": chat.get("parallel_tool_calls", True),
        "max_tokens": chat.get("max_completion_tokens"),
        "stop": chat.get("stop", []),
        "sampling": tuple(chat.get(name) for name in ("temperature", "top_p", "top_k")),
        "user": chat.get("user"),
        "effort": chat.get("reasoning_effort"),
        "schema": chat.get("response_format", {}).get("json_schema", {}).get("schema"),
    }


def _messages_parameters(request: Json) -> Json:
    choice, config = request.get("tool_choice", {}), request.get("output_config", {})
    modes: dict[Any, Any] = {None: "auto", "any": "required", "tool": ("function", choice.get("name"))}
    disabled = request.get("thinking", {}).get("type") == "disabled"
    return {
        "tools": [_function(tool) for tool in request.get("tools", ())],
        "choice": modes.get(choice.get("type"), choice.get("type")),
        "parallel": not choice.get("disable_parallel_tool_use", False),
        "max_tokens": request["max_tokens"],
        "stop": request.get("stop_sequences", []),
        "sampling": tuple(request.get(name) for name in ("temperature", "top_p", "top_k")),
        "user": request.get("metadata", {}).get("user_id"),
        "effort": "none" if disabled else config.get("effort"),
        "schema": config.get("format", {}).get("schema"),
    }


def _function(tool: Json) -> Json:
    named = {"input_schema": "parameters"}
    return {named.get(name, name): value for name, value in tool.items()}
