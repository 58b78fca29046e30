"""What becomes of a request's messages and of how much a model is to think."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack.dialects.gemini.signatures import DUMMY
from llama_stack.dialects.gemini.to_gemini import gemini_request
from llama_stack_api.errors import InvalidRequest, UnsupportedParameter

NEW, OLD = "gemini-3-flash", "gemini-2.5-flash"
USER = {"role": "user", "content": "?"}


def contents(*messages: Any, model: str = NEW) -> Any:
    return gemini_request({"model": model, "messages": [USER, *messages]})["contents"][1:]


def asked(identifier: str = "c1", **members: Any) -> dict[str, Any]:
    function = {"name": "f", "arguments": "{}"}
    return {
        "role": "assistant",
        "tool_calls": [{"id": identifier, "type": "function", "function": function, **members}],
    }


def result(content: Any, identifier: str = "c1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": identifier, "content": content}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AA=="}},
            {"inlineData": {"mimeType": "image/jpeg", "data": "AA=="}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "gs://b/a.png"}},
            {"fileData": {"fileUri": "gs://b/a.png", "mimeType": "image/png"}},
        ),
        (
            {"type": "video_url", "video_url": {"url": "https://www.youtube.com/watch?v=1"}},
            {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1", "mimeType": "video/*"}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
            {"inlineData": {"mimeType": "audio/mp3", "data": "AA=="}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}},
            {"inlineData": {"mimeType": "application/pdf", "data": "AA=="}},
        ),
        (
            {"type": "file", "file": {"file_data": "AA==", "filename": "a.txt"}},
            {"inlineData": {"mimeType": "text/plain", "data": "AA=="}},
        ),
        (
            {"type": "file", "file": {"file_id": "files/abc", "filename": "a.pdf"}},
            {
                "fileData": {
                    "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
                    "mimeType": "application/pdf",
                }
            },
        ),
    ],
)
def test_parts(part: dict[str, Any], expected: dict[str, Any]) -> None:
    made = gemini_request({"model": NEW, "messages": [{"role": "user", "content": [part]}]})
    assert made["contents"] == [{"role": "user", "parts": [expected]}]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"file_id": "file-123"}},
        {"type": "input_smell", "input_smell": {}},
    ],
)
def test_parts_that_no_model_takes(part: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        gemini_request({"model": NEW, "messages": [{"role": "user", "content": [part]}]})
    assert refused.value.param == "messages"


def test_a_call_without_a_known_signature_gets_the_dummy_where_one_is_needed() -> None:
    (model, _) = contents(asked(), result("r"))
    assert model["parts"] == [{"functionCall": {"name": "f", "args": {}, "id": "c1"}, "thoughtSignature": DUMMY}]
    (model, answered) = contents(asked(), result("r"), model=OLD)
    assert model["parts"] == [{"functionCall": {"name": "f", "args": {}}}]
    assert answered["parts"] == [{"functionResponse": {"name": "f", "response": {"output": "r"}}}]


def test_signatures_of_other_models_stay_away() -> None:
    block = {"type": "thinking", "thinking": "t", "signature": "EqoBCkgIARABGAIiQ"}
    (model, _) = contents({**asked(), "thinking_blocks": [block]}, result("r"))
    assert model["parts"][0]["thoughtSignature"] == DUMMY


def test_the_place_that_a_call_says_goes_first() -> None:
    google: dict[str, Any] = {"extra_content": {"google": {"thought_signature": "bXk="}}}
    blocks = [{"type": "thinking", "thinking": "", "signature": f"gemini:{name}"} for name in ("dGV4dA==", "bXk=")]
    (model, _) = contents({**asked(**google), "content": "So:", "thinking_blocks": blocks}, result("r"))
    assert [part["thoughtSignature"] for part in model["parts"]] == ["dGV4dA==", "bXk="]


def test_an_answer_in_several_messages_is_one() -> None:
    block = {"type": "thinking", "thinking": "", "signature": "gemini:c2ln"}
    said = {"role": "assistant", "content": "I ask.", "thinking_blocks": [block]}
    model, answered = contents(said, asked("a"), asked("b"), result("2", "b"), result("1", "a"))
    assert [set(part) - {"thoughtSignature"} for part in model["parts"]] == [
        {"text"},
        {"functionCall"},
        {"functionCall"},
    ]
    assert model["parts"][1]["thoughtSignature"] == "c2ln"
    assert [part["functionResponse"]["id"] for part in answered["parts"]] == ["a", "b"]


def test_an_answer_of_nothing_but_a_thought_keeps_its_signature() -> None:
    block = {"type": "thinking", "thinking": "", "signature": "gemini:c2ln"}
    (model,) = contents({"role": "assistant", "content": "", "thinking_blocks": [block]})
    assert model["parts"] == [{"text": "", "thoughtSignature": "c2ln"}]


def test_images_in_results() -> None:
    shown = [
        {"type": "text", "text": "See:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    blob = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    _, answered = contents(asked(), result(shown))
    assert answered["parts"][0]["functionResponse"]["parts"] == [blob]
    _, answered, behind = contents(asked(), result(shown), model=OLD)
    assert answered["parts"][0]["functionResponse"]["response"] == {"output": "See:"}
    assert behind == {"role": "user", "parts": [blob]}


def test_a_result_of_no_call_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'zz' answers no call"):
        contents(asked(), result("r", "zz"))


def test_arguments_that_are_broken_are_mended() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": "b'}}
    (model,) = contents({"role": "assistant", "tool_calls": [call]}, model=OLD)
    assert model["parts"][0]["functionCall"]["args"] == {"a": "b"}


def test_instructions_alone_are_the_users_words() -> None:
    made = gemini_request({"model": NEW, "messages": [{"role": "system", "content": "Greet."}]})
    assert made == {"contents": [{"role": "user", "parts": [{"text": "Greet."}]}]}


LEVELS = {"none": "minimal", "minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "max": "high"}
BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "max": 24576}


@pytest.mark.parametrize(
    ("model", "name", "expected"),
    [
        ("gemini-3-flash-preview", "thinkingLevel", LEVELS),
        ("gemini-flash-latest", "thinkingLevel", LEVELS),
        ("gemini-3-pro-preview", "thinkingLevel", {**LEVELS, "none": "low", "minimal": "low", "medium": "high"}),
        ("publishers/google/models/gemini-3.1-pro", "thinkingLevel", {**LEVELS, "none": "low", "minimal": "low"}),
        ("gemini-2.5-flash-lite", "thinkingBudget", BUDGETS),
        ("models/gemini-2.5-pro-001", "thinkingBudget", {**BUDGETS, "none": 128, "max": 32768}),
    ],
)
def test_effort_by_generation(model: str, name: str, expected: dict[str, Any]) -> None:
    for effort, value in expected.items():
        made = gemini_request({"model": model, "messages": [USER], "reasoning_effort": effort})
        thoughts = {} if effort == "none" else {"includeThoughts": True}
        assert made["generationConfig"]["thinkingConfig"] == {name: value, **thoughts}, effort


@pytest.mark.parametrize("model", ["gemini-2.0-flash-001", "gemini-1.5-pro", "gemma-3-27b-it"])
def test_a_model_that_does_not_reason_says_so(model: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        gemini_request({"model": model, "messages": [USER], "reasoning_effort": "low"})
    assert refused.value.param == "reasoning_effort"
    assert "generationConfig" not in gemini_request({"model": model, "messages": [USER], "reasoning_effort": "none"})
