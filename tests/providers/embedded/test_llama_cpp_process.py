"""The child process: what it exposes, what it shares, how it stops, dies and comes back."""

import asyncio
import os
import signal
import socket
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llama_stack.providers._shared.llama_cpp_places import Places, Turns
from llama_stack.providers._shared.llama_cpp_process import SOCKET_PATH_BYTES_MAX, child_environment, socket_path
from llama_stack_api.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    LlamaStackError,
    Overloaded,
    ProviderError,
    UnsupportedParameter,
)
from llama_stack_api.openai.embeddings import EmbeddingsRequest
from llama_stack_api.principal import Call
from llama_stack_api.provider import HealthStatus
from tests.providers.embedded.harness import (
    WITHIN_S,
    Embedded,
    chat_request,
    eventually,
    opened,
    relayed,
)
from tests.support.processes import listening_ports

pytestmark = pytest.mark.anyio
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

ENDLESS: dict[str, Any] = {"ignore_eos": True, "max_tokens": 400}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@linux
async def test_no_port_is_opened(embedded: Embedded) -> None:
    await embedded.chat(max_tokens=1)
    with socket.create_server(("127.0.0.1", 0)) as ours:  # shows that the tables are read rightly
        assert ours.getsockname()[1] in listening_ports(os.getpid())
    assert listening_ports(embedded.child) == []


async def test_the_socket_is_for_its_owner_alone(embedded: Embedded) -> None:
    await embedded.chat(max_tokens=1)
    assert stat.S_IMODE(embedded.home.stat().st_mode) == 0o700
    assert stat.S_ISSOCK(embedded.socket.stat().st_mode)
    assert stat.S_IMODE(embedded.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(embedded.socket.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((embedded.home / "child.log").stat().st_mode) == 0o600


@linux
async def test_the_child_gets_no_key_of_another_provider(embedded: Embedded) -> None:
    await embedded.chat(max_tokens=1)
    environment = Path(f"/proc/{embedded.child}/environ").read_bytes().split(b"\0")
    names = {entry.partition(b"=")[0].decode() for entry in environment}
    assert "HF_HUB_DISABLE_TELEMETRY" in names
    kept = child_environment({"OPENAI_API_KEY": "sk-1", "LLAMA_STACK_X": "y", "HF_TOKEN": "hf", "PATH": "/bin"})
    assert kept.keys() == {"HF_TOKEN", "PATH", "HF_HUB_DISABLE_TELEMETRY"}


async def test_its_output_is_in_a_file(embedded: Embedded) -> None:
    await embedded.chat("a prompt about zebras", max_tokens=1)
    log = (embedded.home / "child.log").read_text()
    assert "model loaded" in log
    assert "zebras" not in log


async def test_no_reply_names_a_path(embedded: Embedded) -> None:
    sent = [str(await embedded.chat(max_tokens=2, logprobs=True)), str(await embedded.complete(prompt="x"))]
    sent.append((await relayed(await embedded.stream(max_tokens=2, verbose=...)))[0].decode())
    for bad in ({"messages": [{"role": "user", "content": "w " * 999}]}, {"model": "/etc/passwd"}, {"verbose": True},
                {"response_format": {"type": "nonsense"}}):  # fmt: skip
        with pytest.raises(LlamaStackError) as error:
            await embedded.chat(**bad)
        sent.append(error.value.message.replace("/etc/passwd", ""))
    for text in sent:
        for secret in (".gguf", ".sock", str(embedded.directory), "site-packages", "/etc"):
            assert secret not in text


async def test_requests_are_computed_side_by_side(embedded: Embedded) -> None:
    streams = await asyncio.gather(*(embedded.stream(f"Story {number}", **ENDLESS) for number in range(2)))
    assert embedded.slots_at_work() == 2
    await asyncio.gather(*(stream.aclose() for stream in streams))
    await eventually(lambda: embedded.slots_at_work() == 0)


async def test_a_client_that_hangs_up_stops_the_computation(embedded: Embedded) -> None:
    stream = await embedded.stream(**ENDLESS)
    assert embedded.slots_at_work() == 1
    await stream.aclose()
    await eventually(lambda: embedded.slots_at_work() == 0, within_s=2)

    waiting = asyncio.create_task(embedded.chat(**ENDLESS))
    await eventually(lambda: embedded.slots_at_work() == 1)
    waiting.cancel()
    await eventually(lambda: embedded.slots_at_work() == 0, within_s=2)


async def test_the_queue_is_bounded_and_its_places_come_back(tmp_path: Path) -> None:
    async with opened(tmp_path, context_length=512, parallel=1, queue_max=1) as provider:
        local = Embedded(provider, tmp_path)
        first = await local.stream(**ENDLESS)
        second = asyncio.create_task(local.chat(max_tokens=1))
        await asyncio.sleep(0)  # the second takes its place
        with pytest.raises(Overloaded, match="queue_max") as full:
            await local.chat()
        assert full.value.retry_after_s
        second.cancel()  # one that waits goes at once, and leaves its place
        await asyncio.wait([second])
        third = asyncio.create_task(local.chat(max_tokens=1))
        await asyncio.sleep(0)
        await first.aclose()
        assert (await third)["usage"]["completion_tokens"] == 1
        assert (await local.chat(max_tokens=1))["usage"]["completion_tokens"] == 1


def test_places_are_given_back_once(tmp_path: Path) -> None:
    places = Places(tmp_path / "places", 2)
    first, second = places.take(), places.take()
    assert first is not None
    assert second is not None
    assert places.take() is None
    first()
    again = places.take()
    first()
    assert again is not None
    assert places.take() is None
    places.close()


@linux
async def test_a_killed_child_breaks_its_streams_and_comes_back(embedded: Embedded) -> None:
    stream = await embedded.stream(**ENDLESS)
    whole = asyncio.create_task(embedded.chat(**ENDLESS))
    await eventually(lambda: embedded.slots_at_work() == 2)
    killed = embedded.child
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(ProviderError):
        await relayed(stream)
    with pytest.raises(ProviderError):
        await whole
    assert "Paris" in await embedded.text("What is the capital of France?")
    assert embedded.child != killed


@linux
async def test_a_child_ends_with_its_keeper(tmp_path: Path) -> None:
    async with opened(tmp_path, context_length=256) as provider:
        local = Embedded(provider, tmp_path)
        await local.chat(max_tokens=1)
        child = local.child
        assert alive(child)
    await eventually(lambda: not alive(child))
    assert not local.socket.exists()


WORKER = """
import asyncio, sys
from pathlib import Path
from tests.providers.embedded.harness import Embedded, opened

async def main():
    async with opened(Path(sys.argv[1]), context_length=256) as provider:
        local = Embedded(provider, Path(sys.argv[1]))
        await local.chat(max_tokens=1)
        print(local.child, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@linux
async def test_workers_share_one_child_and_take_over(tmp_path: Path) -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, str(tmp_path),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        shared = int(await asyncio.wait_for(worker.stdout.readline(), WITHIN_S))
        async with opened(tmp_path, context_length=256) as provider:
            local = Embedded(provider, tmp_path)
            await local.chat(max_tokens=1)
            assert local.child == shared
            worker.kill()
            await worker.wait()
            await eventually(lambda: not alive(shared))
            assert "Paris" in await local.text("What is the capital of France?")
            assert alive(local.child)
    finally:
        if worker.returncode is None:
            worker.kill()
        await worker.wait()
        worker._transport.close()  # type: ignore[attr-defined]  # asyncio leaves the pipes of a killed process open


async def test_a_model_is_started_by_its_first_request_or_by_preload(tmp_path: Path) -> None:
    async with opened(tmp_path / "lazy"):
        assert not list((tmp_path / "lazy").rglob("status.json"))
    async with opened(tmp_path / "eager", preload=True, context_length=256) as provider:
        local = Embedded(provider, tmp_path / "eager")
        await eventually(lambda: local.socket.exists() and local.status == "ready")


@pytest.mark.parametrize("content", [None, b"rubbish"], ids=["missing", "rubbish"])
async def test_a_model_that_cannot_be_loaded_says_so(tmp_path: Path, content: bytes | None) -> None:
    gguf = tmp_path / "Some-Model.gguf"
    if content is not None:
        gguf.write_bytes(content)
    async with opened(tmp_path / "state", model=str(gguf)) as provider:
        with pytest.raises(Overloaded, match=r"some-model.*cannot be started") as refused:
            await provider.openai_chat_completion(chat_request(model="some-model"), Call())
        assert str(tmp_path) not in refused.value.message
        assert (await provider.health()).status is HealthStatus.ERROR


async def test_a_request_waits_a_bounded_time_for_the_model(tmp_path: Path) -> None:
    async with opened(tmp_path, startup_timeout_s=0.001) as provider:
        with pytest.raises(Overloaded, match="startup_timeout_s"):
            await provider.openai_chat_completion(chat_request(), Call())


async def test_several_models_each_with_its_template(tmp_path: Path) -> None:
    template = tmp_path / "tools.jinja"
    template.write_text(
        "{%- for tool in tools or [] %}{{ '<|im_start|>system\\n' + tool | tojson + '<|im_end|>\\n' }}{% endfor -%}"
        "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + (message.content or '') }}"
        "{%- for call in message.tool_calls or [] %}"
        '{{ \'<tool_call>\\n{"name": "\' + call.function.name + \'", "arguments": \' }}'
        "{{ call.function.arguments | tojson }}{{ '}\\n</tool_call>' }}{% endfor -%}"
        "{{ '<|im_end|>\\n' }}{% endfor -%}{{ '<|im_start|>assistant\\n' if add_generation_prompt }}"
    )
    models = [
        {"id": "plain", "context_length": 256},
        {"id": "tools", "context_length": 256, "chat_template": str(template)},
    ]
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    other = {"type": "function", "function": {"name": "get_time_of_day", "parameters": {"type": "object"}}}
    async with opened(tmp_path, models=models) as provider:
        local = Embedded(provider, tmp_path)
        with pytest.raises(UnsupportedParameter, match="tools"):
            await local.chat(model="plain", tools=[tool])
        ignored = await local.chat(model="plain", tools=[tool], tool_choice="none")
        assert "Paris" in ignored["choices"][0]["message"]["content"]

        async def tokens(**more: Any) -> int:
            return int((await local.chat(model="tools", max_tokens=1, **more))["usage"]["prompt_tokens"])

        without, one, both = await tokens(), await tokens(tools=[tool]), await tokens(tools=[tool, other])
        assert without < one < both
        named = {"type": "function", "function": {"name": "get_weather"}}
        assert await tokens(tools=[tool, other], tool_choice=named) == one


def test_a_long_directory_gets_a_short_private_socket(tmp_path: Path) -> None:
    assert socket_path(Path("/short")) == Path("/short/llm.sock")
    path = socket_path(tmp_path / ("long" * 30))
    assert len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX
    assert path.parent == Path(tempfile.gettempdir()) / f"llama-stack-{os.getuid()}"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path == socket_path(tmp_path / ("long" * 30))


async def test_a_gguf_can_embed(tmp_path: Path) -> None:
    config = {"id": "vectors", "model_type": "embedding", "pooling": "mean", "embedding_dimension": 576}
    async with opened(tmp_path, context_length=256, **config) as provider:
        params = EmbeddingsRequest.model_validate({"model": "vectors", "input": ["a cat", "a kitten"]})
        reply = (await provider.openai_embeddings(params, Call())).decode()
        first, second = (np.array(one.embedding) for one in reply.data)
        assert len(first) == 576
        assert abs(first @ first - 1) < 1e-4
        assert first @ second > 0.5
        assert reply.usage.prompt_tokens == 4
        with pytest.raises(InvalidRequest, match="'embedding', not 'llm'"):
            await provider.openai_chat_completion(chat_request(model="vectors"), Call())
        with pytest.raises(UnsupportedParameter, match="length"):
            await provider.openai_embeddings(params.model_copy(update={"dimensions": 8}), Call())
        with pytest.raises(ContextLengthExceeded):
            await provider.openai_embeddings(params.model_copy(update={"input": "word " * 600}), Call())
        (listed,) = await provider.list_models(Call())
        assert (listed.model_type, listed.metadata["embedding_dimension"]) == ("embedding", 576)


HOLDER = """
import sys
from pathlib import Path
from llama_stack.providers._shared.llama_cpp_places import Places, Turns
places = Places(Path(sys.argv[1]), 3)
places.take(), places.take()
print("held", flush=True)
sys.stdin.read()
"""


async def test_turns_come_in_order(tmp_path: Path) -> None:
    turns = Turns(tmp_path / "turns", 1)
    end_first = await turns.take()
    order: list[int] = []

    async def next_turn(number: int) -> None:
        end = await turns.take()
        order.append(number)
        end()

    waiting = [asyncio.create_task(next_turn(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert order == []
    waiting[1].cancel()
    end_first()
    await asyncio.wait(waiting)
    assert order == [0, 2, 3, 4]
    turns.close()


async def test_places_are_shared_by_processes_and_freed_by_death(tmp_path: Path) -> None:
    path = tmp_path / "places"
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    assert await asyncio.wait_for(holder.stdout.readline(), WITHIN_S) == b"held\n"
    places = Places(path, 3)
    assert places.take() is not None
    assert places.take() is None
    holder.kill()
    await holder.communicate()
    assert places.take() is not None
    assert places.take() is not None
    assert places.take() is None
    places.close()
