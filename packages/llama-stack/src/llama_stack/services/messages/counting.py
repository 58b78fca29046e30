"""How many tokens a request of the Messages API is: exact where somebody can count them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llama_stack.routing.table import Entry
from llama_stack.services.messages.chat import Json, asked_of_chat
from llama_stack.services.messages.providers import Abilities
from llama_stack.services.responses.token_estimate import estimate_tokens
from llama_stack_api.errors import NotImplementedByProvider
from llama_stack_api.ports.inference import CountsMessageTokens, CountsTokens
from llama_stack_api.principal import Call

if TYPE_CHECKING:
    from llama_stack_api.anthropic.messages import CountTokensRequest


@dataclass(frozen=True, slots=True)
class Counted:
    tokens: int
    estimated: bool


class TokenCounting:
    """The provider that would be asked first for an answer is the one that counts."""

    async def by_messages(self, params: CountTokensRequest, entry: Entry, call: Call) -> Counted | None:
        """None if the provider counts no messages."""
        target = entry.targets[0]
        if not isinstance(target.provider, CountsMessageTokens):
            return None
        asked = params.model_copy(update={"model": target.provider_resource_id})
        try:
            return Counted(await target.provider.anthropic_count_tokens(asked, call), estimated=False)
        except NotImplementedByProvider:
            return None

    async def by_chat(self, request: Json, abilities: Abilities, entry: Entry, call: Call) -> Counted:
        params = await asked_of_chat(request, abilities)
        target = entry.targets[0]
        if isinstance(target.provider, CountsTokens):
            params.model = target.provider_resource_id
            with suppress(NotImplementedByProvider):
                return Counted(await target.provider.count_chat_tokens(params, call), estimated=False)
        asked = params.model_dump(mode="json", exclude_unset=True)
        # In a thread, as a long text keeps a core busy for a while.
        return Counted(await asyncio.to_thread(estimate_tokens, asked), estimated=True)
