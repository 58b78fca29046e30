"""A few child processes that read files, each for one file at a time, kept for the next.

What a file does to its process (memory, time, a crash) is the end of that process and an error for that file. The next
file finds another.
"""

from __future__ import annotations

import asyncio
import signal
from typing import NoReturn

import msgspec

from llama_stack.providers._shared.parsing import wire
from llama_stack.providers._shared.parsing.process import ChildDied, ParserProcess
from llama_stack.providers._shared.parsing.settings import ParsingConfig
from llama_stack_api.errors import InvalidFile, Overloaded, ProviderError, UnsupportedFile
from llama_stack_api.ports.file_processors import Page, ParsedFile

IDLE_S = 60.0
"""How long a process without work is kept."""
GROWN_SHARE = 0.5
"""Of `memory_bytes_max`: a process that holds more after a file makes place for a fresh one."""


class _Crashed(InvalidFile):
    """The process died of the file."""


class ParserPool:
    """`name` is the provider's id, for errors. `online` is for an engine that downloads its models."""

    def __init__(
        self,
        config: ParsingConfig,
        *,
        engine: str,
        name: str,
        written_bytes_max: int = 0,
        online: bool = False,
        idle_s: float = IDLE_S,
    ) -> None:
        self._config = config
        self._start = wire.Start(engine, config.limits(written_bytes_max), online)
        self._name = name
        self._idle_s = idle_s
        self._places = asyncio.Semaphore(config.processes_max)
        self._idle: dict[ParserProcess, asyncio.TimerHandle] = {}
        self._busy: set[ParserProcess] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """Of the processes that there are."""
        return [child.pid for child in (*self._idle, *self._busy)]

    async def parse(self, job: wire.Job) -> ParsedFile:
        """Cancelling it kills the process that reads the file."""
        await self._place(job)
        try:
            answer, text = await self._ask_twice(job)
        finally:
            self._places.release()
        if answer.outcome == "parsed":
            pages = tuple(Page(*page) for page in answer.pages)
            return ParsedFile(text, answer.media_type, answer.parser, pages, answer.metadata)
        error = UnsupportedFile if answer.outcome == "unsupported" else InvalidFile
        raise error(f"{_shown(job)} cannot be read. {answer.message}", param="file")

    async def close(self) -> None:
        """Ends all children; whoever waits for one gets an error."""
        self._closed = True
        for child in [*self._idle]:
            self._retire(child)
        for child in self._busy:
            child.kill()
        await asyncio.gather(*self._ending)

    async def _place(self, job: wire.Job) -> None:
        if self._waiting >= self._config.waiting_max:
            raise Overloaded(
                f"{self._waiting} files wait to be read by '{self._name}' already; its setting waiting_max raises that "
                "limit, processes_max reads more of them at a time.",
                retry_after_s=1.0,
            )
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1

    async def _ask_twice(self, job: wire.Job) -> tuple[wire.Answer, str]:
        """Of a file that crashes the first parser, another may still get the text."""
        try:
            return await self._ask(job)
        except _Crashed as crash:
            answer, text = await self._ask(msgspec.structs.replace(job, cautious=True))
            if answer.outcome != "parsed":
                raise crash from None
            return answer, text

    async def _ask(self, job: wire.Job) -> tuple[wire.Answer, str]:
        child = self._fresh_idle() or await self._started()
        self._busy.add(child)
        keep = False
        try:
            async with asyncio.timeout(self._config.timeout_s):
                answer, text = await child.ask(job)
            keep = self._may_go_on(child, answer)
            return answer, text
        except TimeoutError:
            raise self._failed(job, f"it took longer than {self._config.timeout_s:g} s", "timeout_s") from None
        except ChildDied as death:
            self._explain(job, death.code)
        finally:
            self._busy.discard(child)
            if keep:
                self._idle[child] = asyncio.get_running_loop().call_later(self._idle_s, self._retire, child)
            else:
                self._end(child)

    async def _started(self) -> ParserProcess:
        try:
            child = await ParserProcess.start(self._start)
        except (OSError, TimeoutError, ChildDied) as error:
            raise ProviderError(
                f"File processor '{self._name}' cannot start a process ({type(error).__name__})."
            ) from None
        if self._closed:
            self._end(child)
            raise ProviderError(f"File processor '{self._name}' is closed.")
        return child

    def _fresh_idle(self) -> ParserProcess | None:
        """The one that was used last, so that those that are not needed grow old."""
        while self._idle:
            child, timer = self._idle.popitem()
            timer.cancel()
            if child.is_alive:
                return child
            self._end(child)
        return None

    def _may_go_on(self, child: ParserProcess, answer: wire.Answer) -> bool:
        grown = answer.resident_bytes > self._config.memory_bytes_max * GROWN_SHARE
        return not self._closed and not grown and child.files < self._config.files_per_process_max

    def _retire(self, child: ParserProcess) -> None:
        self._idle.pop(child).cancel()
        self._end(child)

    def _end(self, child: ParserProcess) -> None:
        """Killed at once, and waited for apart from whoever is being served, or cancelled."""
        child.kill()
        task = asyncio.get_running_loop().create_task(child.end(), name=f"end-parser-{child.pid}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _explain(self, job: wire.Job, code: int) -> NoReturn:
        if self._closed:
            raise ProviderError(f"File processor '{self._name}' was closed while it read {_shown(job)}.")
        if code == -signal.SIGXCPU:
            limit = self._config.cpu_seconds_max
            raise self._failed(job, f"it took more than {limit} s of computing", "cpu_seconds_max")
        if code in (wire.EXIT_OUT_OF_MEMORY, -signal.SIGKILL):
            limit = self._config.memory_bytes_max
            raise self._failed(job, f"reading it takes more memory than {limit} bytes", "memory_bytes_max")
        if code < 0:
            why = f"its parser crashed ({signal.Signals(-code).name}), as they do on broken files or for want of memory"
            raise _Crashed(self._failed(job, why, "memory_bytes_max").message, param="file")
        raise ProviderError(f"A process of file processor '{self._name}' ended by itself (exit code {code}).")

    def _failed(self, job: wire.Job, why: str, setting: str) -> InvalidFile:
        return InvalidFile(
            f"{_shown(job)} cannot be read: {why}. The setting {setting} of file processor '{self._name}' raises that "
            "limit.",
            param="file",
        )


def _shown(job: wire.Job) -> str:
    name = job.filename.replace("\\", "/").rpartition("/")[2]
    return f"The file {name[:100]!r}" if name else "The file"
