import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_stack.routing.attempts import BREAKERS_MAX, Attempts, RetryPolicy
from llama_stack.routing.breaker import BreakerPolicy, BreakerState
from llama_stack.routing.entries import Entry, Target
from llama_stack_api.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    LlamaStackError,
    ModelNotFound,
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
from tests.unit.routing.parts import ManualClock, Remembering, entry

pytestmark = pytest.mark.anyio

RETRIED = [
    ProviderUnreachable("refused"),
    ProviderStreamBroken("cut before the first byte"),
    RateLimited("slow down"),
    ProviderError("busy", upstream_status=503),
    ProviderError("limit", upstream_status=429),
    Overloaded("queue full"),
]
FINAL = [
    InvalidRequest("no"),
    ContextLengthExceeded("too long"),
    ModelNotFound("which?"),
    ProviderRejectedCredentials("bad key", upstream_status=401),
    ProviderError("odd", upstream_status=418),
]
NEXT_ONLY = [ProviderTimeout("late"), ProviderError("rubbish"), NotImplementedByProvider("no rerank")]

Script = Callable[[Target], LlamaStackError | None]


class Bench:
    """Attempts on a clock of its own; `asked` is each attempt's target and time."""

    def __init__(self, script: Script, retry: RetryPolicy | None = None, breaker: BreakerPolicy | None = None) -> None:
        self.clock = ManualClock()
        self.observer = Remembering()
        self.attempts = Attempts(
            retry=retry,
            breaker=breaker,
            observer=self.observer,
            clock=self.clock,
            sleep=self.clock.sleep,
            rng=random.Random(7),
        )
        self.script = script
        self.asked: list[tuple[str, float]] = []

    async def attempt(self, target: Target) -> str:
        self.asked.append((target.provider_id, self.clock.now))
        error = self.script(target)
        if error is not None:
            raise error
        return f"from {target.provider_id}"

    async def run(self, one: Entry, call: Call | None = None) -> str:
        answer, target = await self.attempts.run(one, call or Call(), self.attempt)
        assert answer == f"from {target.provider_id}"
        return target.provider_id

    def providers(self) -> list[str]:
        return [provider_id for provider_id, _ in self.asked]


def failing(error: LlamaStackError, *provider_ids: str, times: int = 10**9) -> Script:
    left = times

    def script(target: Target) -> LlamaStackError | None:
        nonlocal left
        if target.provider_id in provider_ids and left > 0:
            left -= 1
            return error
        return None

    return script


async def test_a_target_in_good_health_is_asked_once() -> None:
    bench = Bench(lambda target: None)
    assert await bench.run(entry("a", "b")) == "a"
    assert bench.asked == [("a", 1_000.0)]
    assert bench.attempts.breakers == {}


@pytest.mark.parametrize("error", RETRIED, ids=lambda error: f"{type(error).__name__}-{error.message}")
async def test_what_may_pass_is_retried_on_the_same_target(error: LlamaStackError) -> None:
    bench = Bench(failing(error, "a", times=2))
    assert await bench.run(entry("a", "b")) == "a"
    assert bench.providers() == ["a", "a", "a"]
    assert 0.125 <= bench.clock.slept[0] <= 0.25
    assert 0.25 <= bench.clock.slept[1] <= 0.5


@pytest.mark.parametrize("error", FINAL, ids=lambda error: type(error).__name__)
async def test_what_no_target_would_answer_otherwise_is_raised_at_once(error: LlamaStackError) -> None:
    bench = Bench(failing(error, "a"))
    with pytest.raises(type(error)) as raised:
        await bench.run(entry("a", "b"))
    assert raised.value is error
    assert bench.providers() == ["a"]
    assert bench.attempts.breakers == {}


@pytest.mark.parametrize("error", NEXT_ONLY, ids=lambda error: type(error).__name__)
async def test_what_this_target_will_not_do_is_asked_of_the_next_without_a_pause(error: LlamaStackError) -> None:
    bench = Bench(failing(error, "a"))
    assert await bench.run(entry("a", "b")) == "b"
    assert bench.providers() == ["a", "b"]
    assert bench.clock.slept == []


async def test_fallback_follows_the_order_after_the_retries_of_each() -> None:
    bench = Bench(failing(ProviderUnreachable("down"), "a", "b"))
    assert await bench.run(entry("a", "b", "c")) == "c"
    assert bench.providers() == ["a", "a", "a", "b", "b", "b", "c"]
    assert bench.observer.fallbacks == [("a/m", "b/m"), ("b/m", "c/m")]


async def test_the_last_error_reaches_the_caller_when_all_fail() -> None:
    errors = {"a": ProviderUnreachable("a is down"), "b": ProviderError("b is broken", upstream_status=500)}
    bench = Bench(lambda target: errors[target.provider_id])
    with pytest.raises(ProviderError) as raised:
        await bench.run(entry("a", "b"))
    assert raised.value is errors["b"]


async def test_retry_after_is_waited_for_within_the_bound() -> None:
    bench = Bench(failing(RateLimited("slow down", retry_after_s=4), "a", times=1))
    assert await bench.run(entry("a")) == "a"
    assert 4 <= bench.clock.slept[0] <= 4.4


async def test_a_longer_retry_after_goes_to_the_next_target() -> None:
    bench = Bench(failing(RateLimited("slow down", retry_after_s=60), "a"))
    assert await bench.run(entry("a", "b")) == "b"
    assert bench.clock.slept == []


async def test_a_longer_retry_after_without_another_target_reaches_the_caller() -> None:
    bench = Bench(failing(RateLimited("slow down", retry_after_s=60), "a"))
    with pytest.raises(RateLimited) as raised:
        await bench.run(entry("a"))
    assert raised.value.retry_after_s == 60
    assert bench.providers() == ["a"]


async def test_nothing_sleeps_past_the_deadline() -> None:
    bench = Bench(failing(RateLimited("slow down", retry_after_s=4), "a"))
    with pytest.raises(RateLimited):
        await bench.run(entry("a"), Call(deadline=1_003.0))
    assert bench.clock.slept == []


async def test_after_the_deadline_nobody_is_asked() -> None:
    bench = Bench(lambda target: None)
    with pytest.raises(ProviderTimeout):
        await bench.run(entry("a", "b"), Call(deadline=1_000.0))
    assert bench.asked == []


async def test_a_failing_target_is_left_alone_until_its_breaker_lets_a_probe_through() -> None:
    bench = Bench(failing(ProviderUnreachable("down"), "a"), breaker=BreakerPolicy(failures_max=3, cool_down_s=10))
    assert await bench.run(entry("a", "b")) == "b"
    bench.asked.clear()
    assert await bench.run(entry("a", "b")) == "b"
    assert bench.providers() == ["b"]
    bench.clock.now += 10
    bench.script = lambda target: None
    assert await bench.run(entry("a", "b")) == "a"
    assert [state for _, state in bench.observer.breakers] == [
        BreakerState.OPEN,
        BreakerState.HALF_OPEN,
        BreakerState.CLOSED,
    ]
    assert bench.attempts.breakers == {}


async def test_an_open_breaker_without_another_target_says_when_to_come_back() -> None:
    bench = Bench(failing(ProviderUnreachable("down"), "a"), breaker=BreakerPolicy(failures_max=1, cool_down_s=10))
    with pytest.raises(ProviderUnreachable, match="down"):
        await bench.run(entry("a"))
    bench.asked.clear()
    with pytest.raises(ProviderUnreachable, match="next try in 10 s") as raised:
        await bench.run(entry("a"))
    assert raised.value.retry_after_s == 10
    assert bench.asked == []


@pytest.mark.parametrize("error", [RateLimited("slow down"), Overloaded("full"), InvalidRequest("no")])
async def test_an_answer_of_any_kind_does_not_open_the_breaker(error: LlamaStackError) -> None:
    bench = Bench(failing(error, "a"), breaker=BreakerPolicy(failures_max=1))
    for _ in range(5):
        with pytest.raises(type(error)):
            await bench.run(entry("a"))
    assert bench.observer.breakers == []


async def test_cancellation_passes_at_once_and_frees_the_probe() -> None:
    bench = Bench(failing(ProviderUnreachable("down"), "a"), breaker=BreakerPolicy(failures_max=1, cool_down_s=1))
    with pytest.raises(ProviderUnreachable):
        await bench.run(entry("a"))
    bench.clock.now += 1
    started = asyncio.Event()

    async def hang(target: Target) -> str:
        started.set()
        await asyncio.Event().wait()
        return "never"

    task = asyncio.ensure_future(bench.attempts.run(entry("a"), Call(), hang))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    bench.script = lambda target: None
    assert await bench.run(entry("a")) == "a"


async def test_a_defect_of_a_provider_is_not_retried() -> None:
    async def defective(target: Target) -> str:
        raise ZeroDivisionError

    bench = Bench(lambda target: None)
    with pytest.raises(ZeroDivisionError):
        await bench.attempts.run(entry("a", "b"), Call(), defective)
    bench.script = failing(ProviderUnreachable("down"), "a", times=1)
    assert await bench.run(entry("a")) == "a"


async def test_balance_follows_the_weights() -> None:
    bench = Bench(lambda target: None)
    one = entry("a", "b", "c", strategy="balance", weights=[6, 3, 1])
    for _ in range(2_000):
        await bench.run(one)
    share = {name: len(list(group)) / 2_000 for name, group in groupby(sorted(bench.providers()))}
    assert share == pytest.approx({"a": 0.6, "b": 0.3, "c": 0.1}, abs=0.04)


async def test_balance_falls_back_to_every_other_target() -> None:
    bench = Bench(failing(ProviderTimeout("late"), "a", "b"))
    for _ in range(20):
        assert await bench.run(entry("a", "b", "c", strategy="balance")) == "c"


async def test_breakers_of_ids_that_callers_make_up_are_bounded() -> None:
    bench = Bench(lambda target: None)
    for number in range(BREAKERS_MAX + 50):
        bench.attempts.failed(f"gateway/{number}")
    assert len(bench.attempts.breakers) == BREAKERS_MAX


outcomes = st.sampled_from([None, *RETRIED, *FINAL, *NEXT_ONLY, RateLimited("wait", retry_after_s=3)])


@given(
    targets=st.integers(1, 4),
    strategy=st.sampled_from(["fallback", "balance"]),
    script=st.lists(outcomes, max_size=20),
    deadline_s=st.none() | st.floats(0, 8),
    per_target=st.integers(1, 4),
    total=st.integers(1, 8),
    weights=st.lists(st.floats(0.1, 9), min_size=4, max_size=4),
)
def test_bounds_hold_whatever_happens(
    targets: int,
    strategy: str,
    script: list[LlamaStackError | None],
    deadline_s: float | None,
    per_target: int,
    total: int,
    weights: list[float],
) -> None:
    remaining = iter(script)
    bench = Bench(
        lambda target: next(remaining, ProviderUnreachable("down")),
        RetryPolicy(attempts_per_target_max=per_target, attempts_max=total),
        BreakerPolicy(failures_max=3),
    )
    one = entry(
        *"abcd"[:targets], strategy="balance" if strategy == "balance" else "fallback", weights=weights[:targets]
    )
    deadline = None if deadline_s is None else bench.clock.now + deadline_s
    answered = _outcome(bench.run(one, Call(deadline=deadline)))
    asked = bench.providers()
    assert len(asked) <= total
    visited = [name for name, _ in groupby(asked)]
    assert len(visited) == len(set(visited)), "a target that was given up is not asked again"
    assert all(asked.count(name) <= per_target for name in visited)
    if strategy == "fallback":
        assert visited == sorted(visited)
    if deadline is not None:
        assert all(at < deadline for _, at in bench.asked)
        assert bench.clock.now <= deadline or not bench.clock.slept
    if isinstance(answered, str):
        assert answered == asked[-1]


def _outcome(running: Awaitable[str]) -> str | LlamaStackError:
    async def run() -> str | LlamaStackError:
        try:
            return await running
        except LlamaStackError as error:
            return error

    return asyncio.run(run())
