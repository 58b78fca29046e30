"""A circuit breaker: a state machine without I/O. Times are seconds of one monotonic clock, passed in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """`failures_max` failures in a row, each within `window_s` of the one before, open it for `cool_down_s`.

    Every failed probe doubles the cool-down, up to `cool_down_max_s`. A probe that never reports back (its process was
    killed, its task lost) holds the only place for at most `probe_s`.
    """

    failures_max: int = 5
    window_s: float = 60.0
    cool_down_s: float = 10.0
    cool_down_max_s: float = 120.0
    probe_s: float = 120.0


class Breaker:
    """Closed: everything passes. Open: nothing does, until the cool-down is over. Half-open: one probe at a time.

    Whoever was let in by `allow` reports once: `succeeded`, `failed`, or `abandoned` when it learned nothing.
    """

    __slots__ = ("_cool_down_s", "_failures", "_last_failure", "_policy", "_probe_until", "_retry_at", "state")

    def __init__(self, policy: BreakerPolicy) -> None:
        self.state = BreakerState.CLOSED
        self._policy = policy
        self._failures = 0
        self._last_failure = 0.0
        self._cool_down_s = policy.cool_down_s
        self._retry_at = 0.0
        self._probe_until: float | None = None

    @property
    def clean(self) -> bool:
        """Closed, with nothing to remember: it may be forgotten."""
        return self.state is BreakerState.CLOSED and self._failures == 0

    def retry_in_s(self, now: float) -> float:
        """How long an open breaker stays so."""
        return max(0.0, self._retry_at - now)

    def allow(self, now: float) -> bool:
        if self.state is BreakerState.CLOSED:
            return True
        if self.state is BreakerState.OPEN:
            if now < self._retry_at:
                return False
            self.state = BreakerState.HALF_OPEN
        elif self._probe_until is not None and now < self._probe_until:
            return False
        self._probe_until = now + self._policy.probe_s
        return True

    def succeeded(self) -> None:
        """A success that began before the breaker opened proves nothing about now, so it does not close an open one."""
        if self.state is BreakerState.OPEN:
            return
        self.state = BreakerState.CLOSED
        self._failures = 0
        self._probe_until = None
        self._cool_down_s = self._policy.cool_down_s

    def failed(self, now: float) -> None:
        if self.state is BreakerState.OPEN:
            return
        if self.state is BreakerState.HALF_OPEN:
            self._cool_down_s = min(self._cool_down_s * 2, self._policy.cool_down_max_s)
            self._open(now + self._cool_down_s)
            return
        recent = now - self._last_failure <= self._policy.window_s
        self._failures = self._failures + 1 if recent else 1
        self._last_failure = now
        if self._failures >= self._policy.failures_max:
            self._open(now + self._cool_down_s)

    def abandoned(self) -> None:
        self._probe_until = None

    def opened_elsewhere(self, retry_at: float) -> None:
        """Another process found the target failing; never shortens a cool-down of our own."""
        if self.state is not BreakerState.OPEN:
            self._open(retry_at)
        else:
            self._retry_at = max(self._retry_at, retry_at)

    def closed_elsewhere(self, now: float) -> None:
        """Another process reached the target: we may probe at once."""
        if self.state is BreakerState.OPEN:
            self._retry_at = now

    def _open(self, retry_at: float) -> None:
        self.state = BreakerState.OPEN
        self._failures = 0
        self._retry_at = retry_at
        self._probe_until = None
