"""Providers that a package could bring, with nothing but llama-stack-api: named by `module:` in the tests beside."""

import asyncio
from collections.abc import AsyncIterator

from pydantic import BaseModel, ConfigDict

from llama_stack_api.api import Api
from llama_stack_api.errors import ProviderError
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest
from llama_stack_api.principal import Call
from llama_stack_api.provider import HealthResponse, ProviderContext, provider
from llama_stack_api.wire import EncodedReply


class Network(BaseModel):
    """Whatever the server knows of network settings; it checks them."""

    model_config = ConfigDict(extra="allow")


class FetchingConfig(BaseModel):
    url: str
    network: Network | None = None


@provider(api=Api.inference, type="remote::fetching", description="Asks a server.", config=FetchingConfig)
class Fetching:
    """Lists no models, so it takes any id."""

    def __init__(self, config: FetchingConfig, context: ProviderContext) -> None:
        self._url = config.url
        self._http = context.http(config.network)

    async def openai_chat_completion(self, params: ChatCompletionRequest, call: Call) -> EncodedReply[ChatCompletion]:
        body = params.model_dump_json(exclude_unset=True).encode()
        headers = {"Content-Type": "application/json"}
        reply = await self._http.send("POST", self._url, headers=headers, body=body, deadline=call.deadline)
        if reply.status >= 300:
            raise ProviderError("The server refused.", upstream_status=reply.status)
        return EncodedReply(await reply.read(), ChatCompletion)


class BrokenConfig(BaseModel):
    pass


@provider(api=Api.inference, type="inline::broken", description="Fails in its own ways.", config=BrokenConfig)
class Broken:
    def __init__(self, config: BrokenConfig, context: ProviderContext) -> None:
        self._answers = 0

    async def health(self) -> HealthResponse:
        raise KeyError("sk-secret")

    async def openai_chat_completion(
        self, params: ChatCompletionRequest, call: Call
    ) -> AsyncIterator[ChatCompletionChunk]:
        if not params.stream:
            raise KeyError("sk-secret")
        return self._half()

    async def _half(self) -> AsyncIterator[ChatCompletionChunk]:
        choice = {"index": 0, "delta": {"content": "half an ans"}, "finish_reason": None}
        yield ChatCompletionChunk.model_validate({"id": "1", "created": 0, "model": "m", "choices": [choice]})
        raise KeyError("sk-secret")


@provider(
    api=Api.inference,
    type="inline::dependent",
    description="Needs another API.",
    config=BrokenConfig,
    api_dependencies=(Api.safety,),
)
class Dependent(Broken):
    pass


@provider(api=Api.inference, type="inline::endless", description="Never stops.", config=BrokenConfig)
class Endless:
    """Leaves a file when its stream is let go of."""

    def __init__(self, config: BrokenConfig, context: ProviderContext) -> None:
        self._directory = context.state_dir

    async def openai_chat_completion(
        self, params: ChatCompletionRequest, call: Call
    ) -> AsyncIterator[ChatCompletionChunk]:
        return self._words(params.model)

    async def _words(self, model: str) -> AsyncIterator[ChatCompletionChunk]:
        choice = {"index": 0, "delta": {"content": "and "}, "finish_reason": None}
        try:
            while True:
                yield ChatCompletionChunk.model_validate({"id": "1", "created": 0, "model": model, "choices": [choice]})
                await asyncio.sleep(0.01)
        finally:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._directory / "closed").touch()


@provider(api=Api.inference, type="inline::frugal", description="Counts its tokens.", config=BrokenConfig)
class Frugal:
    def __init__(self, config: BrokenConfig, context: ProviderContext) -> None:
        pass

    async def openai_chat_completion(
        self, params: ChatCompletionRequest, call: Call
    ) -> AsyncIterator[ChatCompletionChunk]:
        assert params.stream_options is not None
        assert params.stream_options.include_usage
        return self._words(params.model)

    async def _words(self, model: str) -> AsyncIterator[ChatCompletionChunk]:
        head = {"id": "1", "created": 0, "model": model}
        choice = {"index": 0, "delta": {"content": "Yes."}, "finish_reason": "stop"}
        yield ChatCompletionChunk.model_validate({**head, "choices": [choice]})
        usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
        yield ChatCompletionChunk.model_validate({**head, "choices": [], "usage": usage})
