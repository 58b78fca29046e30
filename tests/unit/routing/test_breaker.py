import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llama_stack.routing.breaker import Breaker, BreakerPolicy, BreakerState

POLICY = BreakerPolicy(failures_max=3, window_s=60, cool_down_s=10, cool_down_max_s=40, probe_s=30)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(POLICY.failures_max):
        assert breaker.allow(now)
        breaker.failed(now)
    assert breaker.state is BreakerState.OPEN
    return breaker


def test_it_opens_after_failures_in_a_row_and_lets_one_probe_through_after_the_cool_down() -> None:
    breaker = opened()
    assert not breaker.allow(9.9)
    assert breaker.retry_in_s(4.0) == 6.0
    assert breaker.allow(10.0)
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.allow(10.0)
    breaker.succeeded()
    assert breaker.clean


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = Breaker(POLICY)
    for _ in range(10):
        breaker.failed(0)
        breaker.failed(0)
        breaker.succeeded()
    assert breaker.clean


def test_failures_that_lie_far_apart_do_not_open_it() -> None:
    breaker = Breaker(POLICY)
    for now in range(0, 1000, 61):
        breaker.failed(float(now))
    assert breaker.state is BreakerState.CLOSED


def test_each_failed_probe_doubles_the_cool_down_up_to_its_bound() -> None:
    breaker, now, pauses = opened(), 0.0, []
    for _ in range(4):
        pause = breaker.retry_in_s(now)
        pauses.append(pause)
        now += pause
        assert breaker.allow(now)
        breaker.failed(now)
    assert pauses == [10, 20, 40, 40]


def test_an_abandoned_probe_gives_its_place_to_the_next() -> None:
    breaker = opened()
    assert breaker.allow(10)
    breaker.abandoned()
    assert breaker.allow(10)


def test_a_lost_probe_holds_its_place_for_a_bounded_time() -> None:
    breaker = opened()
    assert breaker.allow(10)
    assert not breaker.allow(39.9)
    assert breaker.allow(40)


def test_a_late_success_from_before_the_opening_does_not_close_it() -> None:
    breaker = opened()
    breaker.succeeded()
    assert breaker.state is BreakerState.OPEN


def test_what_another_process_found_opens_it_and_closes_it() -> None:
    breaker = Breaker(POLICY)
    breaker.opened_elsewhere(25)
    assert not breaker.allow(24)
    breaker.closed_elsewhere(24)
    assert breaker.allow(24)
    assert breaker.state is BreakerState.HALF_OPEN


@given(own=st.floats(0, 100), other=st.floats(0, 100))
def test_another_process_never_shortens_the_cool_down(own: float, other: float) -> None:
    breaker = opened(own)
    breaker.opened_elsewhere(other)
    assert breaker.retry_in_s(0) == pytest.approx(max(own + POLICY.cool_down_s, other))


class BreakerMachine(RuleBasedStateMachine):
    """Callers come, go and report in any order; time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(POLICY)
        self.now = 0.0
        self.inside = 0

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def somebody_asks(self) -> None:
        before, retry_in_s = self.breaker.state, self.breaker.retry_in_s(self.now)
        allowed = self.breaker.allow(self.now)
        if before is BreakerState.CLOSED:
            assert allowed
        if before is BreakerState.OPEN:
            assert allowed == (retry_in_s == 0)
        if allowed and before is not BreakerState.CLOSED:
            assert self.breaker.state is BreakerState.HALF_OPEN
            assert not self.breaker.allow(self.now), "a second probe beside the first"
        self.inside += allowed

    @precondition(lambda self: self.inside)
    @rule(outcome=st.sampled_from(["succeeded", "failed", "abandoned"]))
    def somebody_reports(self, outcome: str) -> None:
        self.inside -= 1
        if outcome == "failed":
            self.breaker.failed(self.now)
        elif outcome == "succeeded":
            self.breaker.succeeded()
        else:
            self.breaker.abandoned()

    @invariant()
    def an_open_one_always_opens_again_in_bounded_time(self) -> None:
        assert self.breaker.retry_in_s(self.now) <= POLICY.cool_down_max_s
        if self.breaker.clean:
            assert self.breaker.allow(self.now)


TestBreakerMachine = BreakerMachine.TestCase
