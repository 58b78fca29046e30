"""Claude on Bedrock, by its Messages API.

Requests are Anthropic's but for the model, which is in the address, and the betas, which are in the body; streams are
AWS's binary events with Anthropic's inside. A guardrail is named in headers, and tells in members of its own what it
did: a message in which it intervened ends in `refusal`.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from pydantic import BaseModel

from llama_stack.dialects.anthropic.own_thoughts import without_foreign_thoughts
from llama_stack.dialects.converse.errors import EXCEPTION, error_of_event, error_of_reply
from llama_stack.dialects.converse.families import foundation_of
from llama_stack.dialects.openai.errors import UNREADABLE
from llama_stack.providers._shared.aws_events import AwsJsonEvents
from llama_stack.providers._shared.bedrock_upstream import BedrockUpstream
from llama_stack.providers._shared.messages_upstream import BETA_HEADER
from llama_stack.providers._shared.messages_upstream_chat import ChatByMessages
from llama_stack_api.errors import LlamaStackError, NotImplementedByProvider, ProviderStreamBroken
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.principal import Call
from llama_stack_api.wire import EncodedStream

if TYPE_CHECKING:
    from llama_stack_api.anthropic.messages import CountTokensRequest

ANTHROPIC_VERSION: Final = "bedrock-2023-05-31"
ACTION: Final = "amazon-bedrock-guardrailAction"
_INTERVENED: Final = "INTERVENED"
_SERVERS_OWN_TOOLS: Final = ("code_execution", "mcp_toolset", "web_fetch", "web_search")


class ClaudeOnBedrock(BedrockUpstream, ChatByMessages):
    """`CreatesMessages` and `CountsMessageTokens`, and chat by them."""

    async def anthropic_count_tokens(self, params: CountTokensRequest, call: Call) -> int:
        self.check_message(params)
        return await self.count_message(params.model_dump(mode="json", exclude_unset=True), params.model, call)

    async def count_message(self, request: Mapping[str, Any], model: str, call: Call) -> int:
        # What is counted is a whole request, which has a limit of tokens, though it does not matter.
        body = base64.b64encode(self.message_body({"max_tokens": 1, **request}, call)).decode()
        # Profiles count by the model that they stand for.
        url = self.model_url(await self.foundation(model, call) or foundation_of(model), "count-tokens", call)
        counting = msgspec.json.encode({"input": {"invokeModel": {"body": body}}})
        return self.counted(await self.decoded(await self.post(url, counting, call)), "inputTokens")

    # --- the differences from Anthropic's own API

    def check_message(self, params: CountTokensRequest) -> None:
        said = params.model_dump(mode="json", include={"mcp_servers", "tools"}, exclude_unset=True)
        if said.get("mcp_servers") or any(_runs_at_the_server(tool) for tool in said.get("tools") or ()):
            raise NotImplementedByProvider(f"Provider '{self.name}': Bedrock runs no tools of its own for Claude.")

    def message_url(self, model: str, call: Call, *, stream: bool) -> str:
        return self.model_url(model, "invoke-with-response-stream" if stream else "invoke", call)

    def message_body(self, request: BaseModel | Mapping[str, Any], call: Call) -> bytes:
        if isinstance(request, BaseModel):
            request = request.model_dump(mode="json", exclude_unset=True)
        request = without_foreign_thoughts(dict(request))
        body = {name: value for name, value in request.items() if name not in ("model", "stream")}
        body["anthropic_version"] = ANTHROPIC_VERSION
        if betas := [beta.strip() for beta in call.forward_headers.get(BETA_HEADER, "").split(",") if beta.strip()]:
            body["anthropic_beta"] = betas
        return msgspec.json.encode(body)

    async def message_headers(self, url: str, body: bytes, call: Call) -> Mapping[str, str]:
        return await self.authorized("POST", url, body, call, self._guardrail_headers())

    async def message(self, request: BaseModel | Mapping[str, Any], model: str, call: Call) -> bytes:
        body = await super().message(request, model, call)
        return _judged(body) if self.config.guardrail_identifier is not None else body

    def opened(self, reply: HttpReply, mask: Callable[[str], str]) -> EncodedStream:
        return _EventStream(reply, mask, self.name)

    def error_of_message(self, url: str, reply: HttpReply, body: bytes) -> LlamaStackError:
        return error_of_reply(reply.status, reply.headers, body, self.name)

    def _guardrail_headers(self) -> Mapping[str, str]:
        if self.config.guardrail_identifier is None:
            return {}
        return {
            "X-Amzn-Bedrock-GuardrailIdentifier": self.config.guardrail_identifier,
            "X-Amzn-Bedrock-GuardrailVersion": self.config.guardrail_version,
            "X-Amzn-Bedrock-Trace": self.config.guardrail_trace.upper(),
        }


class _EventStream(EncodedStream):
    """Anthropic's events out of AWS's, as server-sent ones. The event that says why a message ends waits for the next,
    in which a guardrail may say that it was the guardrail."""

    def __init__(self, reply: HttpReply, mask: Callable[[str], str], provider: str) -> None:
        self._reply = reply
        self._mask = mask
        self._provider = provider
        self._held: dict[str, Any] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._events()

    async def aclose(self) -> None:
        await self._reply.aclose()

    def masked(self, text: str) -> str:
        return self._mask(text)

    async def _events(self) -> AsyncIterator[bytes]:
        reader = AwsJsonEvents(EXCEPTION)
        async for data in self._reply.chunks():
            yield self._block(reader.feed(data))
        yield self._block(reader.finish()) + self._released()

    def _block(self, events: Iterable[dict[str, Any]]) -> bytes:
        try:
            return b"".join(map(self._event, events))
        except ValueError as error:
            raise self._broken(f"{error}") from None

    def _event(self, event: dict[str, Any]) -> bytes:
        if EXCEPTION in event:
            event["message"] = self._mask(str(event.get("message") or ""))
            raise error_of_event(event, self._provider) or self._broken("an error of AWS")
        chunk = event.get("chunk")
        if chunk is None:
            return b""
        try:
            data = base64.b64decode(chunk["bytes"])
            if b"message_delta" in data[:64] or ACTION.encode() in data:
                return self._ending(msgspec.json.decode(data, type=dict[str, Any]))
            name = msgspec.json.decode(data, type=_Named).type
        except (*UNREADABLE, msgspec.ValidationError, ValueError, KeyError, TypeError):
            raise self._broken("it sent an event that cannot be read") from None
        return self._released() + _sse(name, data)

    def _ending(self, event: dict[str, Any]) -> bytes:
        intervened = event.pop(ACTION, None) == _INTERVENED
        event.pop("amazon-bedrock-trace", None)
        name = event["type"]
        if name == "message_delta":
            before, self._held = self._released(), event
        else:
            before = b""
        if intervened and self._held is not None:
            self._held["delta"] = {**(self._held.get("delta") or {}), "stop_reason": "refusal"}
        return before if name == "message_delta" else before + self._released() + _sse(name, msgspec.json.encode(event))

    def _released(self) -> bytes:
        held, self._held = self._held, None
        return b"" if held is None else _sse("message_delta", msgspec.json.encode(held))

    def _broken(self, reason: str) -> ProviderStreamBroken:
        return ProviderStreamBroken(f"Provider '{self._provider}' broke the stream: {reason}.")


class _Named(msgspec.Struct):
    type: str


def _sse(name: str, data: bytes) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


def _judged(body: bytes) -> bytes:
    """A message without the members of a guardrail's, which say how it ends."""
    try:
        message = msgspec.json.decode(body)
    except UNREADABLE:
        return body
    if not isinstance(message, dict) or ACTION not in message:
        return body
    if message.pop(ACTION) == _INTERVENED:
        message["stop_reason"] = "refusal"
    message.pop("amazon-bedrock-trace", None)
    return msgspec.json.encode(message)


def _runs_at_the_server(tool: Mapping[str, Any]) -> bool:
    return str(tool.get("type", "")).startswith(_SERVERS_OWN_TOOLS)
