"""One GGUF model as the provider uses it: its process, its places, and HTTP over its socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from llama_stack.dialects.openai.errors import error_of_reply
from llama_stack.net.client import NetClient, NetReply
from llama_stack.net.config import NetworkConfig, TimeoutConfig
from llama_stack.providers._shared.gguf_source import EMBEDDED, HUB_PREFIX
from llama_stack.providers._shared.llama_cpp_child import Launch
from llama_stack.providers._shared.llama_cpp_places import Places, Turns
from llama_stack.providers._shared.llama_cpp_process import ModelProcess, socket_path
from llama_stack.providers._shared.llama_cpp_settings import GGUFModel, LlamaCppConfig
from llama_stack.providers._shared.llama_cpp_status import Status
from llama_stack_api.errors import ContextLengthExceeded, Overloaded, ProviderError, ProviderUnreachable
from llama_stack_api.ports.inference import ModelType
from llama_stack_api.principal import Call
from llama_stack_api.wire import EncodedStream

ERROR_BODY_BYTES_MAX = 64 * 1024
SPARE_HTTP_THREADS = 8
"""For what is asked beside requests, and for requests whose client has gone while their prompt is read."""
SPECIAL_TOKENS_MAX = 8
_QUEUE_RETRY_AFTER_S = 1.0
# A connection of its own for each request: llama.cpp drops idle ones after five seconds, and a request that was sent
# at that moment would be lost. Over a unix socket a connection costs some microseconds.
_HEADERS = {"Content-Type": "application/json", "Connection": "close"}


class PlacedStream(EncodedStream):
    """An open stream that gives its place back when it ends, fails or is closed, and tells `doubt` of a failure."""

    __slots__ = ("_doubt", "_give_back", "_reply")

    def __init__(self, reply: NetReply, give_back: Callable[[], None], doubt: Callable[[], None]) -> None:
        self._reply = reply
        self._give_back = give_back
        self._doubt = doubt

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._reply.chunks():
                yield chunk
        except ProviderError:
            self._doubt()
            raise
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        await self._reply.aclose()
        self._give_back()


class LocalModel:
    def __init__(self, settings: GGUFModel, config: LlamaCppConfig, provider: str, directory: Path) -> None:
        self.settings = settings
        self._provider = provider
        self._startup_timeout_s = config.startup_timeout_s
        home = directory / quote(settings.id, safe="")
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
        socket = socket_path(home)
        places = settings.parallel + settings.queue_max
        launch = _launch(settings, config, socket, home / "status.json", 2 * settings.parallel + SPARE_HTTP_THREADS)
        self._process = ModelProcess(launch, home, restarts_max=config.restarts_max, log_bytes_max=config.log_bytes_max)
        self._places = Places(home / "places", places)
        self._turns = Turns(home / "turns", settings.parallel)
        self._request_timeout_s = config.request_timeout_s
        network = NetworkConfig(timeout=TimeoutConfig(read=config.request_timeout_s), connections_max=places + 1)
        self._http = NetClient(network, name=provider, unix_socket=str(socket))
        self._abilities: dict[str, Any] | None = None

    @property
    def status(self) -> Status:
        return self._process.status

    def start(self) -> None:
        self._process.start()

    async def enter(self, call: Call) -> Callable[[], None]:
        """Stand in the queue until it is this request's turn. Returns what ends it; `Overloaded` if it is full."""
        give_back = self._places.take()
        if give_back is None:
            raise Overloaded(
                f"Model '{self.settings.id}' has {self.settings.parallel} requests at work and "
                f"{self.settings.queue_max} waiting; raise queue_max (or parallel) of the provider to take more.",
                retry_after_s=_QUEUE_RETRY_AFTER_S,
            )
        try:
            async with asyncio.timeout_at(self._give_up_at(call)):
                end_turn = await self._turns.take()
        except BaseException as error:
            give_back()
            if isinstance(error, TimeoutError):
                raise Overloaded(
                    f"Model '{self.settings.id}' had no free slot in time; raise parallel or request_timeout_s of the "
                    "provider.",
                    retry_after_s=_QUEUE_RETRY_AFTER_S,
                ) from None
            raise

        def leave() -> None:
            end_turn()
            give_back()

        return leave

    def _give_up_at(self, call: Call) -> float:
        latest = asyncio.get_running_loop().time() + self._request_timeout_s
        return latest if call.deadline is None else min(latest, call.deadline)

    async def _ready(self, call: Call) -> None:
        wait_s, setting = self._startup_timeout_s, "startup_timeout_s"
        if call.deadline is not None:
            left_s = call.deadline - asyncio.get_running_loop().time()
            if left_s < wait_s:
                wait_s, setting = max(0.0, left_s), "the request's time limit or preload"
        await self._process.ready(wait_s, setting)

    async def takes_tools(self, call: Call) -> bool:
        """Whether the model's chat template can render tools."""
        if self._abilities is None:
            reply = await self._send("GET", "/props", None, call)
            self._abilities = msgspec.json.decode(await reply.read()).get("chat_template_caps", {})
        return bool(self._abilities.get("supports_tools"))

    async def check_length(self, text: str, where: str, call: Call) -> None:
        """`ContextLengthExceeded` for a text to embed that does not fit: llama.cpp calls that a failure of its own."""
        limit = self.settings.context_length
        if len(text.encode()) < limit - SPECIAL_TOKENS_MAX:
            return  # a token is at least one byte
        body = msgspec.json.encode({"content": text, "add_special": True})
        reply = await self._send("POST", "/tokenize", body, call)
        count = len(msgspec.json.decode(await reply.read())["tokens"])
        if count > limit:
            raise ContextLengthExceeded(
                f"{where} has {count} tokens; model '{self.settings.id}' takes {limit}.", param=where
            )

    async def count_tokens(self, chat: dict[str, Any], call: Call) -> int:
        """Of a chat, as the model's template writes it."""
        rendered = await (await self.post("/apply-template", chat, call)).read()
        prompt = msgspec.json.decode(rendered)["prompt"]
        body = {"content": prompt, "add_special": True, "parse_special": True}
        return len(msgspec.json.decode(await (await self.post("/tokenize", body, call)).read())["tokens"])

    async def post(self, path: str, body: dict[str, Any], call: Call) -> NetReply:
        """A reply with a 2xx status; any other is raised as the error that it means.

        Waits for the model to be loaded; `Overloaded` if that takes too long.
        """
        reply = await self._send("POST", path, msgspec.json.encode(body), call)
        if reply.status < 300:
            return reply
        try:
            said = await reply.read(ERROR_BODY_BYTES_MAX)
        finally:
            await reply.aclose()
        raise error_of_reply(reply.status, reply.headers, said, self._provider)

    async def _send(self, method: str, path: str, body: bytes | None, call: Call) -> NetReply:
        await self._ready(call)
        try:
            return await self._request(method, path, body, call)
        except ProviderUnreachable:
            # It reached a process that was dying, and no byte of an answer came: the next process gets it, once.
            self._process.doubt()
            await self._ready(call)
            return await self._request(method, path, body, call)

    async def _request(self, method: str, path: str, body: bytes | None, call: Call) -> NetReply:
        return await self._http.send(method, f"http://model{path}", headers=_HEADERS, body=body, deadline=call.deadline)

    def doubt(self) -> None:
        """A reply failed: make sure that the process lives before the next request."""
        self._process.doubt()

    async def close(self) -> None:
        await self._http.aclose()
        self._places.close()
        self._turns.close()
        await self._process.close()


def _launch(settings: GGUFModel, config: LlamaCppConfig, socket: Path, status: Path, http_threads: int) -> Launch:
    reference = settings.model
    if reference != EMBEDDED and not reference.startswith(HUB_PREFIX):
        reference = str(Path(reference).expanduser().absolute())
    template = settings.chat_template
    return Launch(
        reference=reference,
        alias=settings.id,
        socket=str(socket),
        status=str(status),
        http_threads=http_threads,
        context_length=settings.context_length,
        parallel=settings.parallel,
        threads=settings.threads,
        gpu_layers=settings.gpu_layers,
        embedding=settings.model_type is ModelType.embedding,
        pooling=settings.pooling,
        prompt_cache_mib=config.prompt_cache_mib,
        log_level=config.log_level,
        chat_template=template.read_text() if template is not None else None,
        temperature=settings.temperature,
        hf_token=config.hf_token.get_secret_value() if config.hf_token is not None else None,
    )
