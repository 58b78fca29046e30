"""The whole server on a free port: a real stack with providers from a run config, behind the real HTTP edge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from llama_stack.config.model import RunConfig
from llama_stack.http.app import create_app
from llama_stack.stack import Stack
from tests.support.server import Running, running


@asynccontextmanager
async def whole_stack(
    directory: Path, providers: list[dict[str, Any]], models: list[dict[str, Any]], /, **sections: Mapping[str, Any]
) -> AsyncIterator[Running]:
    """`providers` of inference and registered `models`, as a run config has them; `sections` are added to it,
    or take the place of what it has. Every provider must open."""
    said = {
        "version": 2,
        "distro_name": "test",
        "providers": {"inference": providers},
        "registered_resources": {"models": models},
        **sections,
    }
    places = {"environ": {"SQLITE_STORE_DIR": str(directory / "store")}, "home": directory}
    config = RunConfig.model_validate(said, context=places)
    async with Stack.open(config, state_dir=directory / "state") as stack:
        assert stack.problems == [], [str(problem) for problem in stack.problems]
        app = create_app(stack.services, config.server, environ={})
        async with running(app, stack.services, config.server) as server:
            yield server
