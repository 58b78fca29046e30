"""Tells whoever started the server that it is up: a banner for a person, a line for a log."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

from llama_stack.cli.detect import PROBES, Probe
from llama_stack.cli.runner.banner import Configured, Look, Serving, Started, banner, log_fields, turned_off, turned_on
from llama_stack.cli.runner.listen import Listener, shown_url
from llama_stack.config import LoadedConfig
from llama_stack.config.locate import DEFAULT_DISTRIBUTION, packaged_distributions
from llama_stack.routing.opening import OpenProvider
from llama_stack.stack import Stack
from llama_stack.telemetry.logs import get_logger
from llama_stack_api.api import Api
from llama_stack_api.ports.inference import ModelListing
from llama_stack_api.principal import SYSTEM_CALL

MODEL_WAIT_S = 0.5
"""How long the banner waits for the first discovery, to name a model that a request can use."""
COUNTS_WAIT_S = 0.25
"""How long it waits for all providers to have listed, once there is such a model."""


class Announcer:
    def __init__(self, loaded: LoadedConfig, environ: Mapping[str, str], listener: Listener, begun: float) -> None:
        self._loaded = loaded
        self._environ = environ
        self._listener = listener
        self._begun = begun

    async def __call__(self, stack: Stack) -> None:
        on_terminal = sys.stdout.isatty()
        known = await _first_models(stack) if on_terminal else Known()
        started = self._started(stack, known)
        log = get_logger("server")
        if on_terminal:
            print(banner(started, _look(os.environ)), flush=True)
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

    def _started(self, stack: Stack, known: Known) -> Started:
        config = self._loaded.config
        configured = {(api, entry.provider_id) for api, entry in config.provider_entries()}
        return Started(
            version=version("llama-stack"),
            distro_name=config.distro_name,
            url=shown_url(config.server, self._listener),
            workers=config.server.workers,
            authenticated=config.server.auth is not None and config.server.auth.provider_config is not None,
            on=[_serving(opened, known) for opened in stack.providers],
            found=self._found(configured),
            missed=self._missed(),
            off=self._off(configured),
            refused=[str(problem) for problem in stack.problems if problem.fatal],
            warnings=[
                *(str(warning) for warning in self._loaded.warnings),
                *(str(problem) for problem in stack.problems if not problem.fatal),
            ],
            inference=config.serves(Api.inference),
            model=known.model,
            seconds=time.monotonic() - self._begun,
        )

    def _found(self, on: Configured) -> list[str]:
        """Servers of this machine that answered, and variables that turned a provider on."""
        answered = {probe.variable: f"{probe.name} at {probe.host}:{probe.port}" for probe in self._probed()}
        answered = {variable: place for variable, place in answered.items() if self._environ.get(variable)}
        said = [variable for variable in turned_on(self._loaded.switches, on) if variable not in answered]
        return [*answered.values(), *said]

    def _missed(self) -> list[str]:
        return [
            f"{probe.name} at {probe.host}:{probe.port}"
            for probe in self._probed()
            if not self._environ.get(probe.variable)
        ]

    def _off(self, on: Configured) -> list[tuple[str, str]]:
        looked_for = {probe.variable for probe in self._probed()}
        return [
            (id_, variable) for id_, variable in turned_off(self._loaded.switches, on) if variable not in looked_for
        ]

    def _probed(self) -> list[Probe]:
        """What the start has looked for: only the starter does, and not for what the user's environment names."""
        if self._loaded.path != packaged_distributions().get(DEFAULT_DISTRIBUTION):
            return []
        return [probe for probe in PROBES if probe.variable not in os.environ]


@dataclass(frozen=True, slots=True)
class Known:
    """What the first listings of models have told by now: how many a provider has, and one that chats."""

    counts: Mapping[str, int] = field(default_factory=dict)
    model: str | None = None


def _serving(opened: OpenProvider, known: Known) -> Serving:
    lists = opened.api == Api.inference and isinstance(opened.impl, ModelListing)
    return Serving(str(opened.api), opened.id, known.counts.get(opened.id, 0) if lists else None)


def _look(environ: Mapping[str, str]) -> Look:
    coloured = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return Look(shutil.get_terminal_size().columns, coloured)


async def _first_models(stack: Stack) -> Known:
    """Waits a little until every provider has listed; one that takes longer is told without its models."""
    if not stack.config.serves(Api.inference):
        return Known()
    lists = {o.id for o in stack.providers if o.api == Api.inference and isinstance(o.impl, ModelListing)}
    begun = time.monotonic()
    while True:
        counts: Counter[str] = Counter()
        chats: list[str] = []
        for model in (await stack.services.models.list_models(SYSTEM_CALL)).data:
            about = (model.model_extra or {}).get("custom_metadata") or getattr(model, "custom_metadata", None) or {}
            counts[str(about.get("provider_id"))] += 1
            if about.get("model_type") == "llm" and about.get("verified", True):
                chats.append(model.id)
        waited = time.monotonic() - begun
        if lists <= counts.keys() or waited > (COUNTS_WAIT_S if chats else MODEL_WAIT_S):
            return Known(counts, chats[0] if chats else None)
        await asyncio.sleep(0.02)
