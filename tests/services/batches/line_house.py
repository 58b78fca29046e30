"""A LineRunner over the real inference service and one scripted upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from llama_stack.config.resources import ModelEntry
from llama_stack.net.client import NetClient
from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack.routing.attempts import Attempts, RetryPolicy
from llama_stack.routing.breaker import BreakerPolicy
from llama_stack.routing.discovery import Discovery
from llama_stack.routing.models import ModelTable, inference_provider
from llama_stack.services.batches.endpoints import openai_endpoints
from llama_stack.services.batches.lane import PacePolicy
from llama_stack.services.batches.lines import LineLimits, LineRunner
from llama_stack.services.batches.pace import Pace
from llama_stack.services.inference import InferenceRouter
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.api import Api
from llama_stack_api.openai.responses.request import ResponseRequest
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider
from tests.support.upstream import Upstream

QUICK = PacePolicy(4, start=4, pause_s=0.01, pause_max_s=0.02, told_max_s=0.05)
"""Pauses that a test need not wait for."""


@provider(api=Api.inference, type="remote::plain", description="", config=OpenAICompatibleConfig)
class Plain(OpenAICompatible):
    quirks: ClassVar[Quirks] = Quirks(key_required=False)


class Uncounted:
    def inference_done(self, *_: object) -> None:
        """Nobody asks."""


class NoResponses:
    async def create(self, request: ResponseRequest, call: Call, *, idempotency_key: str | None = None) -> bytes:
        raise AssertionError("nobody asks for a response here")


@dataclass(frozen=True, slots=True)
class LineHouse:
    upstream: Upstream
    lines: LineRunner
    pace: Pace


@asynccontextmanager
async def line_house(
    directory: Path, policy: PacePolicy = QUICK, limits: LineLimits | None = None
) -> AsyncIterator[LineHouse]:
    kv = MemoryKV().bind("system", "routing")
    async with Upstream() as up, AsyncExitStack() as exits:
        client = NetClient(name="up")
        exits.push_async_callback(client.aclose)
        context = ProviderContext("up", "remote::plain", directory, lambda _: client, kv)
        providers = [inference_provider("up", Plain(OpenAICompatibleConfig(base_url=up.base_url), context))]
        discovery = Discovery(providers, kv)
        vectors = ModelEntry(model_id="vectors", provider_id="up", model_type="embedding", model_validation=False)
        table = ModelTable([vectors], providers, discovery)
        attempts = Attempts(retry=RetryPolicy(attempts_per_target_max=1), breaker=BreakerPolicy(failures_max=1_000_000))
        inference = InferenceRouter(table=table, attempts=attempts, metrics=Uncounted())
        pace = Pace(policy.concurrent_max, policy=policy)
        limits = limits or LineLimits(bytes_max=100_000, depth_max=64, timeout_s=30.0)
        lines = LineRunner(openai_endpoints(inference, NoResponses(), None, table), pace, limits)
        await discovery.start()
        exits.push_async_callback(discovery.close)
        await up.wait_requests(1)
        up.requests.clear()
        yield LineHouse(up, lines, pace)
