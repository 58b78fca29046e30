"""A remote provider whose upstream speaks Anthropic's Messages API, beside or in the place of OpenAI's dialect.

A request goes on as the client sent it, under the upstream's name of the model and with the client's `anthropic-beta`
and `anthropic-version`; replies are handed on as the bytes that came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from pydantic import BaseModel

from llama_stack.dialects.anthropic.errors import error_of_reply
from llama_stack.providers._shared.openai_compatible import NetStream, Upstream
from llama_stack_api.errors import LlamaStackError, ProviderError
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.principal import Call
from llama_stack_api.wire import EncodedReply, EncodedStream

if TYPE_CHECKING:
    from llama_stack_api.anthropic.messages import CountTokensRequest, CreateMessageRequest, Message

VERSION = "2023-06-01"
VERSION_HEADER, BETA_HEADER = "anthropic-version", "anthropic-beta"
_JSON = "application/json"


class MessagesUpstream(Upstream):
    """`CreatesMessages` and `CountsMessageTokens`."""

    runs_server_tools: ClassVar[bool] = False
    """Whether the upstream itself runs Anthropic's server tools (web_search, web_fetch, …) and `mcp_servers`."""

    async def anthropic_messages(
        self, params: CreateMessageRequest, call: Call
    ) -> EncodedReply[Message] | EncodedStream:
        from llama_stack_api.anthropic.messages import Message

        self.check_message(params)
        if params.stream:
            return await self.message_stream(params, params.model, call)
        return EncodedReply(await self.message(params, params.model, call), Message)

    async def anthropic_count_tokens(self, params: CountTokensRequest, call: Call) -> int:
        self.check_message(params)
        url, body = self.url("/messages/count_tokens", call), self.message_body(params, call)
        answer = await self.decoded(await self.post_message(url, body, call))
        return self.counted(answer, "input_tokens")

    # --- what a subclass may say otherwise

    def check_message(self, params: CountTokensRequest) -> None:
        """`NotImplementedByProvider` for a request that the upstream would not understand as it is meant."""

    def message_url(self, model: str, call: Call, *, stream: bool) -> str:
        return self.url("/messages", call)

    def message_body(self, request: BaseModel | Mapping[str, Any], call: Call) -> bytes:
        if isinstance(request, BaseModel):
            return request.__pydantic_serializer__.to_json(request, exclude_unset=True)
        return msgspec.json.encode(request)

    async def message_headers(self, url: str, body: bytes, call: Call) -> Mapping[str, str]:
        headers = {**await self.headers(call), VERSION_HEADER: call.forward_headers.get(VERSION_HEADER, VERSION)}
        if beta := call.forward_headers.get(BETA_HEADER):
            headers[BETA_HEADER] = beta
        return headers

    def opened(self, reply: HttpReply, mask: Callable[[str], str]) -> EncodedStream:
        """The stream of the Messages API's events in a reply's body."""
        return NetStream(reply, mask)

    def error_of_message(self, url: str, reply: HttpReply, body: bytes) -> LlamaStackError:
        """What a reply of the address amounts to that is no message. `body` has no secrets in it."""
        return error_of_reply(reply.status, reply.headers, body, self.name)

    # --- what they are made of

    async def message(self, request: BaseModel | Mapping[str, Any], model: str, call: Call) -> bytes:
        """A whole message as the upstream wrote it."""
        url = self.message_url(model, call, stream=False)
        return await self._read(await self.post_message(url, self.message_body(request, call), call), call)

    async def message_stream(self, request: BaseModel | Mapping[str, Any], model: str, call: Call) -> EncodedStream:
        url = self.message_url(model, call, stream=True)
        reply = await self.post_message(url, self.message_body(request, call), call)
        sent = await self.headers(call)
        if reply.headers.get("Content-Type", "").startswith(_JSON):
            # Asked for a stream, answered with a body: an error that was sent with the status of a success.
            raise self.error_of_message(url, reply, await self._refused_with(reply, sent))
        return self.opened(reply, lambda text: self._masked(text, sent))

    async def post_message(self, url: str, body: bytes, call: Call) -> HttpReply:
        """Any status but 2xx is raised as the error that it means."""
        headers = await self.message_headers(url, body, call)
        reply = await self._http.send("POST", url, headers=headers, body=body)
        if reply.status >= 300:
            # The version and the betas are no secrets: what is said of them is passed on.
            said = await self._refused_with(reply, await self.headers(call))
            raise self.error_of_message(url, reply, said)
        return reply

    def counted(self, answer: Any, member: str) -> int:
        tokens = answer.get(member) if isinstance(answer, dict) else None
        if not isinstance(tokens, int):
            raise ProviderError(f"Provider '{self.name}' answered with something that is not a count of tokens.")
        return tokens
