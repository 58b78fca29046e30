"""Shields: which safety provider runs which, and what its answer means. One that cannot answer lets nothing pass."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from llama_stack.agent.ports import Violation
from llama_stack.routing.errors import RegisteredResourceInvalid
from llama_stack.telemetry.logs import get_logger
from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    NotFound,
    ProviderError,
    ProviderTimeout,
    ProviderUnreachable,
)
from llama_stack_api.ports.safety import RegistersShields, RunsShields
from llama_stack_api.principal import Call
from llama_stack_api.safety import RunShieldRequest, RunShieldResponse, ViolationLevel
from llama_stack_api.shields import Shield

TIMEOUT_S = 30.0
SHOWN_ID_CHARS_MAX = 200


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

    def check_known(self, shield_ids: Sequence[str]) -> None:
        """`InvalidRequest` for an id that is no shield's: worth knowing before a run starts."""
        for shield_id in shield_ids:
            if shield_id not in self._shields:
                raise InvalidRequest(self._unknown(shield_id), param="guardrails")

    async def check(
        self, shield_ids: Sequence[str], messages: Sequence[dict[str, Any]], call: Call
    ) -> Violation | None:
        for routed in [self._routed(shield_id) for shield_id in shield_ids]:
            violation = await self._run(routed, messages, call)
            if violation is not None:
                return violation
        return None

    async def _run(self, routed: _Routed, messages: Sequence[dict[str, Any]], call: Call) -> Violation | None:
        shield_id = routed.shield.identifier
        provider: RunsShields | None = routed.provider
        if provider is None:
            raise ProviderUnreachable(
                f"The shield {shield_id!r} cannot be run: its provider {routed.shield.provider_id!r} did not open."
            )

        async def run() -> RunShieldResponse:
            await self._introduce(routed)
            request = RunShieldRequest.model_validate({"shield_id": shield_id, "messages": messages})
            return RunShieldResponse.model_validate(await provider.run_shield(request, call))

        found = (await self._answer(shield_id, run)).violation
        # What is less than an error is the provider's remark, not its verdict.
        if found is None or found.violation_level != ViolationLevel.ERROR:
            return None
        return Violation(shield_id, found.user_message or f"The shield {shield_id!r} does not let this pass.")

    async def _answer(self, shield_id: str, run: Callable[[], Awaitable[RunShieldResponse]]) -> RunShieldResponse:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await run()
        except LlamaStackError:
            raise
        except TimeoutError as error:
            raise ProviderTimeout(f"The shield {shield_id!r} did not answer in time.") from error
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

    def _routed(self, shield_id: str) -> _Routed:
        try:
            return self._shields[shield_id]
        except KeyError:
            raise NotFound(self._unknown(shield_id), param="guardrails") from None

    def _unknown(self, shield_id: str) -> str:
        known = ", ".join(self._shields) or "none; the run config lists them under registered_resources.shields"
        return f"There is no shield {shield_id[:SHOWN_ID_CHARS_MAX]!r}; registered: {known}."


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
