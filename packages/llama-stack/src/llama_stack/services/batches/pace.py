"""The pace at which lines of all batches of this process go to providers. `lane.py` decides; this waits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

from llama_stack.services.batches.lane import Lane, PacePolicy, Ticket
from llama_stack_api.errors import (
    LlamaStackError,
    Overloaded,
    ProviderError,
    ProviderUnreachable,
    RateLimited,
)

T = TypeVar("T")

LANES_MAX = 1000
"""Lanes that are remembered without anybody in them: what was learned of others is forgotten."""

_TOO_MUCH = (429, 503, 529)


def is_throttled(error: LlamaStackError) -> bool:
    """Whether the same line may do later: the provider has too much to do, or is not there."""
    match error:
        case RateLimited() | Overloaded() | ProviderUnreachable():
            return True
        case ProviderError(upstream_status=int(status)):
            return status in _TOO_MUCH
    return False


class Pace:
    """`rng` gives the jitter."""

    def __init__(self, concurrent_max: int, *, policy: PacePolicy | None = None, rng: random.Random | None = None):
        self._policy = policy or PacePolicy(concurrent_max)
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._lanes: dict[str, Lane] = {}
        self._places: dict[Ticket, asyncio.Future[None]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def carry_out(
        self, lane: str, batch: str, deadline: float | None, attempt: Callable[[int], Awaitable[T]]
    ) -> T | None:
        """What `attempt(number)` returns, as soon as there is a place in the lane; None if `deadline` (of the loop's
        clock) passed before. One that raises an error of `is_throttled` waits for the next place, and is made again.
        Other errors are raised.
        """
        for number in count():
            ticket = Ticket(batch)
            if not await self._enter(lane, ticket, deadline):
                return None
            settle = self._lanes[lane].freed
            try:
                result = await attempt(number)
                settle = self._lanes[lane].answered
                return result
            except LlamaStackError as error:
                if not is_throttled(error):
                    raise
                settle = self._refusal(lane, ticket, error)
            finally:
                settle()
                self._admit(lane)
        raise AssertionError("there is always a next attempt")

    def _refusal(self, lane: str, ticket: Ticket, error: LlamaStackError) -> Callable[[], None]:
        now, chance = asyncio.get_running_loop().time(), self._rng.random()
        return lambda: self._lanes[lane].refused(ticket, now, error.retry_after_s, chance)

    async def _enter(self, name: str, ticket: Ticket, deadline: float | None) -> bool:
        """Whether there was a place in time."""
        loop = asyncio.get_running_loop()
        if deadline is not None and loop.time() >= deadline:
            return False
        lane = self._lanes.get(name) or self._new_lane(name)
        place = self._places[ticket] = loop.create_future()
        lane.join(ticket)
        self._admit(name)
        entered = False
        try:
            async with asyncio.timeout_at(deadline) as limit:
                await place
            entered = True
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            del self._places[ticket]
            if not entered:
                self._turn_back(name, ticket)
        return entered

    def _turn_back(self, name: str, ticket: Ticket) -> None:
        """The place may have been given in the very moment in which its taker stopped waiting."""
        lane = self._lanes[name]
        if ticket.round < 0:
            lane.leave(ticket)
        else:
            lane.freed()
        # Also where nobody waits any more: no timer is left for a lane that may be forgotten then.
        self._admit(name)

    def _admit(self, name: str) -> None:
        lane, loop = self._lanes[name], asyncio.get_running_loop()
        # One moment for both questions: a pause that ended in between would leave those who wait without a timer.
        now = loop.time()
        for ticket in lane.admit(now):
            place = self._places.get(ticket)
            if place is not None and not place.done():
                place.set_result(None)
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        if lane.waiting and lane.paused_until > now:
            self._timers[name] = loop.call_at(lane.paused_until, self._admit, name)

    def _new_lane(self, name: str) -> Lane:
        if len(self._lanes) >= LANES_MAX:
            for idle in [known for known, lane in self._lanes.items() if lane.idle]:
                del self._lanes[idle]
        lane = self._lanes[name] = Lane(self._policy)
        return lane
