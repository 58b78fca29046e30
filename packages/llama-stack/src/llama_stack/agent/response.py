"""The response as JSON: what has come of it, under the settings that are in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from llama_stack.agent.entries import Item
from llama_stack.agent.include import visible
from llama_stack.agent.turn import Turn, Usage
from llama_stack.runs.model import RunError

DEFAULTS: Final[Mapping[str, Any]] = {
    "background": False,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "service_tier": "auto",
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
}
"""Settings that a response always repeats; null in a request is the default."""
IF_GIVEN: Final = ("max_infer_iters", "moderation", "prompt", "prompt_cache_options", "prompt_cache_retention", "user")

ERROR_CODES: Final = frozenset(
    {
        "server_error", "rate_limit_exceeded", "invalid_prompt", "vector_store_timeout", "invalid_image",
        "invalid_image_format", "invalid_base64_image", "invalid_image_url", "image_too_large", "image_too_small",
        "image_parse_error", "image_content_policy_violation", "invalid_image_mode", "image_file_too_large",
        "unsupported_image_media_type", "empty_image_file", "failed_to_download_image", "image_file_not_found",
        "context_length_exceeded", "credentials_lost",
    }
)  # fmt: skip
"""Those of the contract, and two of ours that clients act on."""


class ResponseJson:
    """Renders one response at any time of its life; what stays the same is encoded once."""

    def __init__(self, turn: Turn, run_id: str) -> None:
        self._head = {"id": run_id, "object": "response", "created_at": turn.created_at}
        self._include = frozenset(turn.request.get("include") or ())
        settings = settings_of(turn)
        self._service_tier = settings.pop("service_tier")
        self._settings = msgspec.json.encode(settings)

    def encode(
        self,
        status: str,
        output: Sequence[Item] = (),
        *,
        usage: Usage | None = None,
        reason: str | None = None,
        error: RunError | None = None,
        service_tier: str | None = None,
        completed_at: int | None = None,
    ) -> bytes:
        """`output` are whole items; what the client did not ask for is taken out. `reason` is why it is incomplete.
        Without a `usage`, none was used yet."""
        state: dict[str, Any] = {
            **self._head,
            "status": status,
            "completed_at": completed_at,
            "error": None if error is None else error_json(error),
            "incomplete_details": None if reason is None else {"reason": reason},
            "output": [visible(item, self._include) for item in output],
            "usage": usage_json(usage or Usage()),
            "service_tier": service_tier or self._service_tier,
        }
        return b"%b,%b" % (msgspec.json.encode(state)[:-1], self._settings[1:])

    def event(self, kind: str, number: int, response: bytes) -> bytes:
        return b'{"type":"%b","sequence_number":%d,"response":%b}' % (kind.encode(), number, response)


def response_json(turn: Turn, run_id: str, *, status: str, output: Sequence[Item] = (), **state: Any) -> dict[str, Any]:
    """The response as a dict; `state` as `ResponseJson.encode` takes it."""
    rendered: dict[str, Any] = msgspec.json.decode(ResponseJson(turn, run_id).encode(status, output, **state))
    return rendered


def settings_of(turn: Turn) -> dict[str, Any]:
    request = turn.request
    settings = {name: default if (given := request.get(name)) is None else given for name, default in DEFAULTS.items()}
    settings |= {name: request[name] for name in IF_GIVEN if request.get(name) is not None}
    conversation = turn.conversation
    reasoning = request.get("reasoning") or {}
    text = request.get("text") or {}
    return {
        **settings,
        "model": request.get("model") or "",
        "conversation": None if conversation is None else {"id": conversation},
        "previous_response_id": turn.previous or request.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None, **reasoning},
        "text": {**text, "format": text.get("format") or {"type": "text"}},
        "tools": [_tool(tool) for tool in request.get("tools") or ()],
    }


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    match tool.get("type"):
        case "function":
            return {"description": None, "parameters": None, **tool, "strict": tool.get("strict") or False}
        case "namespace":
            return {**tool, "tools": [_tool(each) for each in tool.get("tools") or ()]}
        case "custom":
            return {**tool, "format": tool.get("format") or {"type": "text"}}
        case "mcp":
            return {**tool, "require_approval": tool.get("require_approval") or "never"}
        case "web_search" | "web_search_2025_08_26" | "web_search_preview" | "web_search_preview_2025_03_11":
            return {**tool, "search_context_size": tool.get("search_context_size") or "medium"}
        case _:
            return dict(tool)


def usage_json(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def error_json(error: RunError) -> dict[str, str]:
    """The contract has few codes: what has none of them is a `server_error` that names ours in its message."""
    if error.code in ERROR_CODES:
        return {"code": error.code, "message": error.message}
    return {"code": "server_error", "message": f"{error.message} ({error.code})"}
