"""What a request says of an MCP server's tools: where they are, which of them it wants, which need an approval.

`require_approval` is `always`, `never`, or lists of names or filters for either. Left out it is `never`, as Llama Stack
has always had it (OpenAI's default is `always`). A tool that `always` selects needs an approval; if there is a `never`,
so does every tool that it does not select.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from llama_stack.agent.entries import Item
from llama_stack_api.errors import InvalidRequest, UnsupportedParameter

URL_CHARS_MAX: Final = 2048
LABEL_CHARS_MAX: Final = 256
SERVERS_MAX: Final = 64
HEADERS_MAX: Final = 64
HEADER_CHARS_MAX: Final = 16 * 1024
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def check_server(tool: Item) -> None:
    """`InvalidRequest` for a tool of the request that cannot name a server. A `server_url` goes before a
    `connector_id`."""
    label = tool.get("server_label")
    if not isinstance(label, str) or not 0 < len(label) <= LABEL_CHARS_MAX:
        raise InvalidRequest(
            f"An MCP tool has a server_label of 1 to {LABEL_CHARS_MAX} characters.", param="server_label"
        )
    url = tool.get("server_url")
    if url:
        check_url(url, "server_url")
    elif not tool.get("connector_id"):
        if tool.get("tunnel_id"):
            raise UnsupportedParameter(
                f"The MCP server {label!r} is named by tunnel_id, which this server does not have: tunnels belong to "
                "OpenAI's platform. Use server_url or connector_id.",
                param="tunnel_id",
            )
        raise InvalidRequest(f"The MCP server {label!r} needs a server_url or a connector_id.", param="server_url")
    headers = tool.get("headers") or {}
    check_headers(headers, "headers")
    if tool.get("authorization") and authorization_in(headers):
        raise InvalidRequest(
            f"The MCP server {label!r} has both authorization and an Authorization header; send one of them.",
            param="authorization",
        )


def check_labels(tools: Sequence[Item]) -> None:
    """`InvalidRequest` if two MCP tools of a request have the same `server_label`, or there are too many of them."""
    seen: set[Any] = set()
    for index, tool in enumerate(tools):
        if tool.get("type") != "mcp":
            continue
        label = tool.get("server_label")
        if label in seen:
            raise InvalidRequest(
                f"Two MCP tools have the server_label {label!r}; each needs its own.",
                param=f"tools[{index}].server_label",
            )
        seen.add(label)
        if len(seen) > SERVERS_MAX:
            raise InvalidRequest(f"A request names at most {SERVERS_MAX} MCP servers.", param="tools")


def check_url(url: str, param: str) -> None:
    """`InvalidRequest` unless it is an HTTP address without credentials. Where it may lead is the egress guard's."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or len(url) > URL_CHARS_MAX:
        raise InvalidRequest(
            f"The address of an MCP server is an http or https URL of at most {URL_CHARS_MAX} characters.", param=param
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest(
            "The address of an MCP server holds no credentials: send them as authorization or headers.", param=param
        )


def check_headers(headers: Mapping[str, str], param: str) -> None:
    """`InvalidRequest` for what no HTTP request could carry. No value is echoed."""
    if len(headers) > HEADERS_MAX:
        raise InvalidRequest(f"An MCP server gets at most {HEADERS_MAX} headers.", param=param)
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value) or len(value) > HEADER_CHARS_MAX:
            raise InvalidRequest(
                f"The header {name[:128]!r} is no HTTP header of at most {HEADER_CHARS_MAX} characters.", param=param
            )


def authorization_in(headers: Mapping[str, Any]) -> bool:
    return any(name.lower() == "authorization" for name in headers)


def selects(selection: Any, definition: Item) -> bool:
    """Whether a list of names, or a filter, selects a tool of a listing. Every criterion of a filter must hold;
    `read_only` goes by what the server says of the tool."""
    if isinstance(selection, list):
        return definition["name"] in selection
    names, read_only = selection.get("tool_names"), selection.get("read_only")
    if names is not None and definition["name"] not in names:
        return False
    return read_only is None or read_only == hints(definition, "readOnlyHint")


def allowed(tool: Item, definition: Item) -> bool:
    selection = tool.get("allowed_tools")
    return selection is None or selects(selection, definition)


def needs_approval(tool: Item, definition: Item) -> bool:
    policy = tool.get("require_approval")
    if not isinstance(policy, dict):
        return bool(policy == "always")
    always, never = policy.get("always"), policy.get("never")
    if always is not None and selects(always, definition):
        return True
    return never is not None and not selects(never, definition)


def hints(definition: Item, hint: str) -> bool:
    """Whether the server gives a tool the annotation `hint`. It may lie."""
    annotations = definition.get("annotations")
    return isinstance(annotations, dict) and annotations.get(hint) is True
