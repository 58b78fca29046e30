"""Shields and moderations by the unmodified `openai` client and plain HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from llama_stack_api.openai.moderations import CATEGORIES
from tests.support.guarding import guarding
from tests.support.responding import Responding
from tests.support.upstream import text

pytestmark = pytest.mark.anyio


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Responding]:
    async with guarding(tmp_path, safety={"default_shield_id": "words"}) as up:
        yield up


async def test_each_text_is_judged_by_itself(up: Responding) -> None:
    made = await up.openai.moderations.create(input=["Hello", "Build a bomb"], model="omni-moderation-latest")
    assert made.id.startswith("modr-")
    assert made.model == "words"
    fine, bad = made.results
    assert not fine.flagged
    assert not any(fine.categories.model_dump(by_alias=True).values())
    assert bad.flagged
    assert bad.categories.violence
    assert bad.category_scores.violence == 0.9
    assert bad.category_applied_input_types.violence == ["text"]
    assert not bad.categories.hate
    assert (bad.categories.model_extra or {})["words"] is True
    assert set(CATEGORIES) <= bad.categories.model_dump(by_alias=True).keys()


async def test_texts_and_images_together(up: Responding) -> None:
    parts: Any = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,bomb"}},
    ]
    [result] = (await up.openai.moderations.create(input=parts)).results
    assert result.flagged, "the shield was shown the image"
    assert result.category_applied_input_types.violence == ["text", "image"]


async def test_a_provider_that_moderates_answers_itself(up: Responding) -> None:
    for name in ("scores", "vendor/scores-1"):
        made = await up.openai.moderations.create(input=["I hate you", "Hello"], model=name)
        assert [result.flagged for result in made.results] == [True, False]
        assert [result.category_scores.hate for result in made.results] == [0.8, 0.1]
        assert made.model == "scores"
        assert made.id != "theirs"


async def test_a_shield_asks_a_model_of_the_server(up: Responding) -> None:
    up.upstream.reply(text("yes"), text("never"))
    assert not (await up.openai.moderations.create(input="Hello", model="asking")).results[0].flagged
    assert (await up.openai.moderations.create(input="Hello", model="asking")).results[0].flagged
    assert up.said() == [("user", "Fine? Hello")]


async def test_what_was_not_judged_is_an_error(up: Responding) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        await up.openai.moderations.create(input=["fine", "an outage"])
    assert raised.value.status_code == 502
    with pytest.raises(openai.APIStatusError, match="2 inputs"):
        await up.openai.moderations.create(input=["one too few", "fine"], model="scores")


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": "x", "model": "nobody"}, 404, "model"),
        ({"input": []}, 400, "input"),
        ({"input": ["x"] * 1025}, 400, "input"),
        ({"input": "x" * 1_000_001}, 400, "input"),
        ({"model": "words"}, 400, "input"),
    ],
)
async def test_what_is_refused(up: Responding, body: dict[str, Any], status: int, param: str) -> None:
    refused = await up.http.post("/v1/moderations", json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (status, param)


async def test_without_a_default_the_shield_must_be_named(tmp_path: Path) -> None:
    async with guarding(tmp_path) as up:
        with pytest.raises(openai.BadRequestError, match=r"safety\.default_shield_id.*words, remark"):
            await up.openai.moderations.create(input="x")
        assert not (await up.openai.moderations.create(input="x", model="words")).results[0].flagged


async def test_shields_are_listed_and_shown_and_not_changed(up: Responding) -> None:
    listed = (await up.http.get("/v1/shields")).json()["data"]
    assert [shield["identifier"] for shield in listed] == ["words", "remark", "plain", "scores", "asking"]
    shown = (await up.http.get("/v1/shields/scores")).json()
    assert shown["type"] == "shield"
    assert (shown["provider_id"], shown["provider_resource_id"]) == ("scores", "vendor/scores-1")
    assert (await up.http.get("/v1/shields/a/b")).status_code == 404
    refused = await up.http.delete("/v1/shields/words")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
    assert "registered_resources.shields" in refused.json()["error"]["message"]
    assert (await up.http.delete("/v1/shields/nobody")).status_code == 404
    assert (await up.http.post("/v1/shields", json={"shield_id": "new"})).status_code == 405


async def test_a_shield_is_run_and_its_remarks_are_shown(up: Responding) -> None:
    async def ran(shield: str, said: str) -> Any:
        body = {"shield_id": shield, "messages": [{"role": "user", "content": said}]}
        return (await up.http.post("/v1/safety/run-shield", json=body)).json()

    assert (await ran("words", "Hello"))["violation"] is None
    assert (await ran("words", "A bomb"))["violation"]["violation_level"] == "error"
    remark = (await ran("remark", "A bomb"))["violation"]
    assert (remark["violation_level"], remark["metadata"]["scores"]) == ("warn", {"violence": 0.9})
    assert not (await up.openai.moderations.create(input="A bomb", model="remark")).results[0].flagged
    by_scores = (await ran("scores", "I hate this"))["violation"]
    assert by_scores["metadata"]["categories"] == ["hate"]
    assert (await ran("nobody", "x"))["error"]["code"] == "not_found"
