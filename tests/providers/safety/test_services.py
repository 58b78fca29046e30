"""Shields behind HTTP against the wire format of their services: what is asked, what an answer means, what fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    ProviderError,
    ProviderRejectedCredentials,
    ProviderUnreachable,
    RateLimited,
)
from llama_stack_api.principal import Call
from llama_stack_api.safety import ViolationLevel
from tests.support.shields import moderated, opened_shield, shown
from tests.support.upstream import Recorded, Upstream, Wire, text
from tests.support.upstream_wire import Answer

pytestmark = pytest.mark.anyio

KEY = "key-of-the-service-1234"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def moderation(request: Recorded) -> Answer:
    """OpenAI's: "bad" is harassment, everything else harmless. The key must be there."""
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return Wire().json({"error": {"message": f"Incorrect API key provided: {KEY}"}}, status=401)
    given = request.body["input"]
    judged = given if isinstance(given, list) and isinstance(given[0], str) else [given]
    results = []
    for each in judged:
        bad = "bad" in str(each)
        results.append(
            {
                "flagged": bad,
                "categories": {"harassment": bad, "violence": False},
                "category_scores": {"harassment": 0.97 if bad else 0.01, "violence": 0.02},
                "category_applied_input_types": {"harassment": ["text"], "violence": ["text"]},
            }
        )
    return Wire().json({"id": "modr-1", "model": request.body["model"], "results": results})


def openai(up: Upstream, where: Path, **config: Any) -> AbstractAsyncContextManager[Any]:
    up.always(moderation, on="/moderations")
    return opened_shield("remote::openai", where, **{"base_url": up.base_url, "api_key": KEY, **config})


async def failure(provider: Any, call: Call | None = None) -> LlamaStackError:
    with pytest.raises(LlamaStackError) as raised:
        await provider.run_shield(shown("hello"), call or Call())
    return raised.value


class TestModerations:
    async def test_what_is_harmless_passes(self, up: Upstream, tmp_path: Path) -> None:
        async with openai(up, tmp_path) as provider:
            assert (await provider.run_shield(shown("hello"), Call())).violation is None
        assert up.last.body == {"input": "hello", "model": "the-model"}

    async def test_what_is_flagged_is_a_violation(self, up: Upstream, tmp_path: Path) -> None:
        async with openai(up, tmp_path) as provider:
            found = (await provider.run_shield(shown("hello", "a bad word"), Call())).violation
        assert found.violation_level == ViolationLevel.ERROR
        assert found.metadata == {"categories": ["harassment"], "scores": {"harassment": 0.97}}

    async def test_results_of_tools_arguments_and_images_are_judged(self, up: Upstream, tmp_path: Path) -> None:
        called = {"id": "c", "type": "function", "function": {"name": "say", "arguments": '{"word": "bad"}'}}
        async with openai(up, tmp_path) as provider:
            for message in (
                {"role": "tool", "tool_call_id": "c", "content": "a bad result"},
                {"role": "assistant", "tool_calls": [called]},
            ):
                assert (await provider.run_shield(shown(message), Call())).violation is not None
            await provider.run_shield(
                shown({"role": "user", "content": [{"type": "text", "text": "see"}, IMAGE]}), Call()
            )
        assert up.last.body["input"] == [{"type": "text", "text": "see"}, IMAGE]

    async def test_a_moderation_is_the_services(self, up: Upstream, tmp_path: Path) -> None:
        async with openai(up, tmp_path) as provider:
            reply = await provider.moderate(moderated(["good", "bad"]), Call())
            assert [each.flagged for each in reply.results] == [False, True]
            parts = [{"type": "text", "text": "bad"}, IMAGE]
            assert [each.flagged for each in (await provider.moderate(moderated(parts), Call())).results] == [True]
        assert up.last.body["input"] == parts

    async def test_the_key_of_a_request_goes_first_and_no_key_is_an_error(self, up: Upstream, tmp_path: Path) -> None:
        brought = Call(provider_data={"openai_api_key": SecretStr(KEY)})
        async with openai(up, tmp_path, api_key=None) as provider:
            assert (await provider.run_shield(shown("hello"), brought)).violation is None
            assert isinstance(await failure(provider), InvalidRequest)

    async def test_a_refused_key_is_not_repeated(self, up: Upstream, tmp_path: Path) -> None:
        async with openai(up, tmp_path, api_key="wrong") as provider:
            error = await failure(provider)
        assert isinstance(error, ProviderRejectedCredentials)
        assert KEY not in error.message

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            (Wire().json({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "7"}), RateLimited),
            (Wire().json({"oops": True}, status=500), ProviderError),
            (Wire().json({"id": "modr-1", "model": "m", "results": []}), ProviderError),
            (Wire().json({"id": "modr-1", "model": "m", "results": [{"flagged": False}]}), ProviderError),
            (Wire().body(b"<html>", "text/html"), ProviderError),
        ],
        ids=["rate", "broken", "no verdict", "half a verdict", "a page"],
    )
    async def test_what_is_no_answer_is_an_error(
        self, answer: Answer, expected: type[LlamaStackError], up: Upstream, tmp_path: Path
    ) -> None:
        async with openai(up, tmp_path) as provider:
            up.reply(answer)
            assert isinstance(await failure(provider), expected)

    async def test_nobody_there(self, tmp_path: Path) -> None:
        async with opened_shield("remote::openai", tmp_path, base_url="http://127.0.0.1:1/v1", api_key=KEY) as provider:
            assert isinstance(await failure(provider), ProviderUnreachable)

    async def test_whoever_goes_away_takes_the_question_along(self, up: Upstream, tmp_path: Path) -> None:
        async with openai(up, tmp_path) as provider:
            up.reply(Wire(stall_head=True).json({}))
            asking = asyncio.create_task(provider.run_shield(shown("hello"), Call()))
            while not up.requests:
                await asyncio.sleep(0.01)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await up.last.wait_hung_up()


class TestPassthrough:
    async def test_chosen_provider_data_become_headers(self, up: Upstream, tmp_path: Path) -> None:
        up.always(moderation, on="/moderations")
        call = Call(provider_data={"tenant_id": SecretStr("blue"), "other": SecretStr("x")})
        async with opened_shield(
            "remote::passthrough", tmp_path, base_url=up.url, api_key=KEY, forward_headers={"tenant_id": "X-Tenant"}
        ) as provider:
            assert (await provider.run_shield(shown("a bad word"), call)).violation is not None
            assert up.last.path == "/v1/moderations"
            assert up.last.headers["x-tenant"] == "blue"
            assert "other" not in up.last.headers
            broken = Call(provider_data={"tenant_id": SecretStr("a\r\nX-Admin: 1")})
            assert isinstance(await failure(provider, broken), InvalidRequest)


class TestNeMoGuardrails:
    async def test_rails_pass_and_block(self, up: Upstream, tmp_path: Path) -> None:
        rails = {"self check input": {"status": "blocked"}, "jailbreak": {"status": "success"}}
        up.reply(Wire().json({"status": "success", "rails_status": {}}))
        up.reply(Wire().json({"status": "blocked", "rails_status": rails}))
        async with opened_shield(
            "remote::nvidia", tmp_path, params={"config_id": "demo"}, guardrails_service_url=up.url
        ) as provider:
            assert (await provider.run_shield(shown("hello"), Call())).violation is None
            assert up.last.path == "/v1/guardrail/checks"
            assert up.last.body == {
                "model": "the-model",
                "messages": [{"role": "user", "content": "hello"}],
                "stream": False,
                "guardrails": {"config_id": "demo"},
            }
            tool = {"role": "tool", "tool_call_id": "c", "content": "do evil"}
            found = (await provider.run_shield(shown(tool), Call())).violation
            assert found.metadata["categories"] == ["self check input"]
            assert up.last.body["messages"] == [{"role": "user", "content": "do evil"}]
            up.reply(Wire().json({"status": "unsure"}))
            assert isinstance(await failure(provider), ProviderError)


class TestSambaNova:
    async def test_llama_guard_by_its_own_template(self, up: Upstream, tmp_path: Path) -> None:
        up.reply(text("safe"), text("\n\nunsafe\nS1,S10"), text("I would rather not say."))
        async with opened_shield(
            "remote::sambanova", tmp_path, resource="sambanova/Meta-Llama-Guard-3-8B", base_url=up.base_url, api_key=KEY
        ) as provider:
            assert (await provider.run_shield(shown("hello"), Call())).violation is None
            assert up.last.body["model"] == "Meta-Llama-Guard-3-8B"
            assert up.last.body["messages"] == [{"role": "user", "content": "hello"}]
            found = (await provider.run_shield(shown("hello"), Call())).violation
            assert found.metadata == {"categories": ["S1", "S10"], "names": ["Violent Crimes", "Hate"]}
            assert isinstance(await failure(provider), ProviderError)
