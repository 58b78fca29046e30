"""Opens the safety providers that need no service, and asks them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from llama_stack_api.openai.moderations import CreateModerationRequest, ModerationVerdict
from llama_stack_api.ports.http import HttpClient
from llama_stack_api.ports.kv import KV
from llama_stack_api.principal import SYSTEM_CALL
from llama_stack_api.provider import Descriptor, ProviderContext
from llama_stack_api.safety import RunShieldRequest, SafetyViolation
from llama_stack_api.shields import Shield


def shield(identifier: str, **params: Any) -> Shield:
    return Shield(identifier=identifier, provider_id="p", provider_resource_id=identifier, params=params or None)


class Asked:
    """A provider as the server asks it; these ask nothing back, so they get neither HTTP nor storage."""

    def __init__(self, impl: Any) -> None:
        self.impl = impl

    async def shield(self, *said: str, role: str = "user", shield_id: str = "s") -> SafetyViolation | None:
        messages: list[dict[str, Any]] = [{"role": role, "content": text} for text in said]
        return await self.messages(messages, shield_id)

    async def messages(self, messages: list[dict[str, Any]], shield_id: str = "s") -> SafetyViolation | None:
        request = RunShieldRequest.model_validate({"shield_id": shield_id, "messages": messages})
        return cast("SafetyViolation | None", (await self.impl.run_shield(request, SYSTEM_CALL)).violation)

    async def moderate(self, given: Any, model: str | None = None) -> list[ModerationVerdict]:
        request = CreateModerationRequest.model_validate({"input": given, "model": model})
        return cast("list[ModerationVerdict]", (await self.impl.moderate(request, SYSTEM_CALL)).results)


@asynccontextmanager
async def opened(provider: Any, directory: Path = Path("/nonexistent"), **config: Any) -> AsyncIterator[Asked]:
    descriptor: Descriptor = provider.__provider__
    no_http = cast("Callable[[Any], HttpClient]", None)
    context = ProviderContext("p", descriptor.type, directory, no_http, cast(KV, None))
    impl = descriptor.create(descriptor.config.model_validate(config), context)
    await impl.open()
    try:
        yield Asked(impl)
    finally:
        await impl.close()
