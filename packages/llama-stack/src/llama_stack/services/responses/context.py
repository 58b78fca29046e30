"""What goes into a response, without making one: how many tokens it has, and a shorter context that stands for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from llama_stack.agent.chat.choice import chat_choice
from llama_stack.agent.chat.messages import chat_messages
from llama_stack.agent.chat.request import chat_request
from llama_stack.agent.compaction import compact
from llama_stack.agent.entries import Entry
from llama_stack.agent.ids import RESPONSE, random_id
from llama_stack.agent.ports import Model
from llama_stack.agent.response import usage_json
from llama_stack.agent.seals import Seals
from llama_stack.agent.tools.base import BoundTool
from llama_stack.agent.turn import Turn, Usage
from llama_stack.config.responses import AgentLimits
from llama_stack.runs.secrets import Sealer
from llama_stack.services.responses.drafts import Drafts
from llama_stack.services.responses.token_estimate import estimate_tokens
from llama_stack_api.errors import NotImplementedByProvider
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.responses.operations import CompactRequest, InputTokens, InputTokensRequest
from llama_stack_api.openai.responses.request import ResponseRequest
from llama_stack_api.ports.inference import CountsTokens, ModelType
from llama_stack_api.principal import Call

_encode = msgspec.json.Encoder().encode


class ResponseContext:
    def __init__(
        self,
        drafts: Drafts,
        model: Model,
        sealer: Sealer | None,
        limits: AgentLimits,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._drafts = drafts
        self._model = model
        self._sealer = sealer
        self._limits = limits
        self._clock = clock

    async def input_tokens(self, request: InputTokensRequest, call: Call) -> InputTokens:
        """The tokens of instructions, items before, input and tools. Exact where the model's provider counts them, else
        an estimate. Tools of MCP servers that were not listed yet are not among them: nobody is asked for this."""
        turn, entries = await self._entries(_as_request(request), call)
        chat = self._chat(turn, entries, call)
        entry = await self._drafts.models.resolve(chat.model, call=call, kind=ModelType.llm)
        target = entry.targets[0]
        if isinstance(target.provider, CountsTokens):
            chat.model = target.provider_resource_id
            with suppress(NotImplementedByProvider):
                return InputTokens(input_tokens=await target.provider.count_chat_tokens(chat, call))
        asked = chat.model_dump(mode="json", exclude_unset=True)
        return InputTokens(input_tokens=await asyncio.to_thread(estimate_tokens, asked))

    async def compact(self, request: CompactRequest, call: Call) -> bytes:
        """A `response.compaction`: the user's messages, and an item that stands for all else. It is not stored."""
        turn, entries = await self._entries(_as_request(request), call)
        seals = Seals(self._sealer, call.principal)
        compaction, usage = await compact(
            self._model,
            turn.request["model"],
            entries,
            instructions=turn.request.get("instructions"),
            call=call,
            seals=seals,
            tokens_max=self._limits.summary_tokens_max,
        )
        kept = [entry.item for entry in entries if entry.item.get("role") == "user"]
        return _encode(
            {
                "id": random_id(RESPONSE),
                "object": "response.compaction",
                "created_at": int(self._clock()),
                "output": [*kept, compaction.item],
                "usage": usage_json(usage or Usage()),
            }
        )

    async def _entries(self, request: ResponseRequest, call: Call) -> tuple[Turn, list[Entry]]:
        turn = (await self._drafts.draft(request, call)).turn
        before = await self._drafts.history.before(call.principal, turn)
        return turn, [*before, *turn.input]

    def _chat(self, turn: Turn, entries: list[Entry], call: Call) -> ChatCompletionRequest:
        seals = Seals(self._sealer, call.principal)
        messages = chat_messages(
            entries,
            instructions=turn.request.get("instructions"),
            unseal=seals.unseal,
            tools_told=turn.tools_told,
        )
        tools = [] if turn.tools_told else self._tools(turn, entries)
        choice = chat_choice(None if turn.tools_told else turn.request.get("tool_choice"), tools, first_round=True)
        return chat_request(turn.request, messages, choice, max_tokens=None)

    def _tools(self, turn: Turn, entries: list[Entry]) -> list[BoundTool]:
        tools: list[dict[str, Any]] = turn.request["tools"]
        bound = (
            kind.bind(tool, entries) for tool in tools for kind in self._drafts.kinds if tool["type"] in kind.types
        )
        return [tool for each in bound for tool in each.tools if not tool.deferred]


def _as_request(request: InputTokensRequest | CompactRequest) -> ResponseRequest:
    return ResponseRequest.model_validate(request.model_dump(mode="json", exclude_unset=True))
