"""Parts of the routing tests: a clock that moves when told, providers that list, an observer that remembers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from llama_stack.routing.breaker import BreakerState
from llama_stack.routing.discovery import Discovery, DiscoveryPolicy
from llama_stack.routing.entries import Entry, Listed, RoutedProvider, Strategy, Target
from llama_stack.routing.health import ProviderHealth
from llama_stack.routing.models import inference_provider
from llama_stack.routing.observer import SilentObserver
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionRequest
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.ports.kv import KV
from llama_stack_api.principal import Call


class ManualClock:
    """Seconds that pass only when somebody sleeps on this clock or advances it. `slept` is every pause, in order."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Turnstile:
    """A sleep for background loops: each pause lasts until the test lets one more round pass."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self._waiting: list[asyncio.Event] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        event = asyncio.Event()
        self._waiting.append(event)
        await event.wait()

    async def turn(self) -> None:
        """Wake all that sleep, and let them run until each sleeps again or has ended."""
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            event.set()
        await settle()


async def settle(rounds: int = 20) -> None:
    """Give every task that can run its turn. Nothing here waits for time."""
    for _ in range(rounds):
        await asyncio.sleep(0)


class ListingProvider:
    """An inference provider whose upstream is a list. `gate` holds its answer back, `error` replaces it."""

    def __init__(self, *models: str | ProviderModel, gated: bool = False) -> None:
        self.models: Sequence[str | ProviderModel] = models
        self.error: Exception | None = None
        self.calls: list[Call] = []
        self.gate = asyncio.Event()
        if not gated:
            self.gate.set()

    async def list_models(self, call: Call) -> list[ProviderModel]:
        self.calls.append(call)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [model if isinstance(model, ProviderModel) else ProviderModel(model) for model in self.models]

    async def openai_chat_completion(self, params: ChatCompletionRequest, call: Call) -> ChatCompletion:
        raise NotImplementedError


class Gateway:
    """An inference provider that cannot list."""

    async def openai_chat_completion(self, params: ChatCompletionRequest, call: Call) -> ChatCompletion:
        raise NotImplementedError


class BrokenKV:
    """A KV store that is away. What was written before is still there when it is back (`away = False`)."""

    def __init__(self, behind: KV) -> None:
        self.away = True
        self._behind = behind

    def __getattr__(self, name: str) -> Any:
        if self.away:
            raise ConnectionError("kv is away")
        return getattr(self._behind, name)


@dataclass
class Remembering(SilentObserver):
    """An observer that keeps what it heard."""

    failures: list[tuple[str, str, float | None]] = field(default_factory=list)
    fallbacks: list[tuple[str, str]] = field(default_factory=list)
    breakers: list[tuple[str, BreakerState]] = field(default_factory=list)
    health: list[tuple[str, ProviderHealth]] = field(default_factory=list)
    listings: list[tuple[str, int, int]] = field(default_factory=list)
    not_listed: list[tuple[str, str]] = field(default_factory=list)
    degraded: list[tuple[str, bool]] = field(default_factory=list)

    def attempt_failed(self, target: Target, error: Exception, *, retry_in_s: float | None) -> None:
        self.failures.append((target.key, type(error).__name__, retry_in_s))

    def fell_back(self, entry: Entry, failed: Target, to: Target) -> None:
        self.fallbacks.append((failed.key, to.key))

    def breaker_changed(self, target_key: str, state: BreakerState) -> None:
        self.breakers.append((target_key, state))

    def provider_health_changed(self, provider_id: str, health: ProviderHealth) -> None:
        self.health.append((provider_id, health))

    def listing_changed(self, provider_id: str, resources: int, dropped: int) -> None:
        self.listings.append((provider_id, resources, dropped))

    def resource_not_listed(self, identifier: str, provider_id: str) -> None:
        self.not_listed.append((identifier, provider_id))

    def shared_state_degraded(self, component: str, degraded: bool, reason: str) -> None:
        self.degraded.append((component, degraded))


@dataclass
class Place:
    """A target of a registered model, as the run config has it."""

    provider_id: str
    provider_model_id: str | None = None
    weight: float = 1.0


@dataclass
class Registered:
    """A registered model, as the run config has it."""

    model_id: str
    provider_id: str | None = None
    provider_model_id: str | None = None
    model_type: str = ModelType.llm
    metadata: dict[str, Any] = field(default_factory=dict)
    model_validation: bool | None = None
    targets: Sequence[Place] = ()
    strategy: Strategy = "fallback"
    aliases: Sequence[str] = ()


def memory_kv() -> KV:
    return MemoryKV().bind("default", "routing")


def entry(*provider_ids: str, strategy: Strategy = "fallback", weights: Sequence[float] = ()) -> Entry:
    """An entry with one target at each provider."""
    weights = weights or [1.0] * len(provider_ids)
    pairs = zip(provider_ids, weights, strict=True)
    targets = tuple(Target(provider_id, "m", object(), weight) for provider_id, weight in pairs)
    return Entry("smart", "llm", targets, strategy)


def listed_entry(provider_id: str, resource_id: str) -> Entry:
    """An entry as discovery makes it."""
    return Entry(f"{provider_id}/{resource_id}", "llm", (Target(provider_id, resource_id, object()),))


def discovery(
    providers: Sequence[RoutedProvider],
    kv: KV | None = None,
    *,
    turnstile: Turnstile | None = None,
    observer: Remembering | None = None,
    wall_clock: ManualClock | None = None,
    policy: DiscoveryPolicy | None = None,
) -> Discovery:
    """Discovery whose loops move only by the turnstile."""
    return Discovery(
        providers,
        kv or memory_kv(),
        policy=policy,
        observer=observer,
        wall_clock=wall_clock or ManualClock(),
        sleep=(turnstile or Turnstile()).sleep,
        rng=random.Random(1),
    )


def provider(provider_id: str, impl: object, **config: Any) -> RoutedProvider:
    return inference_provider(provider_id, impl, config=_Config(config), data_keys=[f"{provider_id}_api_key"])


class _Config:
    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)


__all__ = ["Listed"]
