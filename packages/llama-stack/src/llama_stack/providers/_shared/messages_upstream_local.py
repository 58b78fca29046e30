"""Anthropic's Messages API at an inference engine of one's own (Ollama, vLLM): newer ones have it, in part.

Whatever it lacks raises `NotImplementedByProvider`, on which the server translates the request to chat: the
route itself at an older engine, and what a request may hold that engines refuse or read over.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack.providers._shared.messages_upstream import MessagesUpstream
from llama_stack.providers._shared.openai_compatible import OpenAICompatibleConfig
from llama_stack_api.errors import LlamaStackError, NotImplementedByProvider
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext

if TYPE_CHECKING:
    from llama_stack_api.anthropic.messages import CountTokensRequest

ASKED_AGAIN_S = 600.0
ROUTES_REMEMBERED_MAX = 64
_UNKNOWN_ROUTE = (404, 405, 501)


class LocalMessagesUpstream(MessagesUpstream):
    takes_thinking: ClassVar[bool] = True
    chooses_tools: ClassVar[bool] = True
    """Whether it honours a `tool_choice`."""

    def __init__(self, config: OpenAICompatibleConfig, context: ProviderContext) -> None:
        super().__init__(config, context)
        self._missing_until: dict[str, float] = {}

    def check_message(self, params: CountTokensRequest) -> None:
        lacking = next(self._lacking(params.model_dump(mode="json", exclude_unset=True)), None)
        if lacking is not None:
            raise NotImplementedByProvider(f"Provider '{self.name}' does not take {lacking} in its Messages API.")

    async def post_message(self, url: str, body: bytes, call: Call) -> HttpReply:
        if self._missing_until.get(url, 0.0) > time.monotonic():
            raise self._missing()
        return await super().post_message(url, body, call)

    def error_of_message(self, url: str, reply: HttpReply, body: bytes) -> LlamaStackError:
        if reply.status not in _UNKNOWN_ROUTE or _in_the_apis_words(body):
            return super().error_of_message(url, reply, body)
        if len(self._missing_until) >= ROUTES_REMEMBERED_MAX:
            self._missing_until.clear()
        # Not for ever: the engine may be replaced by a newer one under the same address.
        self._missing_until[url] = time.monotonic() + ASKED_AGAIN_S
        return self._missing()

    def _missing(self) -> NotImplementedByProvider:
        return NotImplementedByProvider(f"Provider '{self.name}' has no Messages API, or not all of it.")

    def _lacking(self, request: dict[str, Any]) -> Iterator[str]:
        """What a request holds that the engine would not honour."""
        yield from (name for name in ("mcp_servers", "output_config", "output_format") if request.get(name))
        if any(tool.get("type") not in (None, "custom") for tool in request.get("tools") or ()):
            yield "server tools"
        choice = request.get("tool_choice") or {}
        if choice.get("disable_parallel_tool_use") or choice.get("type") == "none":
            yield "this tool_choice"
        if not self.chooses_tools and choice.get("type", "auto") != "auto":
            yield "this tool_choice"
        if not self.takes_thinking and (request.get("thinking") or {}).get("type", "disabled") != "disabled":
            yield "thinking"
        for message in request["messages"]:
            if message["role"] == "system":
                yield "system messages in mid-conversation"
            yield from self._lacking_of(message.get("content"))

    def _lacking_of(self, content: Any) -> Iterator[str]:
        for block in content if isinstance(content, list) else ():
            match block.get("type"):
                case "text" | "tool_use":
                    continue
                case "thinking" if self.takes_thinking:
                    continue
                case "image" if block["source"].get("type") == "base64":
                    continue
                case "tool_result":
                    yield from self._lacking_of(block.get("content"))
                case kind:
                    yield f"blocks of type '{kind}'"


def _in_the_apis_words(body: bytes) -> bool:
    """A server that knows the route says in Anthropic's shape that a model is not found; any other, in its own."""
    try:
        said = msgspec.json.decode(body)
    except UNREADABLE:
        return False
    return isinstance(said, dict) and said.get("type") == "error"
