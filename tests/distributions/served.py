"""A packaged distribution, as it is shipped, on a free port, with what stands behind it on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anthropic
import openai

from llama_stack.config.load import load_config
from llama_stack.config.model import RunConfig
from llama_stack.http.app import create_app
from llama_stack.stack import Stack
from tests.distributions.backends import Settings
from tests.support.edge import sdk_for
from tests.support.server import Running, running


@dataclass(frozen=True, slots=True)
class Distribution:
    config: RunConfig
    server: Running
    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic


@asynccontextmanager
async def distribution(
    name: str, home: Path, environ: Mapping[str, str], settings: Settings
) -> AsyncIterator[Distribution]:
    """Its config must read without a warning, and every provider must open."""
    loaded = load_config(name, environ={"HOME": str(home), **environ}, strict=True)
    assert loaded.warnings == ()
    config = loaded.config
    for _, entry in config.provider_entries():
        entry.config.update(settings.get(entry.provider_id, {}))
    async with Stack.open(config, state_dir=home / "state") as stack:
        assert [str(problem) for problem in stack.problems] == []
        app = create_app(stack.services, config.server, environ={})
        async with running(app, stack.services, config.server) as server:
            claude = anthropic.AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0)
            async with sdk_for(server) as sdk, claude:
                yield Distribution(config, server, sdk, claude)
