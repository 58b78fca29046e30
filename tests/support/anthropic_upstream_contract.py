"""What Anthropic's Messages API refuses of a request, in the order of the request: the first thing that is wrong.

It is as strict as the real one where a translation can go wrong: limits, roles, which tool result belongs to which
call, signatures of thoughts, and members that it does not know.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

TOP = {
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
}
COUNTED = TOP - {"max_tokens", "stream", "temperature", "top_k", "top_p", "stop_sequences", "metadata", "service_tier"}
BLOCKS = {
    "user": {"text", "image", "document", "search_result", "tool_result"},
    "assistant": {
        "text",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "mcp_tool_use",
        "mcp_tool_result",
    },
}
IMAGES = {"image/jpeg", "image/png", "image/gif", "image/webp"}
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")


class Violation(Exception):
    """The message of a 400."""


def signature_of(thinking: str) -> str:
    """The signature that the loopback model puts under a thought, and wants to see again."""
    return "sig-" + hashlib.sha256(thinking.encode()).hexdigest()[:24]


def redacted_data(thinking: str) -> str:
    return "hidden-" + hashlib.sha256(thinking.encode()).hexdigest()[:24]


def check_message(body: Any, *, beta: bool, counting: bool = False) -> None:
    """Raises `Violation` for a request that Anthropic refuses. `beta`: an `anthropic-beta` header came along, so that
    unknown members may be meant."""
    _need(isinstance(body, dict), "The request body is not a JSON object.")
    _need(isinstance(body.get("model"), str) and body["model"], "model: Field required")
    if not counting:
        _check_numbers(body)
    extra = set(body) - (COUNTED if counting else TOP)
    _need(beta or not extra, f"{min(extra, default='')}: Extra inputs are not permitted")
    _check_system(body.get("system"))
    _check_tools(body)
    _check_thinking(body, counting)
    messages = body.get("messages")
    _need(isinstance(messages, list) and messages, "messages: at least one message is required")
    assert isinstance(messages, list)
    for at, message in enumerate(messages):
        _check_turn(f"messages.{at}", message, last=at == len(messages) - 1)
    _check_pairs(_merged(messages))
    _check_thoughts_before_tools(body)


def _check_numbers(body: Mapping[str, Any]) -> None:
    tokens: Any = body.get("max_tokens")
    _need(tokens is not None, "max_tokens: Field required")
    _need(_is_int(tokens) and tokens >= 1, "max_tokens: must be greater than or equal to 1")
    for name in ("temperature", "top_p"):
        value = body.get(name, 0)
        _need(isinstance(value, int | float) and 0 <= value <= 1, f"{name}: range: 0..1")
    _need(_is_int(body.get("top_k", 0)), "top_k: Input should be a valid integer")
    stops = body.get("stop_sequences", [])
    _need(isinstance(stops, list), "stop_sequences: Input should be a valid list")
    for stop in stops:
        _need(isinstance(stop, str) and stop.strip(), "stop_sequences: each stop sequence must contain non-whitespace")
    _need(set(body.get("metadata") or {}) <= {"user_id"}, "metadata: Extra inputs are not permitted")
    _need(body.get("service_tier", "auto") in ("auto", "standard_only"), "service_tier: Input should be 'auto'")


def _check_system(system: Any) -> None:
    if system is None or isinstance(system, str):
        return
    _need(isinstance(system, list), "system: Input should be a valid string or list")
    for block in system:
        _need(isinstance(block, dict) and block.get("type") == "text", "system: Input tag should be 'text'")
        _need(block.get("text"), "system: text content blocks must be non-empty")


def _check_tools(body: Mapping[str, Any]) -> None:
    tools = body.get("tools") or []
    names = []
    for at, tool in enumerate(tools):
        if tool.get("type") == "mcp_toolset":
            continue
        _need(_TOOL_NAME.fullmatch(str(tool.get("name"))), f"tools.{at}.name: String should match pattern")
        names.append(tool["name"])
        if tool.get("type", "custom") == "custom":
            schema = tool.get("input_schema")
            _need(isinstance(schema, dict), f"tools.{at}.custom.input_schema: Field required")
            _need(schema.get("type") == "object", f"tools.{at}.custom.input_schema.type: Input should be 'object'")
    _need(len(names) == len(set(names)), "tools: Tool names must be unique.")
    choice = body.get("tool_choice")
    if choice is None:
        return
    _need(tools, "tool_choice may only be specified while providing tools.")
    _need(isinstance(choice, dict), "tool_choice: Input should be a valid dictionary")
    _need(choice.get("type") in ("auto", "any", "tool", "none"), "tool_choice: Input tag not found")
    if choice["type"] == "tool":
        _need(choice.get("name") in names, f"Tool '{choice.get('name')}' not found in provided tools")


def _check_thinking(body: Mapping[str, Any], counting: bool) -> None:
    thinking = body.get("thinking") or {"type": "disabled"}
    _need(thinking.get("type") in ("enabled", "disabled", "adaptive"), "thinking: Input tag not found")
    if thinking["type"] == "enabled":
        budget: Any = thinking.get("budget_tokens")
        _need(_is_int(budget) and budget >= 1024, "thinking.enabled.budget_tokens: should be at least 1024")
        _need(counting or budget < body["max_tokens"], "`max_tokens` must be greater than `thinking.budget_tokens`.")
    if thinking["type"] != "disabled":
        _need(body.get("temperature", 1) == 1, "`temperature` may only be set to 1 when thinking is enabled.")
        _need("top_k" not in body, "`top_k` must be unset when thinking is enabled.")
        forced = (body.get("tool_choice") or {}).get("type") in ("any", "tool")
        _need(not forced, "Thinking may not be enabled when tool_choice forces tool use.")


def _check_turn(where: str, message: Any, *, last: bool) -> None:
    _need(isinstance(message, dict), f"{where}: Input should be a valid dictionary")
    _need(set(message) <= {"role", "content"}, f"{where}: Extra inputs are not permitted")
    role, content = message.get("role"), message.get("content")
    _need(role in BLOCKS, f'{where}: Unexpected role "{role}". Use the top-level `system` parameter.')
    _need(
        content or (last and role == "assistant"),
        f"{where}: all messages must have non-empty content except for the optional final assistant message",
    )
    if isinstance(content, str):
        return
    _need(isinstance(content, list), f"{where}.content: Input should be a valid list")
    results_over = False
    for at, block in enumerate(content):
        here = f"{where}.content.{at}"
        _need(isinstance(block, dict) and block.get("type") in BLOCKS[role], f"{here}: Input tag not found")
        if block["type"] == "tool_result":
            _need(not results_over, f"{here}: tool_result blocks must come before other content")
        results_over |= block["type"] != "tool_result"
        _check_block(here, block)


def _check_block(where: str, block: Mapping[str, Any]) -> None:
    match block["type"]:
        case "text":
            _need(isinstance(block.get("text"), str), f"{where}.text.text: Field required")
            _need(block["text"].strip(), f"{where}: text content blocks must contain non-whitespace text")
        case "image":
            _check_source(where, block.get("source"))
        case "tool_use":
            _need(_TOOL_ID.fullmatch(str(block.get("id"))), f"{where}.tool_use.id: String should match pattern")
            _need(isinstance(block.get("name"), str), f"{where}.tool_use.name: Field required")
            _need(isinstance(block.get("input"), dict), f"{where}.tool_use.input: Input should be a valid dictionary")
        case "tool_result":
            _need(isinstance(block.get("tool_use_id"), str), f"{where}.tool_result.tool_use_id: Field required")
            for inner in block["content"] if isinstance(block.get("content"), list) else ():
                kinds = {"text", "image", "document", "search_result"}
                _need(inner.get("type") in kinds, f"{where}.tool_result.content: Input tag not found")
                _check_block(where, inner)
        case "thinking":
            text = block.get("thinking")
            _need(isinstance(text, str), f"{where}.thinking.thinking: Field required")
            _need(isinstance(block.get("signature"), str), f"{where}.thinking.signature: Field required")
            genuine = block["signature"] == signature_of(str(text))
            _need(genuine, f"{where}: Invalid `signature` in `thinking` block")
        case "redacted_thinking":
            data = str(block.get("data"))
            _need(data.startswith("hidden-"), f"{where}: Invalid `data` in `redacted_thinking` block")


def _check_source(where: str, source: Any) -> None:
    _need(isinstance(source, dict), f"{where}.image.source: Field required")
    match source.get("type"):
        case "base64":
            _need(source.get("media_type") in IMAGES, f"{where}.image.source.base64.media_type: Input should be …")
            _need(source.get("data"), f"{where}.image.source.base64.data: Field required")
        case "url":
            _need(str(source.get("url")).startswith("http"), f"{where}.image.source.url: Only HTTP URLs are supported")
        case "file":
            _need(source.get("file_id"), f"{where}.image.source.file.file_id: Field required")
        case other:
            raise Violation(f"{where}.image.source: Input tag '{other}' not found")


def _merged(messages: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Turns: messages of one role in a row are one."""
    turns: list[tuple[str, list[Mapping[str, Any]]]] = []
    for message in messages:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if turns and turns[-1][0] == message["role"]:
            turns[-1][1].extend(blocks)
        else:
            turns.append((message["role"], list(blocks)))
    return turns


def _check_pairs(turns: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> None:
    called: list[str] = []
    for role, blocks in turns:
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        stray = [identifier for identifier in answered if identifier not in called]
        _need(not stray, f"unexpected `tool_use_id` found in `tool_result` blocks: {', '.join(stray)}.")
        _need(len(answered) == len(set(answered)), "each tool_use must have a single result.")
        missing = [identifier for identifier in called if identifier not in answered]
        _need(
            not missing,
            f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}.",
        )
        called = list(_calls(blocks)) if role == "assistant" else []
        _need(len(called) == len(set(called)), "`tool_use` ids must be unique")
    _need(not called, f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(called)}.")


def _check_thoughts_before_tools(body: Mapping[str, Any]) -> None:
    """A turn of tool calls that is still going on begins with a thought, if the model is to think."""
    if (body.get("thinking") or {}).get("type") != "enabled":
        return
    turns = _merged(body["messages"])
    while turns and turns[-1][0] == "user" and any(block["type"] == "tool_result" for block in turns[-1][1]):
        blocks = turns[-2][1]
        first = blocks[0]["type"] if blocks else "nothing"
        _need(
            first in ("thinking", "redacted_thinking"),
            f"Expected `thinking` or `redacted_thinking`, but found `{first}`. When `thinking` is enabled, a final "
            "`assistant` message must start with a thinking block.",
        )
        del turns[-2:]


def _calls(blocks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    return (block["id"] for block in blocks if block["type"] == "tool_use")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _need(holds: Any, message: str) -> None:
    if not holds:
        raise Violation(message)
