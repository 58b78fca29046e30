"""What the tests of the models inside the process share: a provider on a directory, and calls on it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from llama_stack.dialects.openai.relay import StreamRelay
from llama_stack.providers._shared.llama_cpp_process import socket_path
from llama_stack.providers._shared.llama_cpp_settings import EMBEDDED_ID, LlamaCppConfig
from llama_stack.providers.inference.llama_cpp import LlamaCpp
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.completions import CompletionRequest
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext
from llama_stack_api.wire import EncodedReply, EncodedStream

WITHIN_S = 15.0


def context(directory: Path, name: str = "llama-cpp") -> ProviderContext:
    return ProviderContext(
        provider_id=name,
        provider_type=f"inline::{name}",
        state_dir=directory,
        http=None,  # type: ignore[arg-type]  # these providers make no outbound call
        kv=None,  # type: ignore[arg-type]
    )


@contextlib.asynccontextmanager
async def opened(directory: Path, **config: Any) -> AsyncIterator[LlamaCpp]:
    provider = LlamaCpp(LlamaCppConfig.model_validate(config), context(directory))
    await provider.open()
    try:
        yield provider
    finally:
        await provider.close()


def chat_request(content: Any = "What is the capital of France?", **more: Any) -> ChatCompletionRequest:
    body = {
        "model": EMBEDDED_ID,
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        "max_tokens": 12,
    } | more
    return ChatCompletionRequest.model_validate({name: value for name, value in body.items() if value is not ...})


async def eventually(condition: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


@dataclass
class Embedded:
    provider: LlamaCpp
    directory: Path

    @property
    def home(self) -> Path:
        return self.directory / EMBEDDED_ID

    @property
    def socket(self) -> Path:
        return socket_path(self.home)

    @property
    def status(self) -> str:
        return str(msgspec.json.decode((self.home / "status.json").read_bytes())["state"])

    @property
    def child(self) -> int:
        """The process id of the child."""
        pid = int(msgspec.json.decode((self.home / "status.json").read_bytes())["pid"])
        assert pid > 1, "no child"
        return pid

    async def chat(self, content: Any = "What is the capital of France?", **more: Any) -> dict[str, Any]:
        reply = await self.provider.openai_chat_completion(chat_request(content, **more), Call())
        assert isinstance(reply, EncodedReply)
        return msgspec.json.decode(reply.body, type=dict[str, Any])

    async def text(self, content: Any, **more: Any) -> str:
        return str((await self.chat(content, **more))["choices"][0]["message"]["content"])

    async def stream(self, content: Any = "What is the capital of France?", **more: Any) -> EncodedStream:
        reply = await self.provider.openai_chat_completion(chat_request(content, stream=True, **more), Call())
        assert isinstance(reply, EncodedStream)
        return reply

    async def complete(self, **body: Any) -> dict[str, Any]:
        params = CompletionRequest.model_validate({"model": EMBEDDED_ID, "temperature": 0, "max_tokens": 4} | body)
        reply = await self.provider.openai_completion(params, Call())
        assert isinstance(reply, EncodedReply)
        return msgspec.json.decode(reply.body, type=dict[str, Any])

    def slots_at_work(self) -> int:
        """How many of llama.cpp's slots compute now, asked of llama.cpp itself."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(WITHIN_S)
            connection.connect(str(self.socket))
            connection.sendall(b"GET /slots HTTP/1.1\r\nHost: model\r\nConnection: close\r\n\r\n")
            reply = b"".join(iter(lambda: connection.recv(65536), b""))
        return sum(slot["is_processing"] for slot in msgspec.json.decode(reply.partition(b"\r\n\r\n")[2]))


async def relayed(stream: EncodedStream, **options: Any) -> tuple[bytes, StreamRelay]:
    """A whole stream as the server relays it."""
    relay = StreamRelay(provider="llama-cpp", model="served", keep_usage=True, **options)
    out = b"".join([relay.feed(chunk) async for chunk in stream])
    return out + relay.finish(), relay


def events(stream: bytes) -> list[dict[str, Any]]:
    lines = [line for line in stream.split(b"\n\n") if line]
    assert lines[-1] == b"data: [DONE]"
    return [msgspec.json.decode(line.removeprefix(b"data: ")) for line in lines[:-1]]
