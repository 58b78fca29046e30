"""Shields that another server keeps behind OpenAI's `/moderations`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from llama_stack.providers._shared.keyed_service import KeyedService, ServiceConfig
from llama_stack.providers._shared.safety.inputs import text_of
from llama_stack.providers._shared.shields import KnownShields, blocked, passed
from llama_stack_api.errors import ProviderError
from llama_stack_api.openai.chat_messages import ImagePart, Message
from llama_stack_api.openai.moderations import CreateModerationRequest, CreateModerationResponse, ModerationVerdict
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext
from llama_stack_api.safety import RunShieldRequest, RunShieldResponse


class ModerationShields(KeyedService, KnownShields):
    """A provider is a subclass with a descriptor and a config. A shield's `provider_shield_id` is the model that is
    asked."""

    def __init__(self, config: ServiceConfig, context: ProviderContext) -> None:
        KeyedService.__init__(self, config, context)
        KnownShields.__init__(self)

    def url(self, call: Call) -> str:
        return f"{self.base_url}/moderations"

    async def headers(self, call: Call) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.key(call)}"}

    async def moderate(self, request: CreateModerationRequest, call: Call) -> CreateModerationResponse:
        given = request.model_dump(mode="json", exclude_unset=True)["input"]
        return await self._ask(given, self.shield(request.model).provider_resource_id, call)

    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        model = self.shield(request.shield_id).provider_resource_id
        verdicts: list[ModerationVerdict] = []
        for given in _inputs_of(request.messages):
            verdicts += (await self._ask(given, model, call)).results
        flagged = [each for each in verdicts if each.flagged]
        if not flagged:
            return passed()
        categories = sorted({name for each in flagged for name, found in each.categories.items() if found})
        scores = {name: max(each.category_scores.get(name, 1.0) for each in flagged) for name in categories}
        return blocked(flagged[0].user_message, categories=categories, scores=scores)

    async def _ask(self, given: Any, model: str | None, call: Call) -> CreateModerationResponse:
        body = {"input": given, **({"model": model} if model else {})}
        answer = await self.post_json(
            self.url(call), await self.headers(call), body, call, secret=self._secret_of(call)
        )
        try:
            reply = CreateModerationResponse.model_validate(answer)
        except ValidationError:
            reply = None
        if reply is None or len(reply.results) != _verdicts_for(given):
            # What nobody has judged must not pass for harmless.
            raise ProviderError(f"Provider '{self.name}' answered with something that is no moderation of the input.")
        return reply

    def _secret_of(self, call: Call) -> str:
        key = call.provider_data.get(self._key_in_data, self._key)
        return key.get_secret_value() if key is not None else ""


def _verdicts_for(given: Any) -> int:
    return len(given) if isinstance(given, list) and given and isinstance(given[0], str) else 1


def _inputs_of(messages: Sequence[Message]) -> Iterator[str | list[str] | list[dict[str, Any]]]:
    """All messages that are text at once; of each other one its images with its text."""
    texts: list[str] = []
    for message in messages:
        text, content = text_of(message), message.content
        images = [part for part in content if isinstance(part, ImagePart)] if isinstance(content, list) else []
        if images:
            parts: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
            yield parts + [{"type": "image_url", "image_url": {"url": image.image_url.url}} for image in images]
        elif text:
            texts.append(text)
    if texts:
        yield texts[0] if len(texts) == 1 else texts
