"""However a call ends, and wherever its consumer stops: it is counted once, and nothing of it stays behind."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from llama_stack_api.errors import ProviderError
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.openai.completions import CompletionRequest
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from tests.support.upstream import Answer, Cut, Stall, Upstream, Wire, text
from tests.unit.services.test_inference import CALL, House, Recorded, collect, content, request

pytestmark = pytest.mark.anyio
ANSWER = "one two three"


def outcomes(house: House) -> list[str]:
    return [call[3] for call in house.counted.calls]


async def no_connections(up: Upstream) -> None:
    async with asyncio.timeout(5):
        while up.open_connections:
            await asyncio.sleep(0.005)


async def test_a_stream_that_nobody_reads_is_closed_upstream(tmp_path: Path) -> None:
    for recorder in (None, Recorded()):
        async with Upstream() as up:
            house = House(up, tmp_path, recorder)
            async with house as router:
                up.reply(text(ANSWER, wire=Wire(stall_after=2)), on="/chat/completions")
                served = await router.openai_chat_completion(request(stream=True, store=recorder is not None), CALL)
                assert not isinstance(served.body, bytes)
                await served.body.aclose()
                await up.last.wait_hung_up()
            assert outcomes(house) == ["cancelled"]


@pytest.mark.parametrize("after_done", [Stall(), Cut()])
async def test_what_happens_after_done_is_no_error(tmp_path: Path, after_done: Stall | Cut) -> None:
    async with Upstream() as up:
        house = House(up, tmp_path)
        async with house as router:
            whole = text(ANSWER, wire=Wire(split_bytes=40))
            for _ in range(2):
                up.reply(lambda seen: _ending(whole, seen, after_done), on="/chat/completions")
                started = asyncio.get_running_loop().time()
                chunks = await collect(await router.openai_chat_completion(request(stream=True), CALL))
                assert content(chunks) == ANSWER
                assert asyncio.get_running_loop().time() - started < 3
        assert outcomes(house) == ["ok", "ok"]


def _ending(reply: Any, seen: Any, last: Stall | Cut) -> Answer:
    answer = reply(seen) if callable(reply) else reply
    return Answer(answer.status, answer.headers, [*answer.parts, last], answer.before)


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_cancelled_at_every_step(tmp_path: Path, stream: bool, store: bool) -> None:
    """The consumer is cancelled at its nth wait, for every n until it gets through."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    unraised: list[Any] = []
    loop.set_exception_handler(lambda _, context: unraised.append(context))
    async with Upstream() as up:
        house = House(up, tmp_path, Recorded())
        async with house as router:
            up.always(text(ANSWER, wire=Wire(gap_s=0.003)), on="/chat/completions")
            await collect(await router.openai_chat_completion(request(stream=True), CALL))
            house.counted.calls.clear()

            async def consume() -> None:
                served = await router.openai_chat_completion(request(stream=stream, store=store), CALL)
                if not isinstance(served.body, bytes):
                    async with contextlib.aclosing(served.body) as body:
                        async for _ in body:
                            await asyncio.sleep(0)

            tasks = asyncio.all_tasks()
            for step in range(1, 200):
                task = loop.create_task(consume())
                if not await _cancel_at(task, step):
                    break
            assert task.exception() is None
            assert step > (5 if stream else 3)
            assert asyncio.all_tasks() == tasks
        await no_connections(up)
        gc.collect()
        assert not unraised
        assert set(outcomes(house)) == {"cancelled", "ok"}
        assert len(house.counted.calls) in (step, step - 1), "one before the first wait was not begun"


async def _cancel_at(task: asyncio.Task[None], waits: int) -> bool:
    """Cancel the task when it has begun its nth wait; False if it was done before."""
    waiting_for: object = None
    while not task.done():
        now = task._fut_waiter  # type: ignore[attr-defined]
        if now is not None and now is not waiting_for:
            waiting_for = now
            waits -= 1
        if waits == 0:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return True
        await asyncio.sleep(0)
    return False


async def test_an_error_of_a_providers_own_is_counted(tmp_path: Path) -> None:
    class Faulty:
        async def openai_chat_completion(self, params: ChatCompletionRequest, call: object) -> Any:
            if params.stream:
                return self._stream()
            raise KeyError("typed badly")

        async def _stream(self) -> AsyncIterator[Any]:
            if self:
                raise KeyError("typed badly")
            yield

    async with Upstream() as up:
        house = House(up, tmp_path)
        async with house as router:
            entry = router._table.lookup("up/upstream-model") or await router._table.resolve("typed/one", call=CALL)
            target = entry.targets[0]
            object.__setattr__(target, "provider", Faulty())
            for stream in (False, True):
                with pytest.raises(KeyError):
                    await router.openai_chat_completion(request(entry.identifier, stream=stream), CALL)
        assert outcomes(house) == ["internal_error", "internal_error"]


async def test_a_request_is_left_as_it_was(tmp_path: Path) -> None:
    async with Upstream() as up, House(up, tmp_path, Recorded()) as router:
        asked = request(store=True, metadata={"a": "b"}, stream=True)
        before = asked.model_dump_json(exclude_unset=True)
        for _ in range(2):
            await collect(await router.openai_chat_completion(asked, CALL))
            assert asked.model_dump_json(exclude_unset=True) == before
        embed = EmbeddingsRequest(model="up/upstream-embedder", input="x")
        complete = CompletionRequest(model="up/upstream-model", prompt="x")
        with contextlib.suppress(Exception):
            await router.openai_embeddings(embed, CALL)
        await router.openai_completion(complete, CALL)
        assert (embed.model, complete.model) == ("up/upstream-embedder", "up/upstream-model")


async def test_a_stream_without_end_is_not_kept_in_memory(tmp_path: Path) -> None:
    recorded = Recorded()
    async with Upstream() as up:
        house = House(up, tmp_path, recorded)
        async with house as router:
            router._stored_bytes_max = 2000
            up.always(text("word " * 500, wire=Wire(split_bytes=300)), on="/chat/completions")
            with pytest.raises(ProviderError, match="too long for 'store'"):
                await collect(await router.openai_chat_completion(request(stream=True, store=True), CALL))
            assert len(content(await collect(await router.openai_chat_completion(request(stream=True), CALL)))) == 2500
        assert recorded.streams == []
