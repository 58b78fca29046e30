"""Carrying a call out: which target first, whether to try again, when to give up.

`attempt(target)` covers everything up to the first byte of the reply, so whatever is repeated here has not reached the
client. Retries and fallback end there: a stream that breaks later is an error of that stream.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from llama_stack.routing.breaker import Breaker, BreakerPolicy, BreakerState
from llama_stack.routing.entries import Entry, Target
from llama_stack.routing.observer import RoutingObserver, SilentObserver
from llama_stack_api.errors import (
    LlamaStackError,
    NotImplementedByProvider,
    Overloaded,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderStreamBroken,
    ProviderTimeout,
    ProviderUnreachable,
    RateLimited,
)
from llama_stack_api.principal import Call

T = TypeVar("T")

BREAKERS_MAX = 10_000
"""Where a provider takes any id, its name is the caller's choice; the breaker that failed first is forgotten first."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Attempts are counted, not retries: `attempts_per_target_max=1` never repeats.

    Before attempt n + 1 on a target: a random part (half to all) of `backoff_s` x 2^(n-1), at most `backoff_max_s`; or
    `Retry-After` plus up to a tenth, if the provider sent one, but one above `retry_after_max_s` is not waited for.
    """

    attempts_per_target_max: int = 3
    attempts_max: int = 8
    backoff_s: float = 0.25
    backoff_max_s: float = 4.0
    retry_after_max_s: float = 10.0


class Verdict(Enum):
    """What an error says about trying again."""

    RETRY = "the same target may answer in a moment"
    NEXT = "this target will not, another may"
    FINAL = "no target would answer otherwise"


def judge(error: LlamaStackError) -> tuple[Verdict, bool]:
    """The verdict, and whether the error counts against the target's breaker.

    A 429 or a full queue does not: the target is alive, and a limit may be that of one caller's key. A rejected request
    (4xx) and rejected credentials are final. A timeout is not repeated on a target that may still be at work.
    """
    match error:
        case RateLimited() | Overloaded():
            return Verdict.RETRY, False
        case ProviderUnreachable() | ProviderStreamBroken():
            return Verdict.RETRY, True
        case ProviderTimeout():
            return Verdict.NEXT, True
        case NotImplementedByProvider():
            return Verdict.NEXT, False
        case ProviderRejectedCredentials():
            return Verdict.FINAL, False
        case ProviderError(upstream_status=None):
            return Verdict.NEXT, True
        case ProviderError(upstream_status=429):
            return Verdict.RETRY, False
        case ProviderError(upstream_status=int(status)) if status >= 500:
            return Verdict.RETRY, True
        case _:
            return Verdict.FINAL, False


class Attempts:
    """Runs calls against the targets of an entry. One for the process: it holds the breakers.

    `clock` must count as the event loop's, with which `call.deadline` is compared; None: `time.monotonic`, which does.
    Breakers exist for targets that failed lately, so a target in good health costs one failed dict read. `listeners`
    hear the transitions that this process found out itself, not those that it took over from others.
    """

    def __init__(
        self,
        *,
        retry: RetryPolicy | None = None,
        breaker: BreakerPolicy | None = None,
        observer: RoutingObserver | None = None,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self.retry = retry or RetryPolicy()
        self.breaker_policy = breaker or BreakerPolicy()
        self.observer = observer or SilentObserver()
        self.clock = clock or time.monotonic
        self.sleep = sleep
        self.rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self.breakers: dict[str, Breaker] = {}
        self.listeners: list[Callable[[str, Breaker], None]] = []

    async def run(self, entry: Entry, call: Call, attempt: Callable[[Target], Awaitable[T]]) -> tuple[T, Target]:
        """What the first target that answered returned, and that target.

        Raises the error of the last target that was asked; `ProviderUnreachable` with the time until the next probe if
        the breakers of all are open; `ProviderTimeout` if the deadline had passed before the first attempt.
        """
        first = entry.targets[0]
        if len(entry.targets) > 1 and entry.strategy == "balance":
            first = pick(entry.targets, self.rng)
        failure = None
        if first.key not in self.breakers and (call.deadline is None or self.clock() < call.deadline):
            try:
                return await attempt(first), first
            except LlamaStackError as error:
                failure = error
        return await _Perseverance(self, entry, call, attempt).run(first, failure)

    def admits(self, key: str) -> bool:
        """Whether the target's breaker lets an attempt through; whoever was let through reports how it went."""
        breaker = self.breakers.get(key)
        if breaker is None:
            return True
        before = breaker.state
        allowed = breaker.allow(self.clock())
        self._notice(key, breaker, before)
        return allowed

    def failed(self, key: str) -> None:
        breaker = self.breakers.get(key)
        if breaker is None:
            if len(self.breakers) >= BREAKERS_MAX:
                del self.breakers[next(iter(self.breakers))]
            breaker = self.breakers[key] = Breaker(self.breaker_policy)
        before = breaker.state
        breaker.failed(self.clock())
        self._notice(key, breaker, before)

    def answered(self, key: str) -> None:
        """The target is alive, whatever it said."""
        breaker = self.breakers.get(key)
        if breaker is None:
            return
        before = breaker.state
        breaker.succeeded()
        if breaker.clean:
            del self.breakers[key]
        self._notice(key, breaker, before)

    def abandoned(self, key: str) -> None:
        breaker = self.breakers.get(key)
        if breaker is not None:
            breaker.abandoned()

    def is_open(self, key: str) -> bool:
        breaker = self.breakers.get(key)
        return breaker is not None and breaker.state is BreakerState.OPEN

    def opened_elsewhere(self, key: str, cool_down_s: float) -> None:
        """Another process opened its breaker for this target, for that long from now."""
        breaker = self.breakers.setdefault(key, Breaker(self.breaker_policy))
        before = breaker.state
        breaker.opened_elsewhere(self.clock() + cool_down_s)
        self._notice(key, breaker, before, shared=False)

    def closed_elsewhere(self, key: str) -> None:
        breaker = self.breakers.get(key)
        if breaker is not None:
            breaker.closed_elsewhere(self.clock())

    def _notice(self, key: str, breaker: Breaker, before: BreakerState, *, shared: bool = True) -> None:
        if breaker.state is before:
            return
        self.observer.breaker_changed(key, breaker.state)
        for listener in self.listeners if shared else ():
            listener(key, breaker)


def pick(targets: Sequence[Target], rng: random.Random) -> Target:
    """One target at random, by weight."""
    point = rng.random() * sum(target.weight for target in targets)
    for target in targets:
        point -= target.weight
        if point < 0:
            return target
    return targets[-1]


def others(entry: Entry, first: Target, rng: random.Random) -> Iterator[Target]:
    """The remaining targets after `first`: in order, or by weight without replacement."""
    remaining = list(entry.targets)
    remaining.remove(first)
    while remaining:
        target = pick(remaining, rng) if entry.strategy == "balance" else remaining[0]
        remaining.remove(target)
        yield target


class _Perseverance(Generic[T]):
    """One call that did not go right at once."""

    __slots__ = ("_attempt", "_call", "_entry", "_error", "_given_up", "_made", "_owner")

    def __init__(self, owner: Attempts, entry: Entry, call: Call, attempt: Callable[[Target], Awaitable[T]]) -> None:
        self._owner = owner
        self._entry = entry
        self._call = call
        self._attempt = attempt
        self._made = 0
        self._error: LlamaStackError | None = None
        self._given_up: Target | None = None

    async def run(self, first: Target, failure: LlamaStackError | None) -> tuple[T, Target]:
        answer = await self._ask(first, failure)
        if answer is not None:
            return answer
        self._given_up = first
        for target in others(self._entry, first, self._owner.rng):
            answer = await self._ask(target, None)
            if answer is not None:
                return answer
            self._given_up = target
        raise self._error or self._nothing_asked()

    async def _ask(self, target: Target, failure: LlamaStackError | None) -> tuple[T, Target] | None:
        """Attempts on one target, the first of which may already have failed; None: go on to the next target."""
        tried = 0 if failure is None else 1
        self._made += tried
        while True:
            if failure is not None:
                pause_s = self._pause_after(target, failure, tried)
                if pause_s is None:
                    return None
                await self._owner.sleep(pause_s)
            if not self._may_attempt(target):
                return None
            if tried == 0 and self._given_up is not None:
                self._owner.observer.fell_back(self._entry, self._given_up, target)
            tried += 1
            self._made += 1
            try:
                value = await self._attempt(target)
            except LlamaStackError as error:
                failure = error
            except BaseException:
                self._owner.abandoned(target.key)
                raise
            else:
                self._owner.answered(target.key)
                return value, target

    def _may_attempt(self, target: Target) -> bool:
        deadline = self._call.deadline
        in_time = deadline is None or self._owner.clock() < deadline
        return in_time and self._made < self._owner.retry.attempts_max and self._owner.admits(target.key)

    def _pause_after(self, target: Target, error: LlamaStackError, tried: int) -> float | None:
        """Seconds until the same target is asked again, or None if it is not. Raises an error that is final."""
        self._error = error
        verdict, breaks = judge(error)
        if breaks:
            self._owner.failed(target.key)
        else:
            self._owner.answered(target.key)
        again = verdict is Verdict.RETRY and not self._owner.is_open(target.key)
        pause_s = self._backoff(error, tried) if again else None
        self._owner.observer.attempt_failed(target, error, retry_in_s=pause_s)
        if verdict is Verdict.FINAL:
            raise error
        return pause_s

    def _backoff(self, error: LlamaStackError, tried: int) -> float | None:
        retry, rng = self._owner.retry, self._owner.rng
        if tried >= retry.attempts_per_target_max or self._made >= retry.attempts_max:
            return None
        if error.retry_after_s is not None:
            if error.retry_after_s > retry.retry_after_max_s:
                return None
            pause_s = error.retry_after_s * (1 + rng.random() / 10)
        else:
            pause_s = min(retry.backoff_s * 2 ** (tried - 1), retry.backoff_max_s) * (1 + rng.random()) / 2
        deadline = self._call.deadline
        return None if deadline is not None and self._owner.clock() + pause_s >= deadline else pause_s

    def _nothing_asked(self) -> LlamaStackError:
        now = self._owner.clock()
        if self._call.deadline is not None and now >= self._call.deadline:
            return ProviderTimeout("the time allowed for this request was over before a provider could be asked")
        open_for = [
            breaker.retry_in_s(now)
            for target in self._entry.targets
            if (breaker := self._owner.breakers.get(target.key)) is not None
        ]
        wait_s = max(1.0, min(open_for, default=0.0))
        providers = ", ".join(dict.fromkeys(target.provider_id for target in self._entry.targets))
        return ProviderUnreachable(
            f"{self._entry.identifier!r} is not asked for now: {providers} failed repeatedly; "
            f"next try in {wait_s:.0f} s",
            retry_after_s=wait_s,
        )
