"""Backends that answer, refuse, are silent, or are not there."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llama_stack.cli.doctor.finding import Finding, Level
from llama_stack.cli.doctor.providers import Configured, Skews, check_backends, check_extras, configured_providers
from llama_stack.config import load_config
from llama_stack.routing.catalog import Catalog
from llama_stack_api.api import Api
from tests.support.upstream import Upstream, error, models
from tests.unit.cli.conftest import ConfigFile
from tests.unit.cli.doctor.findings import worst
from tests.unit.cli.test_detect import free_port, server

pytestmark = pytest.mark.anyio
KEY = "sk-a-key-that-nobody-may-see"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def entry(name: str, type_: str = "remote::openai", **config: Any) -> dict[str, Any]:
    return {"provider_id": name, "provider_type": type_, "config": config}


@pytest.fixture
def configured(config_file: ConfigFile) -> Any:
    def read(*entries: dict[str, Any], api: str = "inference") -> list[Configured]:
        path: Path = config_file({api: list(entries)})
        return configured_providers(load_config(path, environ={"MY_KEY": KEY}), Catalog())

    return read


async def the_one(providers: list[Configured], timeout_s: float = 5.0) -> Finding:
    (finding,) = await check_backends(providers, Skews(), timeout_s)
    return finding


async def test_a_backend_that_lists_models(configured: Any, upstream: Upstream) -> None:
    upstream.always(models("a", "b"), on="/models")
    finding = await the_one(configured(entry("up", base_url=upstream.base_url, api_key=KEY)))
    assert (finding.check, finding.level) == ("inference up", Level.OK)
    assert finding.what.startswith("2 models, in ")


async def test_a_backend_that_lists_none(configured: Any, upstream: Upstream) -> None:
    upstream.always(models(), on="/models")
    finding = await the_one(configured(entry("up", base_url=upstream.base_url, api_key=KEY)))
    assert (finding.level, "lists no model" in finding.what) == (Level.WARNING, True)


async def test_a_key_that_is_refused_is_never_shown(configured: Any, upstream: Upstream) -> None:
    upstream.always(error(401, f"Incorrect API key provided: {KEY}"), on="/models")
    finding = await the_one(configured(entry("up", base_url=upstream.base_url, api_key="${env.MY_KEY}")))
    assert finding.level is Level.PROBLEM
    assert finding.remedy == "Renew the key: MY_KEY"
    assert KEY not in finding.what


async def test_a_key_that_is_missing(configured: Any, upstream: Upstream) -> None:
    for named, remedy in (({"api_key": "${env.OTHER_KEY:=}"}, "OTHER_KEY"), ({}, "its api_key in providers.inference")):
        finding = await the_one(configured(entry("up", base_url=upstream.base_url, **named)))
        assert (finding.level, finding.remedy) == (Level.WARNING, f"Set {remedy}")
    assert upstream.requests == []


async def test_a_backend_that_is_not_there(configured: Any) -> None:
    port = free_port()
    finding = await the_one(configured(entry("up", base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY)))
    assert finding.level is Level.PROBLEM
    assert "could not be reached" in finding.what
    assert f"at 127.0.0.1:{port}" in (finding.remedy or "")


async def test_silent_backends_are_waited_for_together(configured: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        entries = [entry(f"up-{number}", base_url=url, api_key=KEY) for number in range(8)]
        begun = time.monotonic()
        findings = await check_backends(configured(*entries), Skews(), timeout_s=0.3)
    assert [finding.check for finding in findings] == [f"inference up-{number}" for number in range(8)]
    assert {finding.what for finding in findings} == {"no answer in 0.3 s"}
    assert time.monotonic() - begun < 8 * 0.3


async def test_the_clocks_of_backends_are_noted(configured: Any) -> None:
    skews = Skews()
    with server({"/v1/models": {"object": "list", "data": []}}) as port:
        await check_backends(configured(entry("up", base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY)), skews)
    assert len(skews.seconds) == 1
    assert abs(skews.seconds[0]) < 60
    skews.note({"Date": "Tue, 01 Jan 2019 00:00:00 GMT"})
    assert skews.seconds[1] > 10**8
    skews.note({"Date": "today"})
    assert len(skews.seconds) == 2


async def test_what_is_no_inference_is_tried_at_its_address(configured: Any) -> None:
    with server({}) as port:
        there = await the_one(configured(entry("q", "remote::qdrant", url=f"http://127.0.0.1:{port}"), api="vector_io"))
    assert (there.level, there.what) == (Level.OK, f"127.0.0.1:{port} answers")
    gone = await the_one(configured(entry("q", "remote::qdrant", url=f"http://127.0.0.1:{port}"), api="vector_io"))
    assert gone.level is Level.PROBLEM


async def test_what_runs_inside_is_not_started(configured: Any) -> None:
    assert await check_backends(configured(entry("llama", "inline::llama-cpp")), Skews()) == []


def test_packages_that_a_provider_lacks(configured: Any) -> None:
    (each,) = configured(entry("e", "inline::sentence-transformers", model="x"))
    from dataclasses import replace

    lacking = replace(each.descriptor, pip_packages=("no-such-package>=1,<2",), pip_weights=("no-such-weights",))
    (finding,) = check_extras([replace(each, descriptor=lacking)])
    assert finding.level is Level.PROBLEM
    assert finding.remedy == "pip install 'no-such-package>=1,<2' && pip install --no-deps no-such-weights"
    whole = replace(each, descriptor=replace(each.descriptor, pip_packages=("pydantic>=2",), pip_weights=()))
    assert worst(check_extras([whole])) is Level.OK


def test_an_entry_that_is_wrong_is_the_configs_to_tell(configured: Any) -> None:
    found = configured(entry("x", "remote::no-such"), entry("y", base_url="http://h/v1"))
    assert [(each.api, each.entry.provider_id) for each in found] == [(Api.inference, "y")]
