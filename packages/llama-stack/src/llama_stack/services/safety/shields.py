"""Shields: which safety provider runs which, and what its answer means. One that cannot answer lets nothing pass."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol, TypeVar

from pydantic import ValidationError

from llama_stack.agent.ports import Redacted, Violation
from llama_stack.routing.errors import RegisteredResourceInvalid
from llama_stack.services.safety.redacted import verdict_on
from llama_stack.services.safety.verdicts import moderation_parts, violation_of
from llama_stack.telemetry.logs import get_logger
from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    MethodNotAllowed,
    NotFound,
    ProviderError,
    ProviderTimeout,
    ProviderUnreachable,
)
from llama_stack_api.openai.moderations import CreateModerationRequest, CreateModerationResponse
from llama_stack_api.ports.safety import Moderates, RegistersShields, RunsShields
from llama_stack_api.principal import Call
from llama_stack_api.safety import RunShieldRequest, RunShieldResponse
from llama_stack_api.shields import ListShieldsResponse, Shield

TIMEOUT_S = 30.0
SHOWN_ID_CHARS_MAX = 200

T = TypeVar("T")


class RegisteredShield(Protocol):
    """A shield of the run config."""

    @property
    def shield_id(self) -> str: ...
    @property
    def provider_id(self) -> str | None: ...
    @property
    def provider_shield_id(self) -> str | None: ...
    @property
    def params(self) -> dict[str, Any] | None: ...


@dataclass(slots=True)
class _Routed:
    """`provider` runs shields; None: it did not open."""

    shield: Shield
    provider: Any
    known_there: bool = False
    registering: asyncio.Lock = field(default_factory=asyncio.Lock)


class ShieldRouter:
    """Implements `agent.ports.Shields` over the opened safety providers, by provider id.

    A shield without a `provider_id` is the only provider's: `RegisteredResourceInvalid` if there are several, or if an
    id is taken twice. `timeout_s` bounds each run of a shield.
    """

    def __init__(
        self, registered: Sequence[RegisteredShield], providers: Mapping[str, Any], *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._timeout_s = timeout_s
        self._shields: dict[str, _Routed] = {}
        for entry in registered:
            if entry.shield_id in self._shields:
                raise RegisteredResourceInvalid(
                    f"registered_resources.shields[{entry.shield_id}]: the id is taken twice; rename one of them"
                )
            self._shields[entry.shield_id] = _routed(entry, providers)
        self._starting: asyncio.Task[None] | None = None
        self._log = get_logger("shields")

    async def start(self) -> None:
        """Tell the providers of their shields, in the background: it may take them a while."""
        self._starting = asyncio.create_task(self._introduce_all(), name="registering shields")

    async def close(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])

    def shields(self) -> list[Shield]:
        """In the order of the run config."""
        return [routed.shield for routed in self._shields.values()]

    async def list_shields(self, call: Call) -> ListShieldsResponse:
        return ListShieldsResponse(data=self.shields())

    async def get_shield(self, shield_id: str, call: Call) -> Shield:
        return self._routed(shield_id, param="identifier").shield

    async def delete_shield(self, shield_id: str, call: Call) -> NoReturn:
        """Always refused, but a shield that is not there is not found."""
        self._routed(shield_id, param="identifier")
        raise _of_the_config(f"Shield {shield_id!r} cannot be deleted by request", "shield_not_deletable")

    async def register_shield(self, call: Call) -> NoReturn:
        """Always refused."""
        raise _of_the_config("Shields cannot be registered by request", "shield_not_registrable")

    def check_known(self, shield_ids: Sequence[str]) -> None:
        """`InvalidRequest` for an id that is no shield's: worth knowing before a run starts."""
        for shield_id in shield_ids:
            if shield_id not in self._shields:
                raise InvalidRequest(self._unknown(shield_id), param="guardrails")

    async def check(
        self, shield_ids: Sequence[str], messages: Sequence[dict[str, Any]], call: Call
    ) -> Violation | Redacted | None:
        for routed in [self._routed(shield_id, param="guardrails") for shield_id in shield_ids]:
            request = RunShieldRequest.model_validate({"shield_id": routed.shield.identifier, "messages": messages})
            found = (await self._run(routed, request, call)).violation
            verdict = None if found is None else verdict_on(found, routed.shield.identifier, messages)
            if verdict is not None:
                return verdict
        return None

    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        """All that the shield says, remarks (`info`, `warn`) included."""
        return await self._run(self._routed(request.shield_id, param="shield_id"), request, call)

    def moderates(self, shield_id: str) -> bool:
        """Whether the shield's provider judges by categories itself: else `run_shield` has to do."""
        return isinstance(self._routed(shield_id, param="model").provider, Moderates)

    async def moderate(self, request: CreateModerationRequest, call: Call) -> CreateModerationResponse:
        """What the provider of the shield `request.model` says: see `moderates`."""
        routed = self._routed(request.model or "", param="model")
        provider = self._provider(routed)

        async def moderate() -> CreateModerationResponse:
            await self._introduce(routed)
            return CreateModerationResponse.model_validate(await provider.moderate(request, call))

        return await self._answer(routed.shield.identifier, moderate)

    async def _run(self, routed: _Routed, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        provider = self._provider(routed)
        if not isinstance(provider, RunsShields):
            parts = moderation_parts(request.messages)
            asked = CreateModerationRequest(input=parts, model=routed.shield.identifier)
            return violation_of(await self.moderate(asked, call)) if parts else RunShieldResponse()

        async def run() -> RunShieldResponse:
            await self._introduce(routed)
            return RunShieldResponse.model_validate(await provider.run_shield(request, call))

        return await self._answer(routed.shield.identifier, run)

    def _provider(self, routed: _Routed) -> Any:
        if routed.provider is None:
            raise ProviderUnreachable(
                f"The shield {routed.shield.identifier!r} cannot be run: its provider "
                f"{routed.shield.provider_id!r} did not open."
            )
        return routed.provider

    async def _answer(self, shield_id: str, run: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await run()
        except LlamaStackError:
            raise
        except TimeoutError as error:
            raise ProviderTimeout(f"The shield {shield_id!r} did not answer in time.") from error
        except ValidationError:  # without its cause, which would show what was said
            raise ProviderError(f"The shield {shield_id!r} gave an answer of another shape.") from None
        except Exception as error:  # a provider's own code: whatever it raises, nothing passes
            raise ProviderError(f"The shield {shield_id!r} failed ({type(error).__name__}).") from error

    async def _introduce(self, routed: _Routed) -> None:
        async with routed.registering:
            if not routed.known_there and isinstance(routed.provider, RegistersShields):
                await routed.provider.register_shield(routed.shield)
            routed.known_there = True

    async def _introduce_all(self) -> None:
        for routed in self._shields.values():
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._introduce(routed)
            except Exception as error:  # noqa: BLE001 - as above; it is tried again when the shield is first run
                self._log.warning(
                    "shield_not_registered", shield_id=routed.shield.identifier, error=type(error).__name__
                )

    def _routed(self, shield_id: str, *, param: str) -> _Routed:
        try:
            return self._shields[shield_id]
        except KeyError:
            raise NotFound(self._unknown(shield_id), param=param) from None

    def _unknown(self, shield_id: str) -> str:
        known = ", ".join(self._shields) or "none; the run config lists them under registered_resources.shields"
        return f"There is no shield {shield_id[:SHOWN_ID_CHARS_MAX]!r}; registered: {known}."


def _of_the_config(what: str, code: str) -> MethodNotAllowed:
    return MethodNotAllowed(
        f"{what}: shields come from the run config (registered_resources.shields) and go with it.",
        code=code,
        headers={"allow": "GET"},
    )


def _routed(entry: RegisteredShield, providers: Mapping[str, Any]) -> _Routed:
    provider_id = entry.provider_id
    if provider_id is None:
        if len(providers) > 1:
            raise RegisteredResourceInvalid(
                f"registered_resources.shields[{entry.shield_id}]: `provider_id` is needed, as there are several "
                f"safety providers ({', '.join(providers)})"
            )
        provider_id = next(iter(providers), "")
    shield = Shield(
        identifier=entry.shield_id,
        provider_id=provider_id,
        provider_resource_id=entry.provider_shield_id or entry.shield_id,
        params=entry.params,
    )
    return _Routed(shield, providers.get(provider_id))
