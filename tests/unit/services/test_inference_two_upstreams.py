"""One model at two upstreams, both real: who is asked, who is asked again, and what the caller hears of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from llama_stack.net.client import NetClient
from llama_stack.providers._shared.openai_compatible import OpenAICompatibleConfig
from llama_stack.routing.attempts import Attempts, RetryPolicy
from llama_stack.routing.breaker import BreakerPolicy, BreakerState
from llama_stack.routing.discovery import Discovery
from llama_stack.routing.entries import Strategy
from llama_stack.routing.models import ModelTable, inference_provider
from llama_stack.services.inference import InferenceRouter
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.errors import ProviderStreamBroken, ProviderTimeout, ProviderUnreachable, RateLimited
from llama_stack_api.provider import ProviderContext
from tests.support.upstream import Upstream, Wire, error, rate_limited, text
from tests.unit.services.test_inference import CALL, Counted, Plain, collect, content, request

pytestmark = pytest.mark.anyio


@dataclass
class Place:
    provider_id: str
    provider_model_id: str | None = "m"
    weight: float = 1.0


@dataclass
class Registered:
    """A model of the run config."""

    targets: list[Place]
    strategy: Strategy = "fallback"
    model_id: str = "both"
    provider_id: str | None = None
    provider_model_id: str | None = None
    model_type: str = "llm"
    metadata: dict[str, Any] = field(default_factory=dict)
    model_validation: bool | None = False
    aliases: list[str] = field(default_factory=list)


@dataclass
class Pair:
    one: Upstream
    two: Upstream
    router: InferenceRouter
    attempts: Attempts
    counted: Counted

    def asked(self) -> tuple[int, int]:
        """How many completions each was asked for."""
        one, two = (sum(r.path.endswith("completions") for r in up.requests) for up in (self.one, self.two))
        return one, two


def _given(client: NetClient, _: object) -> NetClient:
    return client


@asynccontextmanager
async def pair(
    tmp_path: Path,
    *,
    strategy: Strategy = "fallback",
    weights: tuple[float, float] = (1.0, 1.0),
    retry: RetryPolicy | None = None,
    breaker: BreakerPolicy | None = None,
) -> AsyncIterator[Pair]:
    kv = MemoryKV().bind("system", "routing")
    async with AsyncExitStack() as exits:
        ups = [await exits.enter_async_context(Upstream()) for _ in range(2)]
        providers = []
        for name, up in zip(("one", "two"), ups, strict=True):
            client = NetClient(name=name)
            exits.push_async_callback(client.aclose)
            context = ProviderContext(name, "remote::plain", tmp_path, partial(_given, client), kv)
            providers.append(inference_provider(name, Plain(OpenAICompatibleConfig(base_url=up.base_url), context)))
            up.always(text(f"from {name}"), on="/chat/completions")
        discovery = Discovery(providers, kv)
        places = [Place("one", weight=weights[0]), Place("two", weight=weights[1])]
        table = ModelTable([Registered(places, strategy)], providers, discovery)
        attempts = Attempts(retry=retry or RetryPolicy(backoff_s=0.001), breaker=breaker)
        counted = Counted()
        await discovery.start()
        exits.push_async_callback(discovery.close)
        router = InferenceRouter(table=table, attempts=attempts, metrics=counted)
        yield Pair(ups[0], ups[1], router, attempts, counted)


async def ask(router: InferenceRouter, **more: Any) -> str:
    return content(await collect(await router.openai_chat_completion(request("both", stream=True, **more), CALL)))


BROKEN = [
    error(503, "down"),
    text("x", wire=Wire(refuse=True)),
    text("x", wire=Wire(cut_after=0)),
    text("x", wire=Wire(inject=(0, {"error": {"message": "no GPU", "code": 500}}))),
    text("x", wire=Wire(inject=(0, "data: {oops\n\n"))),
]


@pytest.mark.parametrize("broken", BROKEN, ids=["503", "refused", "cut", "error event", "rubbish"])
async def test_a_stream_falls_back_before_its_first_byte(tmp_path: Path, broken: Any) -> None:
    async with pair(tmp_path) as both:
        both.one.always(broken, on="/chat/completions")
        assert await ask(both.router) == "from two"
        assert both.asked()[1] == 1
        assert both.two.last.body["model"] == "m"
        assert both.two.last.body["stream_options"] == {"include_usage": True}
        assert [call[1:4] for call in both.counted.calls] == [("both", "two", "ok")]


async def test_a_stream_never_falls_back_after_its_first_byte(tmp_path: Path) -> None:
    async with pair(tmp_path) as both:
        both.one.always(text("one two three four", wire=Wire(cut_after=2)), on="/chat/completions")
        with pytest.raises(ProviderStreamBroken):
            await ask(both.router)
        assert both.asked() == (1, 0)


async def test_balance_asks_by_weight_and_falls_back(tmp_path: Path) -> None:
    async with pair(tmp_path, strategy="balance", weights=(3.0, 1.0)) as both:
        for _ in range(80):
            await ask(both.router)
        one, two = both.asked()
        assert one + two == 80
        assert 40 <= one <= 75
        both.one.stop()
        for _ in range(20):
            assert await ask(both.router) == "from two"


async def test_a_short_retry_after_is_waited_for_and_a_long_one_passed_on(tmp_path: Path) -> None:
    async with pair(tmp_path, retry=RetryPolicy(retry_after_max_s=1.0)) as both:
        both.one.reply(rate_limited("0.2"), on="/chat/completions")
        started = time.monotonic()
        assert await ask(both.router) == "from one"
        assert time.monotonic() - started >= 0.2
        for up in (both.one, both.two):
            up.always(rate_limited("30"), on="/chat/completions")
        started = time.monotonic()
        with pytest.raises(RateLimited) as limited:
            await ask(both.router)
        assert limited.value.retry_after_s == 30
        assert time.monotonic() - started < 1
        assert both.asked() == (3, 1)


async def test_a_breaker_opens_spares_the_target_and_recovers(tmp_path: Path) -> None:
    policy = BreakerPolicy(failures_max=3, cool_down_s=0.2)
    async with pair(tmp_path, breaker=policy) as both:
        both.one.stop()
        for _ in range(3):
            assert await ask(both.router) == "from two"
        assert both.attempts.breakers["one/m"].state is BreakerState.OPEN
        both.two.stop()
        for _ in range(3):
            with pytest.raises(ProviderUnreachable):
                await ask(both.router)
        with pytest.raises(ProviderUnreachable) as spared:
            await ask(both.router)
        assert spared.value.retry_after_s is not None
        both.one.start()
        async with asyncio.timeout(5):
            while both.attempts.breakers:
                try:
                    assert await ask(both.router) == "from one"
                except ProviderUnreachable:
                    await asyncio.sleep(0.02)
                if "two/m" in both.attempts.breakers and "one/m" not in both.attempts.breakers:
                    break
        assert "one/m" not in both.attempts.breakers


async def test_a_deadline_ends_the_waiting(tmp_path: Path) -> None:
    async with pair(tmp_path, retry=RetryPolicy(backoff_s=10.0, backoff_max_s=10.0)) as both:
        for up in (both.one, both.two):
            up.always(error(503, "down"), on="/chat/completions")
        now = asyncio.get_running_loop().time()
        soon = replace(CALL, deadline=now + 0.5)
        with pytest.raises(Exception, match="down"):
            await both.router.openai_chat_completion(request("both"), soon)
        assert asyncio.get_running_loop().time() - now < 0.5
        assert both.asked() == (1, 1)
        with pytest.raises(ProviderTimeout):
            await both.router.openai_chat_completion(request("both"), replace(CALL, deadline=now))
        assert both.asked() == (1, 1)
