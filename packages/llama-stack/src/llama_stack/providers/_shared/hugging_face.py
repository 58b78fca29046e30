"""What Hugging Face's servers for text generation and for embeddings have in common: `/info`, and their errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llama_stack.providers._shared.openai_compatible import Upstream
from llama_stack_api.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    LlamaStackError,
    PayloadTooLarge,
    ProviderError,
)
from llama_stack_api.ports.http import HttpReply
from llama_stack_api.principal import Call

_FAILED: Final = 424
"""The engine behind the server failed: no mistake of the request's."""
_TOO_LONG: Final = ("must have less than", "`max_new_tokens` must be <=")


class HuggingFaceServer(Upstream):
    def native(self, path: str, call: Call) -> str:
        """An address of the server's own API, which is beside OpenAI's."""
        return self.base_url(call).removesuffix("/v1") + path

    async def info(self, call: Call) -> dict[str, Any]:
        """What the server says of itself and of its one model."""
        said = await self.get_json(self.native("/info", call), call)
        if not isinstance(said, dict) or not isinstance(said.get("model_id"), str):
            raise ProviderError(f"Provider '{self.name}' answered with something that does not describe a model.")
        return said

    async def _refusal(self, reply: HttpReply, sent: Mapping[str, str]) -> LlamaStackError:
        error = await super()._refusal(reply, sent)
        if reply.status == _FAILED:
            return ProviderError(error.message, upstream_status=_FAILED)
        if isinstance(error, PayloadTooLarge | InvalidRequest) and any(words in error.message for words in _TOO_LONG):
            return ContextLengthExceeded(error.message)
        return error
