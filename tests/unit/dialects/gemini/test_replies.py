"""What becomes of a reply's parts, its end and its counts."""

from __future__ import annotations

from typing import Any

import pytest

from llama_stack.dialects.gemini.from_gemini import completion_of
from llama_stack.dialects.gemini.signatures import PREFIX
from tests.support.gemini_upstream import call, thought


def completed(*parts: Any, **members: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP", **members}
    reply = {"candidates": [candidate], "responseId": "r-1", "modelVersion": "gemini-3-pro"}
    return completion_of(reply, model="m", created=7)


def message(*parts: Any, **members: Any) -> dict[str, Any]:
    said: dict[str, Any] = completed(*parts, **members)["choices"][0]["message"]
    return said


def test_head() -> None:
    made = completed({"text": "Hi"})
    assert (made["id"], made["model"], made["created"]) == ("chatcmpl-r-1", "gemini-3-pro", 7)
    assert completion_of({"candidates": []}, model="m", created=7)["model"] == "m"


def test_thoughts_and_signatures() -> None:
    said = message(thought("One. "), thought("Two."), {"text": "Hi"}, {"text": "", "thoughtSignature": "c2ln"})
    assert (said["content"], said["reasoning_content"]) == ("Hi", "One. Two.")
    assert said["thinking_blocks"] == [{"type": "thinking", "thinking": "One. Two.", "signature": PREFIX + "c2ln"}]


def test_a_call_keeps_its_signature() -> None:
    said = message({**call("f", {"a": [1, None]}, "c1"), "thoughtSignature": "c2ln"}, call("g", {}, "c2"))
    first, second = said["tool_calls"]
    assert first["function"] == {"name": "f", "arguments": '{"a":[1,null]}'}
    assert first["extra_content"] == {"google": {"thought_signature": "c2ln"}}
    assert "extra_content" not in second
    assert said["thinking_blocks"] == [{"type": "thinking", "thinking": "", "signature": "gemini:c2ln"}]
    assert said["content"] is None


def test_images_and_code_that_google_ran() -> None:
    said = message(
        {"executableCode": {"language": "PYTHON", "code": "print(1)\n"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
    )
    assert said["content"] == "\n```python\nprint(1)\n```\n\n```\n1\n```\n"
    assert said["images"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]


@pytest.mark.parametrize(
    ("reason", "finish", "native"),
    [
        ("STOP", "stop", None),
        ("MAX_TOKENS", "length", None),
        ("SAFETY", "content_filter", "SAFETY"),
        ("RECITATION", "content_filter", "RECITATION"),
        ("PROHIBITED_CONTENT", "content_filter", "PROHIBITED_CONTENT"),
        ("OTHER", "stop", "OTHER"),
        ("NEW_AND_UNKNOWN", "stop", "NEW_AND_UNKNOWN"),
    ],
)
def test_why_it_ended(reason: str, finish: str, native: str | None) -> None:
    choice = completed({"text": "x"}, finishReason=reason)["choices"][0]
    assert (choice["finish_reason"], choice.get("native_finish_reason")) == (finish, native)


def test_usage() -> None:
    metadata = {
        "promptTokenCount": 10,
        "toolUsePromptTokenCount": 4,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 20,
        "cachedContentTokenCount": 8,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 6}, {"modality": "AUDIO", "tokenCount": 4}],
    }
    assert completion_of({"candidates": [], "usageMetadata": metadata}, model="m", created=1)["usage"] == {
        "prompt_tokens": 14,
        "completion_tokens": 23,
        "total_tokens": 37,
        "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 20},
    }


def test_what_an_answer_rests_on() -> None:
    elsewhere = {"startIndex": 60, "endIndex": 68, "text": "größer"}  # counted within another part
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}, {"retrievedContext": {}}],
        "groundingSupports": [
            {"segment": {"startIndex": 4, "endIndex": 12, "text": "größer"}, "groundingChunkIndices": [0, 1, 9]},
            {"segment": elsewhere, "groundingChunkIndices": [0]},
        ],
    }
    said = message({"text": "Öl "}, {"text": "größer"}, groundingMetadata=grounding)
    cited = [each["url_citation"] for each in said["annotations"]]
    assert cited == [{"start_index": 3, "end_index": 9, "url": "https://a.example", "title": "A"}] * 2
    assert said["content"][3:9] == "größer"


def test_logprobs() -> None:
    result = {
        "chosenCandidates": [{"token": "Hi", "logProbability": -0.1}, {"token": "ß", "logProbability": -2}],
        "topCandidates": [{"candidates": [{"token": "Hi", "logProbability": -0.1}, {"token": "Ho"}]}],
    }
    logprobs = completed({"text": "Hiß"}, logprobsResult=result)["choices"][0]["logprobs"]
    assert [(token["token"], token["logprob"]) for token in logprobs["content"]] == [("Hi", -0.1), ("ß", -2)]
    assert [len(token["top_logprobs"]) for token in logprobs["content"]] == [2, 0]
    assert logprobs["content"][1]["bytes"] == [195, 159]
