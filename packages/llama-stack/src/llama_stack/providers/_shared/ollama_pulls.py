"""Models that an Ollama server is told to fetch, and to load, when this server starts: in the background, with a word
in the log now and then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from llama_stack_api.errors import LlamaStackError, ProviderTimeout, ProviderUnreachable
from llama_stack_api.ports.inference import PullProgress

RETRY_S: Final = 2.0
RETRY_MAX_S: Final = 60.0
PERCENT_A_WORD: Final = 10
"""So many percent of a part of a model are worth a line in the log."""


@dataclass(frozen=True, slots=True)
class Pulling:
    """`here` lists the names of the models that are there; `pull` and `load` are of one model."""

    here: Callable[[], Awaitable[Sequence[str]]]
    pull: Callable[[str], AsyncIterator[PullProgress]]
    load: Callable[[str], Awaitable[None]]


class Pulls:
    """One task that pulls the models that are missing, one after another, and then loads those that shall be ready."""

    def __init__(self, provider: str, pulling: Pulling, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep):
        self._provider = provider
        self._pulling = pulling
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.stdlib.get_logger("llama_stack.inference").bind(provider=provider)
        self.progress: dict[str, int] = {}
        """Of the models that are being pulled, the percent of the part that is fetched now."""

    def start(self, wanted: Sequence[str], loaded: Sequence[str]) -> None:
        if wanted or loaded:
            self._task = asyncio.create_task(self._run(wanted, loaded), name=f"pulls of {self._provider}")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, wanted: Sequence[str], loaded: Sequence[str]) -> None:
        for model in wanted:
            await self._until_it_answers(self._pull_if_missing, model)
        for model in loaded:
            await self._until_it_answers(self._load, model)

    async def _until_it_answers(self, step: Callable[[str], Awaitable[None]], model: str) -> None:
        """A server that is not up yet is waited for; what it refuses is said, and left."""
        pause = RETRY_S
        while True:
            try:
                await step(model)
                return
            except (ProviderUnreachable, ProviderTimeout) as error:
                self._log.info("ollama does not answer", model=model, retry_s=pause, reason=error.message)
                await self._sleep(pause)
                pause = min(pause * 2, RETRY_MAX_S)
            except LlamaStackError as error:
                self._log.error("model not ready", model=model, reason=error.message)
                return

    async def _pull_if_missing(self, model: str) -> None:
        if full_name(model) in await self._pulling.here():
            return
        self._log.info("pulling model", model=model)
        self.progress[model] = 0
        try:
            said = PERCENT_A_WORD
            async for progress in self._pulling.pull(model):
                percent = percent_of(progress)
                if percent is None:
                    continue
                said = PERCENT_A_WORD if percent < self.progress[model] else said
                self.progress[model] = percent
                if percent >= said:
                    self._log.info("pulling model", model=model, part=progress.status, percent=percent)
                    said = percent - percent % PERCENT_A_WORD + PERCENT_A_WORD
        finally:
            del self.progress[model]
        self._log.info("model pulled", model=model)

    async def _load(self, model: str) -> None:
        await self._pulling.load(model)
        self._log.info("model loaded", model=model)


def percent_of(progress: PullProgress) -> int | None:
    if not progress.total or progress.completed is None:
        return None
    return min(100, progress.completed * 100 // progress.total)


def full_name(model: str) -> str:
    """A model's name as Ollama lists it: with its tag."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"
