"""What goes out: streams and their errors, hang-ups, failures, request ids."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import openai
import pytest

from llama_stack.cli.runner.protocol import bounded_protocol
from llama_stack.http import app
from llama_stack_api.errors import (
    LlamaStackError,
    ModelNotFound,
    ProviderStreamBroken,
    ProviderTimeout,
    ProviderUnreachable,
    RateLimited,
)
from llama_stack_api.principal import Call
from tests.support.edge import CHAT, QUESTION, Waiting, client, edge, post, raw, sdk_for

pytestmark = pytest.mark.anyio

BODY = b'{"model":"m","messages":[{"role":"user","content":"Hello"}],"stream":true}'


class Stream:
    """Blocks one by one, each after `go`; ends with `[DONE]`, or with an error."""

    def __init__(self, blocks: int, error: Exception | None = None) -> None:
        self._blocks = blocks
        self._error = error
        self.go = asyncio.Event()
        self.sent = 0
        self.closed = asyncio.Event()

    async def __call__(self, params: Any, call: Call) -> AsyncGenerator[bytes, None]:
        return self._run()

    async def _run(self) -> AsyncGenerator[bytes, None]:
        try:
            for number in range(self._blocks):
                yield b'data: {"number": %d}\n\n' % number
                self.sent += 1
                await self.go.wait()
            if self._error is not None:
                raise self._error
            yield b"data: [DONE]\n\n"
        finally:
            self.closed.set()


async def test_a_stream_is_sent_as_it_comes(tmp_path: Path) -> None:
    stream = Stream(3)
    async with (
        edge(tmp_path, stream) as (server, _),
        client(server) as http,
        http.stream("POST", CHAT, json=QUESTION) as reply,
    ):
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert reply.headers["x-llama-stack-provider"] == "somewhere"
        chunks = reply.aiter_raw()
        # The first block is here while the generator still waits for leave to make the second.
        assert await anext(chunks) == b'data: {"number": 0}\n\n'
        stream.go.set()
        rest = b"".join([chunk async for chunk in chunks])
        assert rest == b'data: {"number": 1}\n\ndata: {"number": 2}\n\ndata: [DONE]\n\n'
        assert stream.closed.is_set()


@pytest.mark.parametrize(
    "error", [ProviderStreamBroken("it broke off", upstream_status=200), ZeroDivisionError("secret")]
)
async def test_an_error_in_mid_stream_is_its_last_event(tmp_path: Path, error: Exception) -> None:
    stream = Stream(2, error)
    stream.go.set()
    async with edge(tmp_path, stream) as (server, _), client(server) as http:
        reply = await http.post(CHAT, json=QUESTION)
        *_, last = reply.text.strip().split("\n\n")
        assert reply.status_code == 200
        assert last.startswith('data: {"error":{')
        assert "[DONE]" not in reply.text
        assert "secret" not in reply.text
        assert ("upstream_stream_broken" in last) == isinstance(error, LlamaStackError)
        assert stream.closed.is_set()


async def test_the_sdk_sees_an_error_in_mid_stream(tmp_path: Path) -> None:
    stream = Stream(1, ProviderStreamBroken("it broke off"))
    stream.go.set()
    async with edge(tmp_path, stream) as (server, _), sdk_for(server) as sdk:
        chunks = await sdk.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        with pytest.raises(openai.APIError, match="it broke off"):
            async for _ in chunks:
                pass


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ModelNotFound("no such model", param="model"), openai.NotFoundError),
        (RateLimited("slow down", retry_after_s=7), openai.RateLimitError),
        (ProviderTimeout("too slow"), openai.InternalServerError),
        (ProviderUnreachable("not there"), openai.InternalServerError),
        (RuntimeError("a secret"), openai.InternalServerError),
    ],
)
async def test_errors_before_a_stream_have_their_status(
    tmp_path: Path, error: Exception, kind: type[openai.APIStatusError]
) -> None:
    async def fail(params: Any, call: Call) -> bytes:
        raise error

    async with edge(tmp_path, fail) as (server, _), sdk_for(server) as sdk:
        with pytest.raises(kind) as caught:
            await sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}], stream=True)
        assert caught.value.response.headers.get("retry-after") == ("7" if isinstance(error, RateLimited) else None)
        assert "a secret" not in caught.value.response.text


async def test_an_unexpected_error_is_logged_once_and_told_by_its_id(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(params: Any, call: Call) -> bytes:
        local_with_a_prompt = params.messages[0].content * 2
        raise KeyError(len(local_with_a_prompt))

    async with edge(tmp_path, fail) as (server, _), client(server) as http:
        reply = await http.post(CHAT, json=QUESTION, headers={"x-request-id": "my-id"})
        error = reply.json()["error"]
        assert (reply.status_code, error["type"], error["code"]) == (500, "server_error", "internal_error")
        assert "my-id" in error["message"]
        assert "KeyError" not in reply.text
    logged = capsys.readouterr().out + caplog.text
    assert logged.count("Traceback (most recent call last)") == 1
    assert "KeyError: 10" in logged
    assert "HelloHello" not in logged
    assert not [record for record in caplog.records if record.levelno > logging.ERROR]


async def test_a_hang_up_cancels_the_call_at_once(tmp_path: Path) -> None:
    waiting = Waiting()
    async with edge(tmp_path, waiting) as (server, _):
        _, writer = await raw(server, post(CHAT, BODY))
        await waiting.asked.wait()
        writer.close()
        async with asyncio.timeout(1):
            await waiting.cancelled.wait()
            while server.edge.admission.running:
                await asyncio.sleep(0)
    assert 'status="499"' in server.edge._metrics.render().decode()


async def test_a_hang_up_in_mid_stream_closes_the_generator_at_once(tmp_path: Path) -> None:
    stream = Stream(1000)
    async with edge(tmp_path, stream) as (server, _):
        reader, writer = await raw(server, post(CHAT, BODY))
        await reader.readuntil(b'"number": 0}\n\n')
        writer.close()
        async with asyncio.timeout(1):
            await stream.closed.wait()
        assert stream.sent == 1


async def test_a_hang_up_before_the_body_is_whole(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, inference):
        _, writer = await raw(server, post(CHAT, BODY)[:-10])
        while not server.edge.admission.running:
            await asyncio.sleep(0)
        writer.close()
        async with asyncio.timeout(1):
            while server.edge.admission.running:
                await asyncio.sleep(0)
        assert not inference.calls


async def test_requests_one_after_the_other_on_one_connection_leave_nothing_behind(tmp_path: Path) -> None:
    stream = Stream(2)
    stream.go.set()
    async with edge(tmp_path, stream) as (server, _), client(server) as http:
        await http.post(CHAT, json=QUESTION)
        before = len(asyncio.all_tasks())
        for _ in range(50):
            assert (await http.post(CHAT, json=QUESTION)).text.endswith("[DONE]\n\n")
        await asyncio.sleep(0.01)
        assert len(asyncio.all_tasks()) <= before  # what the start left to do may have ended meanwhile
        assert not server.edge.admission.running


async def test_a_stream_that_stands_still(tmp_path: Path) -> None:
    stream = Stream(5)
    async with (
        edge(tmp_path, stream, server={"limits": {"stream_idle_timeout_s": 0.2}}) as (server, _),
        client(server) as http,
    ):
        reply = await http.post(CHAT, json=QUESTION)
        assert reply.text.startswith('data: {"number": 0}\n\ndata: {"error":{')
        assert "server.limits.stream_idle_timeout_s" in reply.text
        assert "[DONE]" not in reply.text


async def test_a_stream_that_shows_signs_of_life_does_not_stand_still(tmp_path: Path) -> None:
    async def answer(params: Any, call: Call) -> AsyncGenerator[bytes, None]:
        async def blocks() -> AsyncGenerator[bytes, None]:
            yield b"data: 1\n\n"
            for _ in range(8):
                await asyncio.sleep(0.1)
                yield b""
            yield b"data: [DONE]\n\n"

        return blocks()

    limits = {"limits": {"stream_idle_timeout_s": 0.4}}
    async with edge(tmp_path, answer, server=limits) as (server, _), client(server) as http:
        assert (await http.post(CHAT, json=QUESTION)).text == "data: 1\n\ndata: [DONE]\n\n"


async def test_a_client_that_does_not_read_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def endless(params: Any, call: Call) -> AsyncGenerator[bytes, None]:
        async def blocks() -> AsyncGenerator[bytes, None]:
            try:
                while True:
                    yield b"data: %s\n\n" % (b"x" * 100_000)
            finally:
                closed.set()

        return blocks()

    monkeypatch.setattr(app, "LAST_WORDS_S", 0.1)
    closed = asyncio.Event()
    limits = {"limits": {"stream_idle_timeout_s": 0.2}}
    options = {"http": bounded_protocol(10_000)}
    async with edge(tmp_path, endless, server=limits, uvicorn_options=options) as (server, _):
        _, writer = await raw(server, post(CHAT, BODY))
        async with asyncio.timeout(5):
            await closed.wait()
            # Closed as well, although the client has still read nothing.
            while server.server.server_state.connections:
                await asyncio.sleep(0.01)
        writer.close()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-123", True), ("a" * 128, True), ("a" * 129, False), ("has space", False), ("<b>", False)]
)
async def test_request_ids(tmp_path: Path, given: str, kept: bool) -> None:
    async with edge(tmp_path) as (server, inference), client(server) as http:
        for body in (QUESTION, {}):
            reply = await http.post(CHAT, json=body, headers={"x-request-id": given})
            assert (reply.headers["x-request-id"] == given) == kept
        assert (inference.calls[0].request_id == given) == kept
        fresh = [(await http.get("/v1/health")).headers["x-request-id"] for _ in range(2)]
        assert fresh[0] != fresh[1]
        assert fresh[0].startswith("req_")


async def test_a_hang_up_before_the_head_is_out_closes_the_generator_too(tmp_path: Path) -> None:
    stream = Stream(3)
    head = asyncio.Event()
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": BODY}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await head.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        head.set()
        # A client that reads nothing: what was written before is still on its way.
        await asyncio.get_running_loop().create_future()

    async with edge(tmp_path, stream) as (server, _):
        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": CHAT, "headers": headers}
        async with asyncio.timeout(5):
            await asyncio.create_task(server.edge(scope, receive, send))
        assert stream.closed.is_set()
