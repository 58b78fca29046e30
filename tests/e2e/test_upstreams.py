"""Remote providers behind the server: their errors as the classes of the `openai` package, and how it outlives them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import yaml
from openai import AsyncOpenAI, OpenAI

from tests.e2e.conftest import HELLO, ConfigFile
from tests.support.running import RunningServer, running
from tests.support.upstream import Answer, Upstream, Wire, context_too_long, error, models, rate_limited, text

ONE_TRY = {"routing": {"retries_max": 0, "breaker": {"failures": 1000}}}


def ask(client: OpenAI, model: str = "up/m", **options: Any) -> Any:
    return client.chat.completions.create(model=model, messages=HELLO, **options)


@pytest.fixture(scope="module")
def module_upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.always(models("m"), on="/models")
        yield upstream


@pytest.fixture(scope="module")
def module_server(module_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home = tmp_path_factory.mktemp("home")
    provider = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": module_upstream.base_url}}
    config = {"distro_name": "errors", "providers": {"inference": [provider]}, "server": ONE_TRY}
    path = Path(home, "run.yaml")
    path.write_text(yaml.safe_dump(config))
    with running(str(path), "--port", "0", home=home) as server:
        yield server


@pytest.fixture(name="up")
def _up(module_upstream: Upstream) -> Upstream:
    module_upstream.reset()
    module_upstream.always(models("m"), on="/models")
    return module_upstream


@pytest.fixture(name="openai_client")
def _openai_client(module_server: RunningServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{module_server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_what_the_client_sent_reaches_the_upstream(up: Upstream, openai_client: OpenAI) -> None:
    reply = ask(openai_client, temperature=0.5, extra_body={"chat_template_kwargs": {"x": 1}})
    assert reply.choices[0].message.content == "Hello from the upstream."
    assert reply.model == "up/m"
    assert up.last.body["model"] == "m"
    assert up.last.body["temperature"] == 0.5
    assert up.last.body["chat_template_kwargs"] == {"x": 1}


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (error(400, "temperature too hot", param="temperature"), openai.BadRequestError, None),
        (context_too_long(), openai.BadRequestError, "context_length_exceeded"),
        (error(500), openai.InternalServerError, None),
        (error(503), openai.InternalServerError, None),
        (Wire(refuse=True).json({}), openai.InternalServerError, None),
        (Wire().body(b"<html>", "application/json"), openai.InternalServerError, None),
    ],
)
def test_errors_are_the_classes_that_clients_catch(
    up: Upstream, openai_client: OpenAI, reply: Answer, kind: type[openai.APIStatusError], code: str | None
) -> None:
    up.reply(reply, on="/chat/completions")
    with pytest.raises(kind) as caught:
        ask(openai_client)
    body = caught.value.body
    assert isinstance(body, dict)
    assert set(body) >= {"message", "type", "code", "param"}
    assert code is None or caught.value.code == code


def test_a_rate_limit_keeps_its_retry_after(up: Upstream, openai_client: OpenAI) -> None:
    up.reply(rate_limited("17"), on="/chat/completions")
    with pytest.raises(openai.RateLimitError) as caught:
        ask(openai_client)
    assert caught.value.response.headers["retry-after"] == "17"


def test_a_stream_that_is_cut_ends_in_an_error(up: Upstream, openai_client: OpenAI) -> None:
    up.reply(text("one two three four five", wire=Wire(cut_after=3)), on="/chat/completions")
    stream = iter(ask(openai_client, stream=True))
    assert next(stream).choices
    with pytest.raises(openai.APIError):
        list(stream)


def test_a_client_that_hangs_up_ends_the_call(up: Upstream, openai_client: OpenAI) -> None:
    up.reply(text("word " * 200, wire=Wire(gap_s=0.05)), on="/chat/completions")
    stream = ask(openai_client, stream=True)
    next(iter(stream))
    stream.close()
    assert asyncio.run(up.last.wait_hung_up()) < 5


def test_a_client_that_gives_up_waiting_ends_the_call(up: Upstream, openai_client: OpenAI) -> None:
    up.reply(text("too late", wire=Wire(stall_head=True)), on="/chat/completions")
    with pytest.raises(openai.APITimeoutError):
        ask(openai_client.with_options(timeout=0.3))
    assert asyncio.run(up.last.wait_hung_up()) < 5


def test_a_provider_key_of_the_request_is_used(up: Upstream, openai_client: OpenAI) -> None:
    ask(openai_client, extra_headers={"X-LlamaStack-Provider-Data": '{"vllm_api_token": "of-the-client"}'})
    assert up.last.headers["authorization"] == "Bearer of-the-client"


@pytest.mark.anyio
async def test_an_upstream_that_dies_under_load_costs_the_other_nothing(
    tmp_path: Path, config_file: ConfigFile
) -> None:
    """Two models of two providers; one is killed while both are asked. Its own requests go on through the fallback."""
    with Upstream() as doomed, Upstream() as steady:
        for upstream, model in ((doomed, "a"), (steady, "b")):
            upstream.always(models(model), on="/models")
        targets = [
            {"provider_id": "doomed", "provider_model_id": "a"},
            {"provider_id": "steady", "provider_model_id": "b"},
        ]
        path = config_file(
            {"doomed": doomed.base_url, "steady": steady.base_url},
            registered_resources={"models": [{"model_id": "safe", "strategy": "fallback", "targets": targets}]},
            server={"routing": {"retries_max": 1, "retry_delay_s": 0.01}},
        )
        with running(path, "--port", "0", home=tmp_path) as server:
            async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
                outcomes = await _load(client, doomed)
    assert outcomes["steady/b"] == {"ok"}
    assert outcomes["safe"] == {"ok"}
    assert outcomes["doomed/a"] <= {"ok", "InternalServerError"}
    assert "InternalServerError" in outcomes["doomed/a"]


async def _load(client: AsyncOpenAI, doomed: Upstream) -> dict[str, set[str]]:
    outcomes: dict[str, set[str]] = {"doomed/a": set(), "steady/b": set(), "safe": set()}

    async def one(model: str) -> None:
        try:
            await client.chat.completions.create(model=model, messages=HELLO)
            outcomes[model].add("ok")
        except openai.APIStatusError as error:
            outcomes[model].add(type(error).__name__)

    async def many(model: str, count: int) -> None:
        for _ in range(count):
            await one(model)

    await asyncio.gather(*(one(model) for model in outcomes))
    assert outcomes == {model: {"ok"} for model in outcomes}
    running_load = [asyncio.create_task(many(model, 15)) for model in outcomes for _ in range(3)]
    await doomed.wait_requests(len(doomed.requests) + 5)
    await asyncio.to_thread(doomed.stop)
    await asyncio.gather(*running_load)
    return outcomes
