"""What MCP servers say, as items: definitions of tools, results and errors of calls."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from llama_stack.agent.entries import Item
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack.mcp.errors import McpHTTPError, McpProtocolError, McpTimeout, McpUnreachable
from llama_stack.mcp.model import McpResult, McpTool
from llama_stack_api.errors import InvalidRequest, LlamaStackError

IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What models take."""

INTERNAL_ERROR: Final = -32603
INVALID_PARAMS: Final = -32602
CONNECTION_CLOSED: Final = -32000
REQUEST_TIMEOUT: Final = -32001
"""Codes of JSON-RPC, and those that MCP's own clients give to what happened on their side."""


@dataclass(frozen=True, slots=True)
class ResultLimits:
    """How much of a tool's result is kept and shown to the model: characters of text, images, and bytes of each."""

    text_chars_max: int = 200_000
    images_max: int = 8
    image_bytes_max: int = 5 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Output:
    """`text` is all of a result as text; `shown`, what the model sees: the text, or parts with images."""

    text: str
    shown: str | list[dict[str, Any]]


def definition_item(tool: McpTool) -> Item:
    """A tool of an `mcp_list_tools`."""
    return {
        "name": tool.name,
        "description": tool.description or tool.title,
        "input_schema": tool.input_schema,
        "annotations": tool.annotations,
    }


def pin_of(definition: Item) -> str:
    """The digest of all that an `mcp_list_tools` says of a tool: what the model was shown, and its annotations."""
    parts = [definition.get(name) or None for name in ("name", "description", "input_schema", "annotations")]
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def function_of(name: str, tool: Item, definition: Item) -> dict[str, Any]:
    """A tool of a listing as the model is offered it, under `name`."""
    about = tool.get("server_description")
    lines = [definition.get("description"), f"({tool['server_label']}: {about})" if about else None]
    schema = {key: value for key, value in (definition.get("input_schema") or {}).items() if key != "$schema"}
    function = {
        "name": name,
        "description": "\n".join(filter(None, lines)),
        "parameters": {"type": "object", "properties": {}, **schema},
    }
    return {"type": "function", "function": function}


def error_of(error: LlamaStackError) -> Item:
    """The `error` of an `mcp_call` that gave no result."""
    if isinstance(error, McpHTTPError):
        return {"type": "http_error", "code": error.http_status, "message": error.message}
    return {"type": "mcp_protocol_error", "code": _code(error), "message": error.message}


def _code(error: LlamaStackError) -> int:
    match error:
        case McpProtocolError(rpc_code=int(code)):
            return code
        case McpTimeout() | LlamaStackError(code="tool_timeout"):
            return REQUEST_TIMEOUT
        case McpUnreachable():
            return CONNECTION_CLOSED
        case InvalidRequest():
            return INVALID_PARAMS
        case _:
            return INTERNAL_ERROR


def arguments_of(text: str) -> dict[str, Any]:
    """The model's arguments. `InvalidRequest` if they are no JSON object."""
    try:
        arguments = msgspec.json.decode(text or "{}")
    except UNREADABLE as error:
        raise InvalidRequest(f"the arguments are not valid JSON: {error}", param="arguments") from None
    if not isinstance(arguments, dict):
        raise InvalidRequest("the arguments are not a JSON object", param="arguments")
    return arguments


def output_of(result: McpResult, limits: ResultLimits) -> Output:
    images = list(_images(result.content, limits))
    kept = {id(block) for block, _ in images}
    texts = [text for block in result.content if (text := _text(block, shown=id(block) in kept))]
    if not texts and result.structured is not None:
        texts = [msgspec.json.encode(result.structured).decode()]
    text = _cut("\n".join(texts), limits.text_chars_max)
    if not images:
        return Output(text, text)
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
    return Output(text, parts + [{"type": "image_url", "image_url": {"url": url}} for _, url in images])


def _images(content: Sequence[Item], limits: ResultLimits) -> Iterator[tuple[Item, str]]:
    """The images that a model can be shown, each with its data URL."""
    left = limits.images_max
    for block in content:
        data, media_type = block.get("data"), block.get("mimeType")
        if block.get("type") != "image" or media_type not in IMAGE_TYPES or not isinstance(data, str) or not left:
            continue
        try:
            image = b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            continue
        if 0 < len(image) <= limits.image_bytes_max:
            left -= 1
            yield block, f"data:{media_type};base64,{data}"


def _text(block: Item, *, shown: bool) -> str:
    match block:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "resource", "resource": {"text": str(text), **resource}}:
            return f"{resource.get('uri', '')}\n{text}".strip()
        case {"type": "resource", "resource": {**resource}}:
            return f"[{resource.get('uri', 'a resource')}: {resource.get('mimeType') or 'binary data'}, not shown]"
        case {"type": "resource_link", "uri": uri}:
            return f"[{block.get('name') or 'resource'}]({uri})"
        case {"type": "image" | "audio" as kind}:
            return f"[{kind}: {block.get('mimeType')}{'' if shown else ', not shown'}]"
        case _:
            return f"[content of type {block.get('type')!r}, not shown]"


def _cut(text: str, chars_max: int) -> str:
    if len(text) <= chars_max:
        return text
    return f"{text[:chars_max]}\n[The result has {len(text)} characters, of which the first {chars_max} are given.]"
