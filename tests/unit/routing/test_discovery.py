import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from llama_stack.routing.attempts import Attempts
from llama_stack.routing.breaker import BreakerPolicy
from llama_stack.routing.discovery import Discovery, DiscoveryPolicy
from llama_stack.routing.health import HealthState
from llama_stack.routing.listings import LISTED_MAX, ListingStore
from llama_stack_api.errors import ProviderUnreachable
from llama_stack_api.ports.inference import ModelType, ProviderModel
from tests.unit.routing.parts import (
    BrokenKV,
    Gateway,
    ListingProvider,
    ManualClock,
    Remembering,
    Turnstile,
    discovery,
    memory_kv,
    provider,
    settle,
)

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(found: Discovery) -> AsyncIterator[Discovery]:
    await found.start()
    await settle()
    try:
        yield found
    finally:
        await found.close()


def ids(found: Discovery, provider_id: str) -> list[str]:
    return [listed.id for listed in found.listing(provider_id).resources]


async def test_a_provider_is_listed_with_types_and_metadata() -> None:
    embedding = ProviderModel("minilm", ModelType.embedding, {"embedding_dimension": 384})
    async with running(discovery([provider("local", ListingProvider("llama", embedding))])) as found:
        llama, minilm = found.listing("local").resources
        assert (llama.kind, minilm.kind, minilm.metadata) == ("llm", "embedding", {"embedding_dimension": 384})
        assert found.listing("local").verified
        assert found.health.get("local").state is HealthState.HEALTHY


async def test_the_start_waits_for_no_provider() -> None:
    slow = ListingProvider("a", gated=True)
    async with running(discovery([provider("slow", slow), provider("fast", ListingProvider("b"))])) as found:
        assert not found.settled("slow")
        assert found.health.get("slow").state is HealthState.UNKNOWN
        assert ids(found, "fast") == ["b"]
        slow.gate.set()
        await settle()
        assert ids(found, "slow") == ["a"]


async def test_the_last_known_table_serves_as_unverified_until_the_provider_answers() -> None:
    kv, wall_clock = memory_kv(), ManualClock()
    async with running(discovery([provider("ollama", ListingProvider("llama"))], kv, wall_clock=wall_clock)):
        pass
    wall_clock.now += 3_600
    again = ListingProvider("llama", "qwen", gated=True)
    async with running(discovery([provider("ollama", again)], kv, wall_clock=wall_clock)) as found:
        assert ids(found, "ollama") == ["llama"]
        assert not found.listing("ollama").verified
        assert not found.settled("ollama")
        again.gate.set()
        await settle()
        assert [(one.id, one.created) for one in found.listing("ollama").resources] == [
            ("llama", 1_000),
            ("qwen", 4_600),
        ]
        assert found.listing("ollama").verified


async def test_a_provider_that_is_down_keeps_its_last_known_models_and_is_tried_again() -> None:
    kv, turnstile, observer = memory_kv(), Turnstile(), Remembering()
    async with running(discovery([provider("ollama", ListingProvider("llama"))], kv)):
        pass
    down = ListingProvider("llama")
    down.error = ProviderUnreachable("connection refused")
    providers = [provider("ollama", down), provider("vllm", ListingProvider("qwen"))]
    async with running(discovery(providers, kv, turnstile=turnstile, observer=observer)) as found:
        health = found.health.get("ollama")
        assert (health.state, health.last_error) == (HealthState.UNHEALTHY, "connection refused")
        assert ids(found, "ollama") == ["llama"]
        assert ids(found, "vllm") == ["qwen"]
        for _ in range(10):
            await turnstile.turn()
        assert len(down.calls) == 11
        down.error = None
        await turnstile.turn()
        assert found.health.get("ollama").state is HealthState.HEALTHY
        assert found.listing("ollama").verified
    assert [state.state for name, state in observer.health if name == "ollama"] == ["unhealthy", "healthy"]
    retries = [pause for pause in turnstile.pauses if pause != DiscoveryPolicy().version_poll_s]
    assert 0.5 <= retries[0] <= 1
    assert 30 <= retries[9] <= 60
    assert max(retries) <= 60


async def test_what_a_defective_provider_raises_is_not_shown_and_harms_nobody() -> None:
    defective = ListingProvider()
    defective.error = KeyError("secret detail")
    async with running(discovery([provider("bad", defective), provider("good", ListingProvider("b"))])) as found:
        assert found.health.get("bad").last_error == "listing failed (KeyError)"
        assert ids(found, "good") == ["b"]


async def test_a_provider_that_hangs_is_unhealthy_after_the_bound() -> None:
    policy = DiscoveryPolicy(list_timeout_s=0.01)
    found = discovery([provider("slow", ListingProvider("a", gated=True))], policy=policy)
    assert not await found.list_once("slow")
    assert found.health.get("slow").last_error == "no listing within 0.01 s"
    assert found.settled("slow")


async def test_only_a_provider_that_refreshes_is_listed_again() -> None:
    once, always, turnstile = ListingProvider("a"), ListingProvider("b"), Turnstile()
    providers = [provider("once", once), provider("always", always, refresh_models=True)]
    async with running(discovery(providers, turnstile=turnstile)) as found:
        always.models = ["b", "c"]
        await turnstile.turn()
        assert (len(once.calls), len(always.calls)) == (1, 2)
        assert ids(found, "always") == ["b", "c"]
        assert all(270 <= pause <= 330 for pause in turnstile.pauses if pause > 2)


async def test_a_provider_whose_calls_fail_is_listed_out_of_turn_and_turns_unhealthy() -> None:
    impl, wall_clock = ListingProvider("a"), ManualClock()
    attempts = Attempts(breaker=BreakerPolicy(failures_max=1), clock=wall_clock)
    async with running(discovery([provider("vllm", impl)], wall_clock=wall_clock)) as found:
        attempts.listeners.append(found.breaker_moved)
        impl.error = ProviderUnreachable("connection refused")
        attempts.failed("vllm/a")
        await settle()
        assert len(impl.calls) == 1, "it was listed just now"
        wall_clock.now += 10
        attempts.failed("vllm/b")
        attempts.failed("vllm/c")
        attempts.failed("unknown/a")
        await settle()
        assert len(impl.calls) == 2
        assert found.health.get("vllm").state is HealthState.UNHEALTHY
        assert ids(found, "vllm") == ["a"]


async def test_listed_models_are_limited_by_allowed_models() -> None:
    kv = memory_kv()
    async with running(discovery([provider("openai", ListingProvider("a", "b"))], kv)):
        pass
    restricted = provider("openai", ListingProvider("a", "b", gated=True), allowed_models=["b", "c"])
    async with running(discovery([restricted], kv)) as found:
        assert ids(found, "openai") == ["b"], "the restriction holds for the persisted table too"
        assert isinstance(restricted.impl, ListingProvider)
        restricted.impl.gate.set()
        await settle()
        assert ids(found, "openai") == ["b"]


async def test_a_listing_without_end_is_cut_and_reported() -> None:
    observer = Remembering()
    many = ListingProvider(*(f"m{number}" for number in range(LISTED_MAX + 5)))
    found = discovery([provider("many", many)], observer=observer)
    await found.list_once("many")
    assert len(found.listing("many").resources) == LISTED_MAX
    assert observer.listings == [("many", LISTED_MAX, 5)]


async def test_another_process_takes_over_what_one_found() -> None:
    kv, turnstile, wall_clock = memory_kv(), Turnstile(), ManualClock()
    slow = ListingProvider("llama", gated=True)
    async with running(discovery([provider("ollama", slow)], kv, turnstile=turnstile, wall_clock=wall_clock)) as other:
        waiting = asyncio.ensure_future(
            other.wait_for(lambda: ids(other, "ollama") or None, ["ollama"], timeout_s=60, deadline=None)
        )
        async with running(discovery([provider("ollama", ListingProvider("llama"))], kv, wall_clock=wall_clock)) as one:
            assert one.version == 1
        await turnstile.turn()
        assert await waiting == ["llama"]
        assert other.version == 1
        assert other.listing("ollama").verified


async def test_an_unchanged_listing_makes_no_new_version() -> None:
    kv = memory_kv()
    for _ in range(3):
        async with running(discovery([provider("ollama", ListingProvider("llama"))], kv)) as found:
            assert found.version == 1


async def test_without_kv_the_process_goes_on_alone_and_catches_up_later() -> None:
    behind, turnstile, observer = memory_kv(), Turnstile(), Remembering()
    kv = BrokenKV(behind)
    providers = [provider("ollama", ListingProvider("llama"))]
    async with running(discovery(providers, kv, turnstile=turnstile, observer=observer)) as found:
        assert ids(found, "ollama") == ["llama"]
        assert observer.degraded == [("table", True)]
        await turnstile.turn()
        assert await ListingStore(behind).version() == 0
        kv.away = False
        await turnstile.turn()
        assert not found.degraded
        assert found.version == 1
        stored = await ListingStore(behind).load("ollama")
        assert stored is not None
        assert [listed.id for listed in stored.resources] == ["llama"]
    assert observer.degraded == [("table", True), ("table", False)]


async def test_whoever_waits_is_woken_by_the_first_answer_or_failure_and_not_later() -> None:
    one, other = ListingProvider("a", gated=True), ListingProvider("b", gated=True)
    other.error = ProviderUnreachable("down")
    async with running(discovery([provider("one", one), provider("other", other)])) as found:
        waits = [
            asyncio.ensure_future(
                found.wait_for(lambda: ids(found, "one") or None, awaited, timeout_s=60, deadline=None)
            )
            for awaited in (["one"], ["one", "other"], ["other"])
        ]
        await settle()
        assert not any(wait.done() for wait in waits)
        other.gate.set()
        await settle()
        assert [wait.done() for wait in waits] == [False, False, True]
        assert waits[2].result() is None
        one.gate.set()
        assert await waits[0] == await waits[1] == ["a"]


async def test_waiting_ends_in_bounded_time_and_at_the_deadline() -> None:
    async with running(discovery([provider("slow", ListingProvider(gated=True))])) as found:
        for timeout_s, deadline_s in ((0.01, None), (60, 0.01)):
            now = asyncio.get_running_loop().time()
            deadline = None if deadline_s is None else now + deadline_s
            assert not await found.wait_for(
                lambda: ids(found, "slow") or None, ["slow"], timeout_s=timeout_s, deadline=deadline
            )
        assert asyncio.get_running_loop().time() < now + 30


async def test_a_provider_that_cannot_list_is_not_waited_for() -> None:
    async with running(discovery([provider("gateway", Gateway())])) as found:
        assert found.settled("gateway")


async def test_closing_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with running(discovery([provider("slow", ListingProvider(gated=True))])):
        assert asyncio.all_tasks() > before
    assert asyncio.all_tasks() == before
