"""What the suite says in OpenAI's words, in those of Anthropic's upstreams."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from llama_stack.dialects.anthropic.to_chat import chat_request
from tests.support.anthropic_upstream import TYPES, MessagesWire, Says, says, thought, tool_use
from tests.support.anthropic_upstream_bedrock import on_bedrock
from tests.support.upstream import Answer, Recorded, Say, Wire


def as_chat(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return chat_request(dict(request))


def speaks_to_anthropic(say: Say) -> Says:
    return _said(say, _anthropics_error)


def speaks_on_bedrock(say: Say) -> Callable[[Recorded], Answer]:
    return on_bedrock(_said(say, _bedrocks_error))


def _said(say: Say, error: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Says:
    thoughts = [thought(say.reasoning)] if say.reasoning else []
    called = [tool_use(tool.name, json.loads(tool.text), tool.id) for tool in say.tools]
    texts = [say.content or ""] if say.content or say.pieces else []
    members = {name: getattr(say.wire, name) for name in Wire.__dataclass_fields__ if name != "done"}
    if say.wire.inject is not None and isinstance(say.wire.inject[1], Mapping):
        members["inject"] = (say.wire.inject[0], error(say.wire.inject[1]["error"]))
    return says(*thoughts, *texts, *called, pieces=say.pieces, wire=MessagesWire(**members))


def _anthropics_error(error: Mapping[str, Any]) -> dict[str, Any]:
    kind = TYPES.get(error.get("code", 500), "api_error")
    return {"type": "error", "error": {"type": kind, "message": error["message"]}}


def _bedrocks_error(error: Mapping[str, Any]) -> dict[str, Any]:
    kind = "throttlingException" if error.get("code") == 429 else "internalServerException"
    return {"exception": kind, "message": error["message"]}
