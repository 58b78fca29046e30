"""Tells whoever started the server that it is up: a banner for a person, a line for a log."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version

from llama_stack.cli.runner.banner import Started, banner, log_fields, turned_off
from llama_stack.cli.runner.listen import Listener, shown_url
from llama_stack.config import LoadedConfig
from llama_stack.stack import Stack
from llama_stack.telemetry.logs import get_logger
from llama_stack_api.api import Api
from llama_stack_api.principal import SYSTEM_CALL

MODEL_WAIT_S = 0.5
"""How long the banner waits for the first discovery, to name a model that a request can use."""


class Announcer:
    def __init__(self, loaded: LoadedConfig, environ: Mapping[str, str], listener: Listener, begun: float) -> None:
        self._loaded = loaded
        self._environ = environ
        self._listener = listener
        self._begun = begun

    async def __call__(self, stack: Stack) -> None:
        on_terminal = sys.stdout.isatty()
        started = self._started(stack, await _a_model(stack) if on_terminal else None)
        log = get_logger("server")
        if on_terminal:
            print(banner(started), flush=True)
        else:
            for message in started.warnings:
                log.warning("config_warning", reason=message)
            for message in started.refused:
                log.error("provider_not_served", reason=message)
            log.info("serving", **log_fields(started))

    def for_worker(self, ready: Callable[[], None], *, quiet: bool) -> Callable[[Stack], Awaitable[None]]:
        """For one of several workers: all report to the supervisor, one alone to the reader."""

        async def announce(stack: Stack) -> None:
            if not quiet:
                await self(stack)
            ready()

        return announce

    def note(self, text: str) -> None:
        """From the supervisor: it has no log of its own, since a log has a thread and the supervisor forks."""
        if not sys.stderr.isatty():
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            text = json.dumps({"timestamp": now, "level": "warning", "logger": "llama_stack.server", "event": text})
        print(text, file=sys.stderr, flush=True)

    def _started(self, stack: Stack, model: str | None) -> Started:
        config = self._loaded.config
        on = [(opened.id, opened.descriptor.type) for opened in stack.providers]
        configured = [entry.provider_id for _, entry in config.provider_entries()]
        return Started(
            version=version("llama-stack"),
            distro_name=config.distro_name,
            url=shown_url(config.server, self._listener),
            workers=config.server.workers,
            authenticated=config.server.auth is not None and config.server.auth.provider_config is not None,
            on=on,
            off=turned_off(self._loaded.path, configured),
            refused=[str(problem) for problem in stack.problems if problem.fatal],
            warnings=[
                *(str(warning) for warning in self._loaded.warnings),
                *(str(problem) for problem in stack.problems if not problem.fatal),
            ],
            inference=config.serves(Api.inference),
            model=model,
            seconds=time.monotonic() - self._begun,
        )


async def _a_model(stack: Stack) -> str | None:
    """The id of a model that chats, as soon as one is known."""
    if not stack.config.serves(Api.inference):
        return None
    deadline = time.monotonic() + MODEL_WAIT_S
    while True:
        for model in (await stack.services.models.list_models(SYSTEM_CALL)).data:
            about = (model.model_extra or {}).get("custom_metadata") or getattr(model, "custom_metadata", None) or {}
            if about.get("model_type") == "llm":
                return model.id
        if time.monotonic() > deadline:
            return None
        await asyncio.sleep(0.02)
