"""The InferenceRouter over real providers and a real upstream: what goes up, what comes back, what is counted."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from llama_stack.dialects.openai import sse
from llama_stack.dialects.openai.accumulate import accumulate
from llama_stack.net.client import NetClient
from llama_stack.providers._shared.openai_compatible import OpenAICompatible, OpenAICompatibleConfig
from llama_stack.providers._shared.quirks import Quirks
from llama_stack.routing.attempts import Attempts, RetryPolicy
from llama_stack.routing.discovery import Discovery
from llama_stack.routing.models import ModelTable, inference_provider
from llama_stack.services.inference import InferenceRouter, Served
from llama_stack.storage.kv.memory import MemoryKV
from llama_stack_api.api import Api
from llama_stack_api.errors import (
    InvalidRequest,
    ModelNotFound,
    NotImplementedByProvider,
    ProviderError,
    ProviderStreamBroken,
    UnsupportedParameter,
)
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.ports.inference import ModelType, ProviderModel
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, provider
from tests.support.upstream import Tool, Upstream, Wire, calls, text

pytestmark = pytest.mark.anyio
CALL = Call()


@provider(api=Api.inference, type="remote::plain", description="", config=OpenAICompatibleConfig)
class Plain(OpenAICompatible):
    quirks: ClassVar[Quirks] = Quirks(key_required=False)


class Typed:
    """A provider that builds objects, as one in a package of its own would."""

    async def openai_chat_completion(self, params: ChatCompletionRequest, call: Call) -> Any:
        if params.stream:
            return self._stream(params)
        message = {"role": "assistant", "content": f"typed {params.model}"}
        return ChatCompletion.model_validate(
            {
                "id": "t",
                "created": 1,
                "model": params.model,
                "object": "chat.completion",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3},
            }
        )

    async def _stream(self, params: ChatCompletionRequest) -> AsyncIterator[ChatCompletionChunk]:
        for content, finish in (("typed ", None), (params.model, "stop")):
            yield ChatCompletionChunk.model_validate(
                {
                    "id": "t",
                    "created": 1,
                    "model": params.model,
                    "object": "chat.completion.chunk",
                    "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}],
                }
            )

    async def list_models(self, call: Call) -> list[ProviderModel]:
        return [ProviderModel("one"), ProviderModel("vectors", ModelType.embedding)]


class Counted:
    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str, str, tuple[int, int] | None]] = []

    def inference_done(
        self,
        api: str,
        model: str,
        provider: str,
        outcome: str,
        duration_s: float,
        first_byte_s: float | None,
        usage: tuple[int, int] | None,
    ) -> None:
        assert duration_s >= 0
        self.calls.append((api, model, provider, outcome, usage))


class Recorded:
    def __init__(self) -> None:
        self.whole: list[bytes] = []
        self.streams: list[bytes] = []

    def check(self, request: ChatCompletionRequest) -> None:
        if request.metadata == {"refuse": "me"}:
            raise InvalidRequest("no", param="metadata")

    async def record(self, request: ChatCompletionRequest, completion: bytes, call: Call) -> None:
        self.whole.append(completion)

    async def record_stream(self, request: ChatCompletionRequest, events: bytes, call: Call) -> None:
        self.streams.append(events)


class House:
    """A router over one upstream provider `up` and one typed provider `typed`."""

    def __init__(self, up: Upstream, tmp_path: Path, recorder: Recorded | None = None) -> None:
        kv = MemoryKV().bind("system", "routing")
        self.client = NetClient(name="up")
        context = ProviderContext("up", "remote::plain", tmp_path, lambda _: self.client, kv)
        plain = Plain(OpenAICompatibleConfig(base_url=up.base_url), context)
        providers = [inference_provider("up", plain), inference_provider("typed", Typed())]
        self.discovery = Discovery(providers, kv)
        self.counted = Counted()
        self.router = InferenceRouter(
            table=ModelTable([], providers, self.discovery),
            attempts=Attempts(retry=RetryPolicy(backoff_s=0.001)),
            metrics=self.counted,
            recorder=recorder,
        )

    async def __aenter__(self) -> InferenceRouter:
        await self.discovery.start()
        return self.router

    async def __aexit__(self, *_: object) -> None:
        await self.discovery.close()
        await self.client.aclose()


def request(model: str = "up/upstream-model", **more: Any) -> ChatCompletionRequest:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}
    return ChatCompletionRequest.model_validate_json(msgspec.json.encode(body))


async def collect(served: Served) -> list[Any]:
    assert not isinstance(served.body, bytes)
    stream = b"".join([block async for block in served.body])
    datas = [sse.data_of(event) for event in stream.split(b"\n\n") if event]
    assert datas[-1] == b"[DONE]"
    return [msgspec.json.decode(data) for data in datas[:-1]]


def content(chunks: list[Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


async def test_a_whole_reply(tmp_path: Path) -> None:
    async with Upstream() as up:
        house = House(up, tmp_path)
        async with house as router:
            up.reply(text("Hello"), on="/chat/completions")
            served = await router.openai_chat_completion(request(unknown_field={"kept": True}, store=False), CALL)
        assert isinstance(served.body, bytes)
        reply = msgspec.json.decode(served.body)
        assert reply["choices"][0]["message"]["content"] == "Hello"
        assert reply["model"] == "up/upstream-model"
        assert served.provider_id == "up"
        sent = up.last.body
        assert sent["model"] == "upstream-model"
        assert sent["unknown_field"] == {"kept": True}
        assert "store" not in sent
        assert house.counted.calls[0][:4] == ("chat", "up/upstream-model", "up", "ok")
        assert house.counted.calls[0][4] is not None


@pytest.mark.parametrize("keep_usage", [False, True])
async def test_a_stream_is_metered_and_shows_usage_only_where_asked(tmp_path: Path, keep_usage: bool) -> None:
    async with Upstream() as up:
        house = House(up, tmp_path)
        async with house as router:
            up.reply(text("Hello there", wire=Wire(split_bytes=7)), on="/chat/completions")
            options: dict[str, Any] = {"stream_options": {"include_usage": True}} if keep_usage else {}
            chunks = await collect(await router.openai_chat_completion(request(stream=True, **options), CALL))
        assert content(chunks) == "Hello there"
        assert {chunk["model"] for chunk in chunks} == {"up/upstream-model"}
        assert any(chunk.get("usage") for chunk in chunks) is keep_usage
        assert up.last.body["stream_options"] == {"include_usage": True}
        assert house.counted.calls[0][4] is not None


async def test_streamed_tool_calls_arrive_as_sent(tmp_path: Path) -> None:
    async with Upstream() as up, House(up, tmp_path) as router:
        up.reply(calls(Tool("weather", {"city": "Oslo"})), on="/chat/completions")
        tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
        chunks = await collect(await router.openai_chat_completion(request(stream=True, tools=tools), CALL))
    deltas = [call for chunk in chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", ())]
    arguments = "".join(delta["function"].get("arguments", "") for delta in deltas)
    assert msgspec.json.decode(arguments) == {"city": "Oslo"}


async def test_a_typed_provider_whole_and_streamed(tmp_path: Path) -> None:
    async with Upstream() as up, House(up, tmp_path) as router:
        served = await router.openai_chat_completion(request("typed/one"), CALL)
        assert isinstance(served.body, bytes)
        reply = msgspec.json.decode(served.body)
        assert (reply["model"], reply["choices"][0]["message"]["content"]) == ("typed/one", "typed one")
        assert reply["choices"][0]["message"]["refusal"] is None
        chunks = await collect(await router.openai_chat_completion(request("typed/one", stream=True), CALL))
        assert content(chunks) == "typed one"
        assert chunks[0]["choices"][0]["finish_reason"] is None


async def test_a_failure_before_the_first_byte_is_tried_again(tmp_path: Path) -> None:
    async with Upstream() as up, House(up, tmp_path) as router:
        broken = text("x", wire=Wire(refuse=True))
        up.reply(broken, text("", wire=Wire(cut_after=0)), text("at last"), on="/chat/completions")
        chunks = await collect(await router.openai_chat_completion(request(stream=True), CALL))
        assert content(chunks) == "at last"


async def test_a_cut_after_the_first_byte_is_an_error_and_never_a_second_attempt(tmp_path: Path) -> None:
    async with Upstream() as up:
        house = House(up, tmp_path)
        async with house as router:
            up.reply(text("one two three four", wire=Wire(end_after=2)), on="/chat/completions")
            with pytest.raises(ProviderStreamBroken):
                await collect(await router.openai_chat_completion(request(stream=True), CALL))
        assert len([seen for seen in up.requests if seen.path.endswith("completions")]) == 1
        assert house.counted.calls[0][3] == "upstream_stream_broken"


async def test_closing_a_stream_hangs_up_at_once(tmp_path: Path) -> None:
    async with Upstream() as up:
        house = House(up, tmp_path)
        async with house as router:
            up.reply(text("one two three", wire=Wire(stall_after=2)), on="/chat/completions")
            served = await router.openai_chat_completion(request(stream=True), CALL)
            assert not isinstance(served.body, bytes)
            await anext(served.body)
            await served.body.aclose()
            await up.last.wait_hung_up()
        assert house.counted.calls[0][3] == "cancelled"


async def test_cancelling_a_whole_reply_hangs_up_at_once(tmp_path: Path) -> None:
    async with Upstream() as up, House(up, tmp_path) as router:
        up.always(text("x", wire=Wire(stall_after=0)), on="/chat/completions")
        task = asyncio.create_task(router.openai_chat_completion(request(), CALL))
        await up.wait_requests(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await up.last.wait_hung_up()


async def test_stored_completions_are_recorded_before_done(tmp_path: Path) -> None:
    recorded = Recorded()
    async with Upstream() as up, House(up, tmp_path, recorded) as router:
        await router.openai_chat_completion(request(store=True, metadata={"a": "b"}), CALL)
        assert "store" not in up.last.body
        assert "metadata" not in up.last.body
        served = await router.openai_chat_completion(request(store=True, stream=True), CALL)
        assert not isinstance(served.body, bytes)
        async for block in served.body:
            if block.endswith(sse.DONE):
                assert len(recorded.streams) == 1
        with pytest.raises(InvalidRequest):
            await router.openai_chat_completion(request(store=True, metadata={"refuse": "me"}), CALL)
    assert len(up.requests) == 3, "a request that cannot be recorded never reaches the model"
    assert len(recorded.whole) == 1
    whole = msgspec.json.decode(recorded.whole[0])
    streamed = accumulate(recorded.streams[0])
    assert whole["id"] != streamed["id"]
    assert {whole["id"][:9], streamed["id"][:9]} == {"chatcmpl-"}
    assert whole["choices"][0]["message"] == streamed["choices"][0]["message"]


async def test_what_is_refused_is_named(tmp_path: Path) -> None:
    async with Upstream() as up, House(up, tmp_path) as router:
        with pytest.raises(UnsupportedParameter) as refused:
            await router.openai_chat_completion(request(store=True), CALL)
        assert refused.value.param == "store"
        with pytest.raises(ModelNotFound):
            await router.openai_chat_completion(request("up/none-such"), CALL)
        with pytest.raises(InvalidRequest, match="embedding"):
            await router.openai_chat_completion(request("typed/vectors"), CALL)
        with pytest.raises(NotImplementedByProvider):
            await router.openai_embeddings(EmbeddingsRequest(model="typed/vectors", input="x"), CALL)
        for field, value in (("tool_choice", "auto"), ("top_logprobs", 2), ("stream_options", {"include_usage": True})):
            contradicted: dict[str, Any] = {field: value}
            with pytest.raises(InvalidRequest) as contradiction:
                await router.openai_chat_completion(request(**contradicted), CALL)
            assert contradiction.value.param == field


async def test_comments_of_the_upstream_are_a_sign_of_life(tmp_path: Path) -> None:
    async with Upstream() as up, House(up, tmp_path) as router:
        up.reply(text("one two three", wire=Wire(comment="still thinking", gap_s=0.001)), on="/chat/completions")
        served = await router.openai_chat_completion(request(stream=True), CALL)
        assert not isinstance(served.body, bytes)
        blocks = [block async for block in served.body]
    assert b"still thinking" not in b"".join(blocks)
    assert blocks[-1].endswith(sse.DONE)


async def test_a_whole_body_where_a_stream_was_asked_for_says_so(tmp_path: Path) -> None:
    async with Upstream() as up, House(up, tmp_path) as router:
        up.always(Wire().json({"choices": [{"message": {"content": "x"}}]}), on="/chat/completions")
        with pytest.raises(ProviderError, match="where a stream was asked for"):
            await router.openai_chat_completion(request(stream=True), CALL)
