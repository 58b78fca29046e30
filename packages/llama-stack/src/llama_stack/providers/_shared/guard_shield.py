"""A shield whose judge is a chat model of the Llama Guard family, or one that is told to judge like it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from llama_stack.providers._shared import llama_guard
from llama_stack.providers._shared.llama_guard import CATEGORIES, PromptKind
from llama_stack.providers._shared.shields import KnownShields, blocked, passed
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.openai.chat_messages import Message, UserMessage
from llama_stack_api.openai.moderations import CreateModerationRequest, CreateModerationResponse
from llama_stack_api.principal import Call
from llama_stack_api.safety import RunShieldRequest, RunShieldResponse

AT_ONCE_MAX: Final = 4


class GuardSettings(BaseModel):
    """What a shield's `params` may say otherwise than the provider's config."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    excluded_categories: list[str] = Field(default_factory=list)
    """Codes (`S6`) that are no violation here."""
    prompt: PromptKind = "auto"
    """`template`: the model's chat template makes the question, as those of Llama Guard do; `instructed`: the question
    is put in words, for any chat model; `auto`: by the model's name."""

    @field_validator("excluded_categories")
    @classmethod
    def _known(cls, codes: list[str]) -> list[str]:
        for code in codes:
            if code not in CATEGORIES:
                raise ValueError(f"{code!r} is no category; known: {', '.join(CATEGORIES)}")
        return codes


class GuardShields(KnownShields):
    """A provider says how `answer` comes to be. A shield's `provider_shield_id` is the model."""

    def __init__(self, name: str, settings: GuardSettings) -> None:
        super().__init__()
        self.name = name
        self._settings = settings

    async def answer(self, model: str, messages: list[dict[str, Any]], call: Call) -> str:
        """The model's text. Greedy, at most `ANSWER_TOKENS_MAX` tokens."""
        raise NotImplementedError

    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        codes = await self._codes(request.shield_id, request.messages, call)
        if not codes:
            return passed()
        return blocked(
            f"This content is not allowed here: {', '.join(llama_guard.names_of(codes))}.",
            categories=codes,
            names=llama_guard.names_of(codes),
        )

    async def moderate(self, request: CreateModerationRequest, call: Call) -> CreateModerationResponse:
        free = asyncio.Semaphore(AT_ONCE_MAX)

        async def judged(content: Any) -> list[str]:
            async with free:
                message = UserMessage.model_validate({"role": "user", "content": content})
                return await self._codes(request.model or "", [message], call)

        given = request.model_dump(mode="json")["input"]
        each = given if isinstance(given, list) and given and isinstance(given[0], str) else [given]
        try:
            async with asyncio.TaskGroup() as group:
                judging = [group.create_task(judged(content)) for content in each]
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        found = [task.result() for task in judging]
        model = self.shield(request.model).provider_resource_id or ""
        return CreateModerationResponse(id="", model=model, results=[llama_guard.verdict_of(codes) for codes in found])

    async def _codes(self, shield_id: str, messages: Sequence[Message], call: Call) -> list[str]:
        shield = self.shield(shield_id)
        model = shield.provider_resource_id
        if not model:
            raise InvalidRequest(f"The shield {shield_id!r} names no model: set its provider_shield_id.")
        settings = self._settings.model_copy(
            update=GuardSettings.model_validate(shield.params or {}).model_dump(exclude_unset=True)
        )
        return await llama_guard.judge(
            messages,
            lambda asked: self.answer(model, asked, call),
            template=llama_guard.has_template(model, settings.prompt),
            excluded=settings.excluded_categories,
            provider=self.name,
        )


def question(model: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """A chat completion request, greedy and short."""
    return {
        "model": model,
        "messages": messages,
        "temperature": 0,
        "max_tokens": llama_guard.ANSWER_TOKENS_MAX,
        "stream": False,
    }
