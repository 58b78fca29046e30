"""A provider opened by its descriptor, its upstream, and ways to call it as the server does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from openai.types.chat import ChatCompletionChunk

from llama_stack.dialects.openai.relay import StreamRelay
from llama_stack.net.client import NetClient
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import Call
from llama_stack_api.provider import Descriptor, ProviderContext
from llama_stack_api.wire import EncodedStream
from tests.providers.remote.case import KEY, Case
from tests.providers.remote.cases import CASES
from tests.support.upstream import WAIT_S, Recorded, Reply, Say, Upstream

QUESTION = [{"role": "user", "content": "Wie heißt du?"}]


@dataclass
class Bench:
    """One provider against one upstream."""

    case: Case
    up: Upstream
    descriptor: Descriptor
    state_dir: Path
    clients: list[NetClient] = field(default_factory=list)

    def open(self, **config: Any) -> Any:
        """The provider, with the test's key unless `api_key` says otherwise."""
        settings = {"api_key": KEY, **self.case.config(self.up), **config}
        context = ProviderContext(
            provider_id="mine",
            provider_type=self.case.type,
            state_dir=self.state_dir,
            http=self._client,
            kv=MemoryKV().bind("default", "mine"),
        )
        return self.descriptor.create(self.descriptor.config.model_validate(settings), context)

    def _client(self, network: Any) -> NetClient:
        client = NetClient(network, name="mine")
        self.clients.append(client)
        return client

    def says(self, say: Say, **wire: Any) -> None:
        """The upstream answers chat (or completions) so, in the provider's own habit."""
        self.up.always(self.habitual(say, **wire))

    def habitual(self, say: Say, **wire: Any) -> Reply:
        return self.case.speaks(replace(say, wire=replace(self.case.wire, **wire), **self.case.say))

    @property
    def asked(self) -> list[Recorded]:
        """The requests, without those for tokens."""
        return [request for request in self.up.requests if request.path != "/identity/token"]

    @property
    def sent(self) -> Recorded:
        return self.asked[-1]

    async def arrived(self) -> Recorded:
        """The last request, which on a busy machine may arrive after its client gave up."""
        deadline = time.monotonic() + WAIT_S
        while not self.asked:
            assert time.monotonic() < deadline, f"no request arrived in {WAIT_S} s"
            await asyncio.sleep(0.002)
        return self.sent

    @property
    def sent_members(self) -> Any:
        """The members of the last request, in the upstream's words."""
        return self.case.members(self.sent.body)

    @property
    def sent_chat(self) -> Any:
        """The last request as one for a chat completion, whatever the upstream's words."""
        return self.case.as_chat(self.sent.body)


@asynccontextmanager
async def on_bench(
    case: Case, up: Upstream, descriptors: Mapping[str, Descriptor], state_dir: Path
) -> AsyncIterator[Bench]:
    bench = Bench(case, up, descriptors[case.type], state_dir)
    yield bench
    for client in bench.clients:
        await client.aclose()


def chat(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate({"model": "m-1", "messages": QUESTION, **fields})


async def relayed(stream: EncodedStream, *, keep_usage: bool = True) -> bytes:
    """The whole stream as a client gets it."""
    relay = StreamRelay(provider="mine", model="mine/m-1", keep_usage=keep_usage)
    try:
        out = [relay.feed(data) async for data in stream]
        out.append(relay.finish())
    finally:
        await stream.aclose()
    return b"".join(out)


async def chunks_of(provider: Any, call: Call | None = None, **fields: Any) -> list[ChatCompletionChunk]:
    """A streamed answer, each chunk accepted by the openai package's own type."""
    options = {"stream": True, "stream_options": {"include_usage": True}, **fields}
    sent = await relayed(await provider.openai_chat_completion(chat(**options), call or Call()))
    assert sent.endswith(b"data: [DONE]\n\n")
    events = sent.removesuffix(b"data: [DONE]\n\n").split(b"\n\n")
    return [ChatCompletionChunk.model_validate_json(event.removeprefix(b"data: ")) for event in events if event]


def with_port(*kinds: str, scope: Literal["function", "module"] = "function") -> pytest.MarkDecorator:
    """A mark: once for each provider that has one of these operations."""
    cases = [case for case in CASES if any(kind in case.paths for kind in kinds)]
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name, scope=scope)
