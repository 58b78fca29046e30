"""Exact counts of a chat's tokens, by engines that let their tokenizer be asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from llama_stack.providers._shared.openai_compatible import Upstream
from llama_stack_api.errors import ModelNotFound, NotImplementedByProvider, ProviderError
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import Call


class TokenCounts(Upstream):
    """`CountsTokens`. `NotImplementedByProvider` where the upstream has no such route, or a proxy before it."""

    async def count_chat_tokens(self, params: ChatCompletionRequest, call: Call) -> int:
        body = params.model_dump(mode="json", exclude_unset=True)
        self.quirks.apply(body, self.name)
        try:
            count = await self.counted_by_upstream(body, call)
        except ModelNotFound:  # what an unknown route is, too; a model that is missing is said when it is asked
            raise NotImplementedByProvider(f"Provider '{self.name}' does not count tokens.") from None
        if not isinstance(count, int):
            raise ProviderError(f"Provider '{self.name}' answered with something that is not a count of tokens.")
        return count

    async def counted_by_upstream(self, chat: Mapping[str, Any], call: Call) -> int | None:
        """The count for a chat as it would be sent; None if the answer is none."""
        raise NotImplementedError

    def beside(self, path: str, call: Call) -> str:
        """The address of a route that is not under `/v1`."""
        return self.base_url(call).removesuffix("/v1") + path

    async def asked(self, url: str, body: Mapping[str, Any], call: Call) -> Mapping[str, Any]:
        answer = await self.decoded(await self.post(url, msgspec.json.encode(body), call))
        return answer if isinstance(answer, dict) else {}


def members_of(chat: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Those members that shape the prompt: a template that offers no tools is not given any."""
    left_out = {"tools"} if chat.get("tool_choice") == "none" else set()
    return {name: chat[name] for name in names if chat.get(name) is not None and name not in left_out}


def length_of(value: Any) -> int | None:
    return len(value) if isinstance(value, list) else None
