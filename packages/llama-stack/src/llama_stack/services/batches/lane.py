"""How many lines may be under way at one provider, and whose turn it is: a state machine without a clock.

The number of places grows by one for each round of answers, and is halved when the provider says that it is too much;
then nobody asks it again before the pause is over. Batches take turns, however many lines each of them has.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

_Queues = OrderedDict[str, "deque[Ticket]"]


@dataclass(frozen=True, slots=True)
class PacePolicy:
    """`start` places at first, at most `concurrent_max`. After the nth refusal in a row that does not say when to come
    back, a pause of `pause_s` x 2^(n-1), at most `pause_max_s`; no pause is shorter than `pause_s`, whatever a provider
    says, nor longer than `told_max_s`."""

    concurrent_max: int
    start: int = 4
    pause_s: float = 0.5
    pause_max_s: float = 60.0
    told_max_s: float = 900.0
    jitter: float = 0.25
    """A pause is longer by up to this part of it, so that not all who wait come back at once."""


@dataclass(eq=False, slots=True)
class Ticket:
    """One line that waits for a place, or has one. `round` is the lane's when the place was given."""

    batch: str
    round: int = -1


@dataclass(slots=True)
class Lane:
    """One provider's places. Every time is a number of seconds by the same clock."""

    policy: PacePolicy
    places: int = field(init=False)
    taken: int = 0
    paused_until: float = float("-inf")
    _round: int = 0
    _refusals: int = 0
    _answers: int = 0
    _waiting: _Queues = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.places = min(self.policy.start, self.policy.concurrent_max)

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    @property
    def idle(self) -> bool:
        return not self.taken and not self._waiting

    def join(self, ticket: Ticket) -> None:
        self._waiting.setdefault(ticket.batch, deque()).append(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Whoever waits no longer. One that has a place gives it up by `freed`."""
        queue = self._waiting[ticket.batch]
        queue.remove(ticket)
        if not queue:
            del self._waiting[ticket.batch]

    def admit(self, now: float) -> list[Ticket]:
        """Those who have a place from now on."""
        admitted: list[Ticket] = []
        while self._waiting and self.taken < self.places and now >= self.paused_until:
            batch, queue = next(iter(self._waiting.items()))
            ticket = queue.popleft()
            if queue:
                self._waiting.move_to_end(batch)
            else:
                del self._waiting[batch]
            ticket.round = self._round
            self.taken += 1
            admitted.append(ticket)
        return admitted

    def freed(self) -> None:
        """A place is free again, and nothing was learned of how much the provider can take."""
        self.taken -= 1

    def answered(self) -> None:
        self.taken -= 1
        self._refusals = 0
        self._answers += 1
        if self._answers >= self.places:
            self._answers = 0
            self.places = min(self.places + 1, self.policy.concurrent_max)

    def refused(self, ticket: Ticket, now: float, told_s: float | None, chance: float) -> None:
        """It was too much. `told_s` is when to come back, if the provider says so, `chance` from 0 to 1.

        What was sent before an earlier refusal was known says nothing new: one burst halves once.
        """
        self.taken -= 1
        self._answers = 0
        if ticket.round == self._round:
            self._round += 1
            self._refusals += 1
            self.places = max(1, self.places // 2)
        pause_s = self._pause_s(told_s) * (1 + self.policy.jitter * chance)
        self.paused_until = max(self.paused_until, now + pause_s)

    def _pause_s(self, told_s: float | None) -> float:
        policy = self.policy
        if told_s is not None:
            return min(max(told_s, policy.pause_s), policy.told_max_s)
        # The exponent has a bound too: 2.0**1024 is an error.
        return min(policy.pause_s * 2.0 ** min(max(self._refusals - 1, 0), 32), policy.pause_max_s)
