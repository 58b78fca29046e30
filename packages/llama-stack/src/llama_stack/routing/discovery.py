"""Listing what providers serve, in the background: a start waits for none of them, a dead one delays nobody.

One task per provider lists until it succeeds, with growing pauses, and goes on at `refresh_interval_s` where the
provider asks for it. One more task follows the shared version, and reloads what other processes found.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, TypeVar

from llama_stack.routing.breaker import Breaker, BreakerState
from llama_stack.routing.entries import Listed, RoutedProvider
from llama_stack.routing.health import HealthRecords, HealthState
from llama_stack.routing.listings import LISTED_MAX, Listing, ListingStore
from llama_stack.routing.observer import RoutingObserver, SilentObserver
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.ports.kv import KV
from llama_stack_api.principal import SYSTEM_CALL

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DiscoveryPolicy:
    """Times in seconds. A provider that is down is tried again after `retry_s`, doubling up to `retry_max_s`.

    One whose calls fail, or of which an unknown model is wanted, is listed out of turn, but not within `recheck_s`.
    """

    list_timeout_s: float = 15.0
    refresh_interval_s: float = 300.0
    recheck_s: float = 10.0
    retry_s: float = 1.0
    retry_max_s: float = 60.0
    version_poll_s: float = 2.0
    kv_timeout_s: float = 2.0


class Discovery:
    """What the providers of one API list, how they are, and since which version of the table.

    `start()` reads the persisted listings, which then serve as unverified, and returns; `close()` ends the tasks.
    """

    def __init__(
        self,
        providers: Sequence[RoutedProvider],
        kv: KV,
        *,
        policy: DiscoveryPolicy | None = None,
        observer: RoutingObserver | None = None,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self._providers = {provider.id: provider for provider in providers}
        self._store = ListingStore(kv)
        self._policy = policy or DiscoveryPolicy()
        self._observer = observer or SilentObserver()
        self._wall_clock = wall_clock
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self.health = HealthRecords(wall_clock, self._observer.provider_health_changed)
        self.version = 0
        self.degraded = False
        self._listings: dict[str, Listing] = {}
        self._settled = {provider.id for provider in providers if provider.list_resources is None}
        self._unsaved: set[str] = set()
        self._saving = asyncio.Lock()
        self._progress = asyncio.Event()
        self._changed: list[Callable[[], None]] = []
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._follower: asyncio.Task[None] | None = None

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Have `changed()` called whenever a listing changes."""
        self._changed.append(changed)

    def listing(self, provider_id: str) -> Listing:
        return self._listings.get(provider_id, Listing())

    def settled(self, provider_id: str) -> bool:
        """Whether the provider was asked, with or without success, or cannot be; not while it is asked out of turn."""
        return provider_id in self._settled

    async def start(self) -> None:
        await self._reload(verified=False)
        for provider in self._providers.values():
            if provider.list_resources is not None:
                self._start_watching(provider)
        self._follower = asyncio.create_task(self._follow_version(), name="routing table version")

    async def close(self) -> None:
        tasks = [*self._watchers.values(), *([self._follower] if self._follower else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watchers.clear()
        self._follower = None

    def breaker_moved(self, target_key: str, breaker: Breaker) -> None:
        """A listener of `Attempts`: when calls to a provider fail, it is listed at once, and until it answers."""
        if breaker.state is BreakerState.OPEN:
            self.ask_again(target_key.partition("/")[0])

    def ask_again(self, provider_id: str) -> None:
        """Have a provider listed out of turn, and `wait_for` wait for it, unless it is being asked or just was."""
        if provider_id not in self._watchers:
            return
        health = self.health.get(provider_id)
        lately = self._wall_clock() - health.checked_unix_s < self._policy.recheck_s
        if health.state is HealthState.HEALTHY and provider_id in self._settled and not lately:
            self._settled.discard(provider_id)
            self._watchers[provider_id].cancel()
            self._start_watching(self._providers[provider_id])

    async def wait_for(
        self, found: Callable[[], T | None], provider_ids: Sequence[str], *, timeout_s: float, deadline: float | None
    ) -> T | None:
        """`found()`, as soon as it finds something, or when all these providers have settled, or when time is up.

        `deadline` is a time of the event loop's clock, as in `Call`.
        """
        until = asyncio.get_running_loop().time() + timeout_s
        try:
            async with asyncio.timeout_at(until if deadline is None else min(until, deadline)):
                while (result := found()) is None and not self._settled.issuperset(provider_ids):
                    await self._progress.wait()
                return result
        except TimeoutError:
            return found()

    async def list_once(self, provider_id: str) -> bool:
        """Ask one provider now; True if it answered. Its health and listing are updated either way."""
        provider = self._providers[provider_id]
        assert provider.list_resources is not None, f"provider {provider_id!r} cannot list"
        try:
            async with asyncio.timeout(self._policy.list_timeout_s):
                listed = await provider.list_resources(SYSTEM_CALL)
        except TimeoutError:
            problem = f"no listing within {self._policy.list_timeout_s:g} s"
        except LlamaStackError as error:
            problem = error.message
        except Exception as error:  # noqa: BLE001 - the boundary of the provider's task: it is tried again, others serve
            problem = f"listing failed ({type(error).__name__})"
        else:
            self.health.healthy(provider_id)
            await self._accept(provider, listed)
            return True
        self.health.unhealthy(provider_id, problem)
        self._settle(provider_id)
        return False

    async def _accept(self, provider: RoutedProvider, listed: Sequence[Listed]) -> None:
        allowed = [found for found in listed if provider.allows(found.id)]
        before = self.listing(provider.id)
        listing = before.updated(allowed[:LISTED_MAX], self._wall_clock())
        self._listings[provider.id] = listing
        same = before.resources == listing.resources
        if not same:
            self._unsaved.add(provider.id)
            self._observer.listing_changed(provider.id, len(listing.resources), max(0, len(allowed) - LISTED_MAX))
        if not same or not before.verified:
            self._announce()
        self._settle(provider.id)
        await self._save()

    async def _watch(self, provider: RoutedProvider) -> None:
        policy = self._policy
        failures = count()
        while True:
            if await self.list_once(provider.id):
                if not provider.refresh:
                    return
                failures = count()
                await self._sleep(policy.refresh_interval_s * (0.9 + 0.2 * self._rng.random()))
            else:
                pause_s = min(policy.retry_s * 2 ** min(next(failures), 16), policy.retry_max_s)
                await self._sleep(pause_s * (0.5 + 0.5 * self._rng.random()))

    async def _follow_version(self) -> None:
        while True:
            await self._sleep(self._policy.version_poll_s)
            await self._save()
            await self._reload_if_newer()

    async def _reload_if_newer(self) -> None:
        shared = await self._on_kv(self._store.version())
        if shared is not None and shared != self.version:
            await self._reload(verified=True)

    async def _reload(self, *, verified: bool) -> None:
        """Take over what KV holds, where it is newer than what this process saw itself."""
        shared = await self._on_kv(self._store.version())
        if shared is None:
            return
        changed = False
        for provider_id, provider in self._providers.items():
            stored = await self._on_kv(self._store.load(provider_id))
            if self.degraded:
                break
            if stored is None or stored.listed_at_unix_s <= self.listing(provider_id).listed_at_unix_s:
                continue
            resources = tuple(found for found in stored.resources if provider.allows(found.id))
            self._listings[provider_id] = replace(stored, resources=resources, verified=verified)
            changed = True
            if verified:
                self._settle(provider_id)
        if not self.degraded:
            self.version = shared
        if changed:
            self._announce()

    async def _save(self) -> None:
        """Write what changed; what KV did not take is kept for the next round."""
        async with self._saving:
            for provider_id in list(self._unsaved):
                listing = self.listing(provider_id)
                version = await self._on_kv(self._store.save(provider_id, listing))
                if version is None:
                    return
                if self.listing(provider_id) is listing:
                    self._unsaved.discard(provider_id)
                if version == self.version + 1:
                    self.version = version  # nobody else wrote in between; otherwise the next poll reloads

    async def _on_kv(self, operation: Coroutine[Any, Any, T]) -> T | None:
        """The operation's result, or None and `degraded` while KV is away: this process goes on with what it knows."""
        try:
            async with asyncio.timeout(self._policy.kv_timeout_s):
                result = await operation
        except Exception as error:  # noqa: BLE001 - KV backends raise their drivers' errors; none may stop routing
            self._set_degraded(True, type(error).__name__)
            return None
        self._set_degraded(False, "")
        return result

    def _set_degraded(self, degraded: bool, reason: str) -> None:
        if degraded is not self.degraded:
            self.degraded = degraded
            self._observer.shared_state_degraded("table", degraded, reason)

    def _announce(self) -> None:
        for changed in self._changed:
            changed()
        self._wake()

    def _settle(self, provider_id: str) -> None:
        if provider_id not in self._settled:
            self._settled.add(provider_id)
            self._wake()

    def _wake(self) -> None:
        self._progress.set()
        self._progress = asyncio.Event()

    def _start_watching(self, provider: RoutedProvider) -> None:
        self._watchers[provider.id] = asyncio.create_task(self._watch(provider), name=f"discovery of {provider.id}")
