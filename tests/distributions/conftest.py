"""Upstreams and databases for whole distributions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from llama_stack_api.ports.inference import ModelType
from tests.distributions.backends import BACKENDS, Backend
from tests.distributions.served import Distribution, distribution
from tests.providers.remote.case import Case
from tests.providers.remote.cases import CASES, iam_token
from tests.providers.remote.conftest import nobody_at_aws, upstreams
from tests.support.anthropic_upstream import says as messages_say
from tests.support.databases import Postgres, postgres
from tests.support.upstream import Reply, Say, Upstream, Wire
from tests.support.vector_engines.chroma import chroma_server

__all__ = ["nobody_at_aws", "postgres", "upstreams"]

ANSWER = "Hello from behind."


def case_of(backend: Backend) -> Case:
    return next(case for case in CASES if case.type == backend.type)


def first_model(backend: Backend) -> str:
    """The first language model that stands behind a distribution, by its provider's name."""
    return next(model.id for model in case_of(backend).listing.models if model.model_type == ModelType.llm)


def model_of(name: str) -> str:
    """What clients call it."""
    backend = BACKENDS[name]
    return backend.model or f"{backend.type.partition('::')[2]}/{first_model(backend)}"


def says(case: Case, text: str) -> Reply:
    return case.speaks(Say(text, wire=case.wire, **case.say))


@pytest.fixture
def up(name: str, upstreams: dict[str, Upstream]) -> Any:
    """What speaks as the distribution's backend does, and lists the models of its case."""
    case = case_of(BACKENDS[name])
    upstream = upstreams[case.tongue]
    upstream.always(says(case, ANSWER))
    for path, reply in case.listing.replies.items():
        upstream.always(reply, on=path)
    for kind, reply in (("embeddings", case.embed), ("rerank", case.rank([2.0, 1.0]))):
        if kind in case.paths:
            upstream.always(reply, on=case.paths[kind])
    upstream.always(iam_token, on="/identity/token")
    upstream.always(messages_say(ANSWER), on="/v1/messages")
    upstream.always(Wire().json({"status": "success", "rails_status": {}}), on="/v1/guardrail/checks")
    yield upstream
    upstream.reset()


def _state(name: str, postgres: Callable[[], Postgres]) -> Mapping[str, str]:
    if name != "postgres":
        return {}
    server = postgres()
    database = server.create_database()
    return {"POSTGRES_HOST": server.socket_directory, "POSTGRES_DB": database, "POSTGRES_USER": "postgres"}


def _chroma(name: str, directory: Path) -> AbstractContextManager[str]:
    return chroma_server(directory / "chroma") if name == "dell" else nullcontext("")


@pytest.fixture
async def served(
    name: str, up: Upstream, tmp_path: Path, nobody_at_aws: None, request: pytest.FixtureRequest
) -> AsyncIterator[Distribution]:
    backend = BACKENDS[name]
    state = _state(name, lambda: request.getfixturevalue("postgres"))
    with _chroma(name, tmp_path) as chroma:
        environ = {**backend.environ(up, first_model(backend)), **state, "CHROMADB_URL": chroma}
        async with distribution(name, tmp_path, environ, backend.settings(up)) as found:
            yield found
