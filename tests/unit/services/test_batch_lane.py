"""The pace of a provider as a state machine: no clock, no waiting, every order of events."""

from __future__ import annotations

from collections import Counter, deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from llama_stack.services.batches.lane import Lane, PacePolicy, Ticket

BATCHES = st.sampled_from(["a", "b", "c"])


class LaneMachine(RuleBasedStateMachine):
    @initialize(concurrent_max=st.integers(1, 12))
    def make(self, concurrent_max: int) -> None:
        self.policy = PacePolicy(concurrent_max)
        self.lane = Lane(self.policy)
        self.now = 0.0
        self.waiting: list[Ticket] = []
        self.under_way: deque[Ticket] = deque()
        self.pause_ends = float("-inf")

    @rule(batch=BATCHES, count=st.integers(1, 5))
    def join(self, batch: str, count: int) -> None:
        for _ in range(count):
            ticket = Ticket(batch)
            self.lane.join(ticket)
            self.waiting.append(ticket)

    @rule()
    def admit(self) -> None:
        free = self.lane.places - self.lane.taken
        admitted = self.lane.admit(self.now)
        may = self.now >= self.pause_ends
        assert len(admitted) == (min(max(free, 0), len(self.waiting)) if may else 0)
        for batch in {ticket.batch for ticket in admitted}:
            of_batch = [ticket for ticket in self.waiting if ticket.batch == batch]
            mine = [ticket for ticket in admitted if ticket.batch == batch]
            assert mine == of_batch[: len(mine)], "in the order in which they came"
        counts = Counter(ticket.batch for ticket in admitted)
        for ticket in admitted:
            self.waiting.remove(ticket)
        left = {ticket.batch for ticket in self.waiting}
        assert all(counts[batch] + 1 >= max(counts.values()) for batch in left if counts), "batches take turns"
        self.under_way.extend(admitted)

    @rule()
    def answer(self) -> None:
        if self.under_way:
            before = self.lane.places
            self.under_way.popleft()
            self.lane.answered()
            assert before <= self.lane.places <= before + 1

    @rule()
    def free(self) -> None:
        if self.under_way:
            self.under_way.popleft()
            self.lane.freed()

    @rule(told_s=st.none() | st.floats(0, 1e9), chance=st.floats(0, 1))
    def refuse(self, told_s: float | None, chance: float) -> None:
        if self.under_way:
            before = self.lane.places
            self.lane.refused(self.under_way.popleft(), self.now, told_s, chance)
            assert self.lane.places in (before, max(1, before // 2))
            assert self.lane.paused_until >= self.now + self.policy.pause_s, "never at once"
            assert told_s is None or self.lane.paused_until >= self.now + min(told_s, self.policy.told_max_s)
            longest = max(self.policy.told_max_s, self.policy.pause_max_s) * (1 + self.policy.jitter)
            assert self.lane.paused_until <= max(self.pause_ends, self.now + longest)
            self.pause_ends = self.lane.paused_until

    @rule(index=st.integers(0, 100))
    def leave(self, index: int) -> None:
        if self.waiting:
            self.lane.leave(self.waiting.pop(index % len(self.waiting)))

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def places_are_kept(self) -> None:
        if hasattr(self, "lane"):
            assert 1 <= self.lane.places <= self.policy.concurrent_max
            assert self.lane.taken == len(self.under_way) <= self.policy.concurrent_max
            assert self.lane.waiting == bool(self.waiting)

    def teardown(self) -> None:
        """Whatever happened: who waits gets through once the provider answers."""
        if not hasattr(self, "lane"):
            return
        self.now = max(self.now, self.pause_ends)
        while self.under_way:
            self.answer()
        while self.waiting:
            waited = len(self.waiting)
            self.admit()
            assert len(self.waiting) < waited
            while self.under_way:
                self.answer()
        assert self.lane.idle


LaneMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestLane = LaneMachine.TestCase


def under_way(lane: Lane, count: int, now: float = 0.0) -> list[Ticket]:
    for _ in range(count):
        lane.join(Ticket("batch"))
    return lane.admit(now)


def test_one_more_place_for_each_round_of_answers() -> None:
    lane = Lane(PacePolicy(6))
    seen = []
    for _ in range(20):
        under_way(lane, 1)
        lane.answered()
        seen.append(lane.places)
    assert seen == [4, 4, 4, 5, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6]


def test_a_burst_of_refusals_halves_once() -> None:
    lane = Lane(PacePolicy(16, start=16))
    tickets = under_way(lane, 16)
    for ticket in tickets:
        lane.refused(ticket, 0.0, None, 0.0)
    assert (lane.places, lane.paused_until) == (8, 0.5)
    for ticket in under_way(lane, 8, 0.5):
        lane.refused(ticket, 0.5, None, 0.0)
    assert (lane.places, lane.paused_until) == (4, 1.5)


@pytest.mark.parametrize(
    ("told_s", "chance", "pause_s"),
    [(7.0, 0.0, 7.0), (8.0, 1.0, 10.0), (0.0, 0.0, 0.5), (1e12, 0.0, 900.0), (None, 0.0, 0.5), (None, 1.0, 0.625)],
)
def test_the_pause_is_what_the_provider_says_within_reason(told_s: float | None, chance: float, pause_s: float) -> None:
    lane = Lane(PacePolicy(4))
    (ticket,) = under_way(lane, 1)
    lane.refused(ticket, 100.0, told_s, chance)
    assert lane.paused_until == 100.0 + pause_s


def test_pauses_grow_until_there_is_an_answer() -> None:
    lane, now, pauses = Lane(PacePolicy(1)), 0.0, []
    for _ in range(10):
        (ticket,) = under_way(lane, 1, now)
        lane.refused(ticket, now, None, 0.0)
        pauses.append(lane.paused_until - now)
        now = lane.paused_until
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    under_way(lane, 1, now)
    lane.answered()
    (ticket,) = under_way(lane, 1, now)
    lane.refused(ticket, now, None, 0.0)
    assert lane.paused_until == now + 0.5


def test_a_small_batch_does_not_wait_for_a_large_one() -> None:
    lane = Lane(PacePolicy(4))
    under_way(lane, 1000)
    small = Ticket("small")
    lane.join(small)
    lane.answered()
    lane.answered()
    assert small in lane.admit(0.0)
