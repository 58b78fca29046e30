import pytest

from llama_stack.routing.attempts import Attempts
from llama_stack.routing.breaker import BreakerPolicy, BreakerState
from llama_stack.routing.shared_breakers import SharedBreakers
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.ports.kv import KV
from tests.unit.routing.parts import BrokenKV, ManualClock, Remembering

pytestmark = pytest.mark.anyio

KEY = "vllm/llama"
POLICY = BreakerPolicy(failures_max=1, cool_down_s=10)


class Worker:
    """The breakers of one process, on its own monotonic clock, sharing wall clock and KV with the others."""

    def __init__(self, kv: KV, wall_clock: ManualClock) -> None:
        self.clock = ManualClock(now=wall_clock.now / 7)
        self.observer = Remembering()
        self.attempts = Attempts(breaker=POLICY, clock=self.clock, observer=self.observer)
        self.shared = SharedBreakers(self.attempts, kv, wall_clock=wall_clock, observer=self.observer)

    def state(self) -> BreakerState:
        breaker = self.attempts.breakers.get(KEY)
        return breaker.state if breaker else BreakerState.CLOSED


class Cluster:
    def __init__(self) -> None:
        self.wall_clock = ManualClock()
        self.kv = MemoryKV(clock=self.wall_clock).bind("default", "breakers")
        self.workers = [Worker(self.kv, self.wall_clock) for _ in range(2)]

    def pass_time(self, seconds: float) -> None:
        for clock in (self.wall_clock, *(worker.clock for worker in self.workers)):
            clock.now += seconds

    async def exchange(self) -> None:
        for worker in self.workers:
            await worker.shared.exchange()


async def test_what_one_process_finds_failing_the_other_leaves_alone() -> None:
    cluster = Cluster()
    one, other = cluster.workers
    one.attempts.failed(KEY)
    cluster.pass_time(2)
    await cluster.exchange()
    assert other.state() is BreakerState.OPEN
    assert not other.attempts.admits(KEY)
    cluster.pass_time(8)
    assert other.attempts.admits(KEY), "the cool-down began when the first process opened its breaker"


async def test_a_probe_that_succeeds_lets_the_others_probe_at_once() -> None:
    cluster = Cluster()
    one, other = cluster.workers
    one.attempts.failed(KEY)
    await cluster.exchange()
    cluster.pass_time(10)
    assert one.attempts.admits(KEY)
    one.attempts.failed(KEY)
    await cluster.exchange()
    assert not other.attempts.admits(KEY), "the cool-down was doubled"
    cluster.pass_time(19)
    one.attempts.closed_elsewhere(KEY)
    assert one.attempts.admits(KEY)
    one.attempts.answered(KEY)
    await cluster.exchange()
    assert other.attempts.admits(KEY)
    other.attempts.answered(KEY)
    assert other.state() is BreakerState.CLOSED


async def test_an_adopted_opening_is_not_written_again() -> None:
    cluster = Cluster()
    one, other = cluster.workers
    one.attempts.failed(KEY)
    for _ in range(12):
        await cluster.exchange()
        cluster.pass_time(1)
    assert [name async for name in cluster.kv.scan("breaker/")] == []
    assert other.observer.breakers == [(KEY, BreakerState.OPEN)]


async def test_without_kv_each_process_goes_on_alone_and_says_so() -> None:
    cluster = Cluster()
    kv = BrokenKV(cluster.kv)
    worker = Worker(kv, cluster.wall_clock)
    worker.attempts.failed(KEY)
    await worker.shared.exchange()
    assert worker.state() is BreakerState.OPEN
    assert worker.observer.degraded == [("breakers", True)]
    kv.away = False
    await worker.shared.exchange()
    assert worker.observer.degraded == [("breakers", True), ("breakers", False)]
    await cluster.exchange()
    assert cluster.workers[0].state() is BreakerState.OPEN, "what could not be written was not forgotten"
