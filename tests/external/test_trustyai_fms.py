"""`llama-stack-provider-trustyai-fms` 0.4.0 as it is on PyPI, in a whole server: unmodified, named by `module:`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import openai
import pytest

from llama_stack.cli.provider_configs import check_providers
from llama_stack.config.model import RunConfig
from llama_stack.config.problem import Problem
from llama_stack.routing.catalog import Catalog
from llama_stack.stack import Stack
from llama_stack_api.principal import Call
from tests.support.edge import client, sdk_for
from tests.support.fms_detectors import ABUSE, EMAIL, Detectors
from tests.support.responding import MODEL, Responding
from tests.support.upstream import Upstream, text
from tests.support.whole_stack import whole_stack

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the package's own, of pydantic's former ways
]

PACKAGE = "llama-stack-provider-trustyai-fms==0.4.0"
MAIL = f"write to me@{EMAIL}"
INSULT = f"you {ABUSE}"
SHIELDS = ["email", "both", "talk"]


def shields(url: str) -> dict[str, Any]:
    """One behind its own detector, two behind the orchestrator: of contents and of conversations."""
    return {
        "email": {
            "type": "content",
            "detector_url": url,
            "confidence_threshold": 0.5,
            "message_types": ["user", "completion"],
            "max_retries": 1,
        },
        "both": {
            "type": "content",
            "orchestrator_url": url,
            "confidence_threshold": 0.5,
            "detectors": {"email": {"detector_params": {}}, "hap": {"detector_params": {}}},
            "auth_token": "sk-detector",
            "max_retries": 1,
        },
        "talk": {
            "type": "chat",
            "orchestrator_url": url,
            "detectors": {"hap": {"detector_params": {}}},
            "max_retries": 1,
        },
    }


def entry(url: str, **config: Any) -> dict[str, Any]:
    config = {"shields": shields(url)} | config
    return {"provider_id": "fms", "provider_type": "remote::trustyai_fms", "module": PACKAGE, "config": config}


@asynccontextmanager
async def guarded(directory: Path, detectors: Detectors, **sections: Any) -> AsyncIterator[Responding]:
    async with Upstream() as upstream:
        inference = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}
        resources = {
            "models": [{"model_id": MODEL, "provider_id": "up"}],
            "shields": [{"shield_id": each, "provider_id": "fms"} for each in SHIELDS],
        }
        providers = {"inference": [inference], "safety": [entry(detectors.url)]}
        async with (
            whole_stack(directory, [], [], providers=providers, registered_resources=resources, **sections) as server,
            client(server) as http,
            sdk_for(server) as sdk,
        ):
            await upstream.wait_requests(1)
            upstream.requests.clear()
            yield Responding(upstream, server, http, sdk)


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[Responding, Detectors]]:
    with Detectors() as detectors:
        async with guarded(tmp_path, detectors) as up:
            yield up, detectors


async def run(up: Responding, shield: str, *said: str) -> Any:
    messages = [{"role": "user", "content": each} for each in said]
    return await up.http.post("/v1/safety/run-shield", json={"shield_id": shield, "messages": messages})


def test_it_is_the_wheel_from_pypi() -> None:
    assert version("llama-stack-provider-trustyai-fms") == "0.4.0"


async def test_shields_run_with_their_own_detector_and_through_the_orchestrator(
    both: tuple[Responding, Detectors],
) -> None:
    up, detectors = both
    for shield, said, kind in [("email", MAIL, "pii"), ("both", INSULT, "toxicity"), ("talk", INSULT, "toxicity")]:
        found = (await run(up, shield, "Good morning.", said)).json()["violation"]
        assert found["violation_level"] == "error", shield
        assert [each["status"] for each in found["metadata"]["results"]] == ["pass", "violation"]
        assert found["metadata"]["results"][1]["detection_type"] == kind
        passed = (await run(up, shield, "Good morning.")).json()["violation"]
        assert passed["violation_level"] == "info", "a remark of the package: it was verified"
    paths = {each.path for each in detectors.asked}
    assert paths == {"/api/v1/text/contents", "/api/v2/text/detection/content", "/api/v2/text/detection/chat"}
    assert {each.headers["authorization"] for each in detectors.asked if "/content" in each.path[-8:]} <= {
        "Bearer sk-detector"
    }


async def test_what_is_said_in_parts_is_read_as_text(both: tuple[Responding, Detectors]) -> None:
    up, _ = both
    parts = [{"type": "text", "text": "Please"}, {"type": "text", "text": MAIL}]
    body = {"shield_id": "both", "messages": [{"role": "user", "content": parts}]}
    found = (await up.http.post("/v1/safety/run-shield", json=body)).json()["violation"]
    assert found["metadata"]["results"][0]["detection_type"] == "pii"


async def test_moderations_by_the_openai_client(both: tuple[Responding, Detectors]) -> None:
    up, _ = both
    made = await up.openai.moderations.create(input=["Good morning.", INSULT], model="both")
    assert [each.flagged for each in made.results] == [False, True]
    assert (made.results[1].categories.model_extra or {})["toxicity"] is True
    assert made.model == "both"


async def test_it_is_listed_with_its_shields_and_without_its_secret(both: tuple[Responding, Detectors]) -> None:
    up, _ = both
    assert [each["identifier"] for each in (await up.http.get("/v1/shields")).json()["data"]] == SHIELDS
    listed = (await up.http.get("/v1/providers/fms")).json()
    assert listed["health"]["status"] == "Not Implemented"
    assert listed["provider_type"] == "remote::trustyai_fms"
    assert "sk-detector" not in str(listed)


GUARD = {"guards": [{"shields": ["both"], "apis": ["chat", "responses"], "check": ["input", "output"]}]}


async def test_guards_on_chat_and_responses(tmp_path: Path) -> None:
    with Detectors() as detectors:
        async with guarded(tmp_path, detectors, safety=GUARD) as up:
            up.upstream.reply(text("Good morning to you."))
            ask: Any = [{"role": "user", "content": "Good morning."}]
            fine = await up.openai.chat.completions.create(model=MODEL, messages=ask)
            assert fine.choices[0].message.content == "Good morning to you."
            ask = [{"role": "user", "content": INSULT}]
            asked = len(up.upstream.requests)
            with pytest.raises(openai.BadRequestError, match="violation detected by shield both"):
                await up.openai.chat.completions.create(model=MODEL, messages=ask)
            assert len(up.upstream.requests) == asked, "the model never sees it"
            up.upstream.reply(text(f"Then {MAIL}."))
            ask = [{"role": "user", "content": "How do I reach you?"}]
            hidden = await up.openai.chat.completions.create(model=MODEL, messages=ask)
            assert hidden.choices[0].finish_reason == "content_filter"
            assert EMAIL not in hidden.model_dump_json()
            up.upstream.reply(text("Fine."))
            passed = await up.openai.responses.create(model=MODEL, input="Good morning.")
            assert passed.output_text == "Fine."
            refused = await up.openai.responses.create(model=MODEL, input=INSULT)
            assert ABUSE not in refused.output_text
            assert any(part.type == "refusal" for item in refused.output for part in item.content)  # type: ignore


@pytest.mark.parametrize("status", [500, 401, 422])
async def test_a_service_that_fails_lets_nothing_pass(both: tuple[Responding, Detectors], status: int) -> None:
    """The package itself takes messages that it could not judge for passed ones."""
    up, detectors = both
    detectors.failing = status
    for shield in SHIELDS:
        failed = await run(up, shield, "Good morning.")
        assert failed.status_code == 502, failed.text
        assert "could not judge" in failed.json()["error"]["message"]
    with pytest.raises(openai.APIStatusError, match="could not judge"):
        await up.openai.moderations.create(input="Good morning.", model="both")


async def test_a_service_that_is_gone_lets_nothing_pass(tmp_path: Path) -> None:
    detectors = Detectors()
    with detectors:
        pass
    async with guarded(tmp_path, detectors, safety=GUARD) as up:
        assert (await run(up, "both", "Good morning.")).status_code == 502
        with pytest.raises(openai.APIStatusError, match="could not judge"):
            await up.openai.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello"}])
        assert up.upstream.requests == []
        assert (await up.http.get("/v1/models")).status_code == 200


WRONG = {
    "no-url": ({"shields": {"email": {"type": "content"}}}, "URL provided for detector email"),
    "misspelt": ({"shields": {"email": {"detectr_url": "http://127.0.0.1"}}}, "detectr_url"),
    "not-a-table": ({"shields": []}, "shields"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_wrong_config_is_named_at_check_and_at_start(tmp_path: Path, wrong: str) -> None:
    config, complaint = WRONG[wrong]
    said = {
        "distro_name": "t",
        "providers": {"safety": [{**entry("http://127.0.0.1"), "config": config}]},
    }
    places = {"environ": {"SQLITE_STORE_DIR": str(tmp_path)}, "home": tmp_path}
    loaded = RunConfig.model_validate(said, context=places)
    (found,) = check_providers(loaded, Catalog.of(loaded), Problem)
    assert complaint in str(found)
    async with Stack.open(loaded, state_dir=tmp_path) as stack:
        (problem,) = stack.problems
        assert complaint in problem.message
        (listed,) = (await stack.services.admin.list_providers()).data
        assert complaint in (listed.health.message or "")
        assert (await stack.services.models.list_models(Call())).data == []
