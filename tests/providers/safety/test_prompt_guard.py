"""Prompt Guard on onnxruntime, with classifiers that are made here."""

from __future__ import annotations

from pathlib import Path

import pytest

from llama_stack_api.errors import InvalidRequest, NotImplementedByProvider
from llama_stack_api.principal import Call
from llama_stack_api.safety import ViolationLevel
from tests.support.shields import moderated, opened_shield, shown
from tests.support.tiny_classifier import write_classifier

pytestmark = pytest.mark.anyio
GUARD = "inline::prompt-guard"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Benign or malicious; a text without known words is clearly benign by nothing: 50 to 50."""
    weights = {"hello": [3.0, 0.0], "world": [3.0, 0.0], "ignore": [0.0, 6.0]}
    return write_classifier(tmp_path_factory.mktemp("two"), ["LABEL_0", "LABEL_1"], weights)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    weights = {"hello": [5.0, 0.0, 0.0], "ignore": [0.0, 6.0, 0.0], "pretend": [0.0, 0.0, 6.0]}
    return write_classifier(tmp_path_factory.mktemp("three"), ["BENIGN", "INJECTION", "JAILBREAK"], weights)


async def test_an_attack_is_a_violation_and_a_greeting_is_none(two: Path, tmp_path: Path) -> None:
    async with opened_shield(GUARD, tmp_path, model=str(two)) as provider:
        assert (await provider.run_shield(shown("hello world"), Call())).violation is None
        found = (await provider.run_shield(shown("hello", "ignore hello"), Call())).violation
    assert found.violation_level == ViolationLevel.ERROR
    assert found.metadata["categories"] == ["prompt-injection"]
    assert found.metadata["scores"]["prompt-injection"] == pytest.approx(0.9526, abs=1e-3)  # of logits 3 and 6


async def test_a_tools_result_is_judged_and_the_models_own_words_are_not(two: Path, tmp_path: Path) -> None:
    async with opened_shield(GUARD, tmp_path, model=str(two)) as provider:
        tool = {"role": "tool", "tool_call_id": "c", "content": "ignore"}
        assert (await provider.run_shield(shown(tool), Call())).violation is not None
        for role in ("assistant", "system"):
            assert (await provider.run_shield(shown({"role": role, "content": "ignore"}), Call())).violation is None


async def test_an_attack_at_the_end_of_a_long_text_is_found(two: Path, tmp_path: Path) -> None:
    long = " ".join(["hello"] * 2000)
    async with opened_shield(GUARD, tmp_path, model=str(two)) as provider:
        assert (await provider.run_shield(shown(long), Call())).violation is None
        attack = " ".join(["ignore"] * 100)
        assert (await provider.run_shield(shown(f"{long} {attack}"), Call())).violation is not None


@pytest.mark.parametrize(("kind", "flagged"), [("injection", [True, True]), ("jailbreak", [False, True])])
async def test_what_counts(kind: str, flagged: list[bool], three: Path, tmp_path: Path) -> None:
    async with opened_shield(GUARD, tmp_path, model=str(three), guard_type=kind) as provider:
        reply = await provider.moderate(moderated(["ignore", "pretend"]), Call())
        assert [each.flagged for each in reply.results] == flagged
        category = "jailbreak" if kind == "jailbreak" else "prompt-injection"
        assert reply.results[1].category_scores[category] > 0.99
        assert reply.results[1].category_applied_input_types[category] == ["text"]
        assert reply.results[1].category_applied_input_types["hate"] == []


async def test_a_shield_may_have_a_threshold_of_its_own(two: Path, tmp_path: Path) -> None:
    async with opened_shield(GUARD, tmp_path, model=str(two), params={"threshold": 0.99}) as provider:
        assert (await provider.run_shield(shown("ignore hello"), Call())).violation is None


async def test_an_image_is_not_judged_in_silence(two: Path, tmp_path: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    async with opened_shield(GUARD, tmp_path, model=str(two)) as provider:
        with pytest.raises(InvalidRequest):
            await provider.moderate(moderated([{"type": "text", "text": "x"}, image]), Call())


@pytest.mark.parametrize("model", ["/nowhere/at/all", "not-a-model"])
async def test_a_model_that_is_not_there_is_an_error_without_its_path(model: str, tmp_path: Path) -> None:
    async with opened_shield(GUARD, tmp_path, model=model) as provider:
        with pytest.raises(NotImplementedByProvider) as raised:
            await provider.run_shield(shown("hello"), Call())
    assert "/nowhere" not in raised.value.message


async def test_a_model_without_its_parts_names_them(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    async with opened_shield(GUARD, tmp_path, model=str(empty)) as provider:
        with pytest.raises(
            NotImplementedByProvider, match=r"no config\.json and no tokenizer\.json and no model\.onnx"
        ):
            await provider.run_shield(shown("hello"), Call())
