"""The processes that read files: reused, bounded, replaced, and gone when nobody needs them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llama_stack.providers._shared.parsing.pool import ParserPool
from llama_stack.providers._shared.parsing.process import child_environment
from llama_stack.providers._shared.parsing.settings import ParsingConfig
from llama_stack.providers._shared.parsing.wire import Job
from llama_stack.providers.file_processors.auto import Auto
from llama_stack.providers.file_processors.docling import Docling
from llama_stack_api.errors import InvalidFile, NotImplementedByProvider, Overloaded, ProviderError
from tests.support.file_processors import Processor, opened
from tests.support.processes import children

pytestmark = pytest.mark.anyio


def slow(path: Path) -> Path:
    """HTML with so many tags that reading them takes most of a minute."""
    path.write_bytes(b"<html>" + b"<p>" * 20_000_000)
    return path


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.005)


def gone(pid: int) -> bool:
    return pid not in children(os.getpid())


async def test_one_process_reads_many_files(auto: Processor) -> None:
    for number in range(20):
        assert (await auto.read(b"%d" % number)).text == str(number)
    assert len(auto.pids) == 1


async def test_files_are_read_side_by_side_up_to_the_limit(auto: Processor) -> None:
    texts = await asyncio.gather(*(auto.read(b"%d" % number) for number in range(50)))
    assert [parsed.text for parsed in texts] == [str(number) for number in range(50)]
    assert len(auto.pids) == 2


async def test_a_process_is_replaced_after_its_share_of_files(tmp_path: Path) -> None:
    async with opened(Auto, tmp_path, files_per_process_max=3) as processor:
        seen = set()
        for _ in range(3):
            await processor.read(b"a")
            seen.update(processor.pids)
        (first,) = seen
        assert processor.pids == []
        await processor.read(b"a")
        assert processor.pids != [first]
        await until(lambda: gone(first))


async def test_a_file_that_takes_too_long_fails_alone(tmp_path: Path) -> None:
    endless = slow(tmp_path / "endless")
    async with opened(Auto, tmp_path, timeout_s=0.5) as processor:
        await processor.read(b"a")
        (pid,) = processor.pids
        started = time.perf_counter()
        with pytest.raises(InvalidFile, match=r"'slow.html'.*longer than 0.5 s.*timeout_s of file processor 'auto'"):
            await processor.read_path(endless, "slow.html")
        assert time.perf_counter() - started < 5
        assert (await processor.read(b"next")).text == "next"
        assert pid not in processor.pids
        await until(lambda: gone(pid))


async def test_a_file_that_takes_too_much_computing_fails_alone(tmp_path: Path) -> None:
    endless = slow(tmp_path / "endless")
    async with opened(Auto, tmp_path, cpu_seconds_max=1) as processor:
        with pytest.raises(InvalidFile, match=r"more than 1 s of computing.*cpu_seconds_max"):
            await processor.read_path(endless, "slow.html")
        assert (await processor.read(b"next")).text == "next"


async def test_the_event_loop_goes_on_meanwhile(tmp_path: Path) -> None:
    endless = slow(tmp_path / "endless")
    async with opened(Auto, tmp_path, timeout_s=1.5) as processor:
        await processor.read(b"a")
        reading = asyncio.create_task(processor.read_path(endless))
        longest = 0.0
        while not reading.done():
            before = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - before)
        with pytest.raises(InvalidFile):
            await reading
        assert longest < 0.75


async def test_cancelling_kills_the_process_that_reads(tmp_path: Path) -> None:
    endless = slow(tmp_path / "endless")
    async with opened(Auto, tmp_path, processes_max=1) as processor:
        reading = asyncio.create_task(processor.read_path(endless))
        await until(lambda: len(processor.pids) == 1)
        (pid,) = processor.pids
        waiting = asyncio.create_task(processor.read(b"behind it"))
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert (await waiting).text == "behind it"
        await until(lambda: gone(pid))


async def test_a_process_that_is_killed_meanwhile_fails_its_file_alone(tmp_path: Path) -> None:
    endless = slow(tmp_path / "endless")
    async with opened(Auto, tmp_path) as processor:
        await processor.read(b"a")
        reading = asyncio.create_task(processor.read_path(endless, "slow.html"))
        await asyncio.sleep(0)
        os.kill(processor.pids[0], signal.SIGSEGV)
        with pytest.raises(InvalidFile, match=r"crashed.*SIGSEGV.*memory_bytes_max"):
            await reading
        assert (await processor.read(b"next")).text == "next"
        os.kill(processor.pids[0], signal.SIGKILL)
        await until(lambda: not processor.impl._pool._idle or not next(iter(processor.impl._pool._idle)).is_alive)
        assert (await processor.read(b"and the next")).text == "and the next"


async def test_closing_leaves_no_process(tmp_path: Path) -> None:
    before = children(os.getpid())
    endless = slow(tmp_path / "endless")
    async with opened(Auto, tmp_path) as processor:
        await processor.read(b"a")
        reading = asyncio.create_task(processor.read_path(endless))
        await until(lambda: len(processor.impl._pool._busy) == 1)
    with pytest.raises(ProviderError, match="closed"):
        await reading
    await until(lambda: children(os.getpid()) <= before)


async def test_idle_processes_go(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"a")
    pool = ParserPool(ParsingConfig(), engine="own", name="auto", idle_s=0.05)
    await pool.parse(Job(str(path), "a"))
    (pid,) = pool.pids
    await until(lambda: not pool.pids and gone(pid))
    assert (await pool.parse(Job(str(path), "a"))).text == "a"
    await pool.close()


async def test_too_many_that_wait_are_refused(tmp_path: Path) -> None:
    async with opened(Auto, tmp_path, processes_max=1, waiting_max=1) as processor:
        answers = await asyncio.gather(*(processor.read(b"a") for _ in range(3)), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, Overloaded)]
        assert len(refused) == 1
        assert "waiting_max" in refused[0].message


async def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    """Also one that is in the middle of a file, and whose parent is killed."""
    endless = slow(tmp_path / "endless")
    script = (
        "import asyncio, sys\n"
        "from llama_stack.providers._shared.parsing.pool import ParserPool\n"
        "from llama_stack.providers._shared.parsing.settings import ParsingConfig\n"
        "from llama_stack.providers._shared.parsing.wire import Job\n"
        "async def main():\n"
        "    pool = ParserPool(ParsingConfig(), engine='own', name='auto')\n"
        f"    task = asyncio.create_task(pool.parse(Job({str(endless)!r}, 'a.html')))\n"
        "    while not pool.pids: await asyncio.sleep(0.005)\n"
        "    print(pool.pids[0], flush=True)\n"
        "    await task\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert Path(f"/proc/{pid}").exists()
    parent.kill()
    await parent.wait()
    await until(lambda: not Path(f"/proc/{pid}").exists())


async def test_the_child_knows_no_secret(auto: Processor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    await auto.read(b"a")
    environ = Path(f"/proc/{auto.pids[0]}/environ").read_bytes()
    assert b"sk-secret" not in environ
    assert set(child_environment({"PATH": "/bin", "HF_TOKEN": "x", "PGPASSWORD": "x"})) == {
        *("PATH", "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE"),
    }


async def test_the_child_is_confined(auto: Processor) -> None:
    await auto.read(b"a")
    limits = Path(f"/proc/{auto.pids[0]}/limits").read_text()
    rows = {line[:25].strip(): line[25:].split()[0] for line in limits.splitlines()}
    assert rows["Max file size"] == "0"
    assert rows["Max core file size"] == "0"
    assert rows["Max data size"] == str(1024**3)
    assert int(rows["Max cpu time"]) <= 92


async def test_an_extra_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedByProvider, match=r"llama-stack\[docling\]"):
        async with opened(Docling, tmp_path):
            pass
