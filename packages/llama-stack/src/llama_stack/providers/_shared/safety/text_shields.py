"""Shields that judge texts inside the server. A provider is a subclass that says what is found, and what that means."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from pydantic import BaseModel

from llama_stack.providers._shared.safety.inputs import check_size, inputs_of, texts_of_messages
from llama_stack.providers._shared.safety.shield_settings import ShieldSettings
from llama_stack.providers._shared.threads import Threads
from llama_stack_api.openai.moderations import CreateModerationRequest, CreateModerationResponse, ModerationVerdict
from llama_stack_api.principal import Call
from llama_stack_api.provider import HealthResponse, HealthStatus, ProviderContext
from llama_stack_api.safety import RunShieldRequest, RunShieldResponse, SafetyViolation
from llama_stack_api.shields import Shield


class TextSettings(BaseModel):
    """`chars_max`: of all texts of one request."""

    chars_max: int


S = TypeVar("S", bound=TextSettings)
F = TypeVar("F")


class TextShields(ABC, Generic[S, F]):
    """`S` are the settings, which a shield's params may change; `F` is what was found. `thread` is for long work."""

    def __init__(self, config: S, context: ProviderContext) -> None:
        self.name = context.provider_id
        self.thread = Threads(context.provider_id, threads_max=1)
        self._settings = ShieldSettings(config)

    @abstractmethod
    async def found_in(self, texts: list[str], settings: S) -> F: ...

    @abstractmethod
    def violation(self, found: F, settings: S) -> SafetyViolation | None: ...

    @abstractmethod
    def verdict(self, found: F, settings: S) -> ModerationVerdict: ...

    async def open(self) -> None:
        self.thread.open()

    async def close(self) -> None:
        await self.thread.close()

    async def register_shield(self, shield: Shield) -> None:
        self._settings.register(shield)

    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        settings = self._settings.of(request.shield_id)
        texts = texts_of_messages(request.messages)
        check_size(texts, settings.chars_max, self.name)
        return RunShieldResponse(violation=self.violation(await self.found_in(texts, settings), settings))

    async def moderate(self, request: CreateModerationRequest, call: Call) -> CreateModerationResponse:
        settings = self._settings.of(request.model)
        inputs = inputs_of(request)
        check_size([text for texts in inputs for text in texts], settings.chars_max, self.name)
        results = [self.verdict(await self.found_in(texts, settings), settings) for texts in inputs]
        return CreateModerationResponse(
            id=f"modr-{uuid.uuid4().hex}", model=request.model or self.name, results=results
        )

    async def health(self) -> HealthResponse:
        return HealthResponse(status=HealthStatus.OK)
