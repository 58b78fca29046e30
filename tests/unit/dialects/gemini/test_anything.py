"""Whatever an upstream sends becomes a completion, chunks or an error of ours, and nothing else."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llama_stack.dialects.anthropic.to_messages import messages_request
from llama_stack.dialects.gemini.chunks import GeminiChunks
from llama_stack.dialects.gemini.errors import error_of_event, error_of_reply
from llama_stack.dialects.gemini.from_gemini import completion_of
from llama_stack_api.errors import LlamaStackError
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionChunk

MEMBERS = [
    *("candidates", "content", "parts", "text", "thought", "thoughtSignature", "functionCall", "name", "args", "id"),
    *("inlineData", "mimeType", "data", "index", "finishReason", "finishMessage", "groundingMetadata", "code"),
    *("groundingChunks", "groundingSupports", "groundingChunkIndices", "segment", "startIndex", "endIndex", "web"),
    *("uri", "logprobsResult", "chosenCandidates", "topCandidates", "token", "logProbability", "usageMetadata"),
    *("promptTokenCount", "promptTokensDetails", "modality", "tokenCount", "promptFeedback", "blockReason", "error"),
    *("message", "details", "reason", "retryDelay", "modelVersion", "executableCode", "codeExecutionResult", "output"),
]
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "STOP", "SAFETY", "MALFORMED_FUNCTION_CALL", "a", "ß", "3s", "AUDIO"])
)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=5),
    max_leaves=25,
)
candidates = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "content": st.fixed_dictionaries({"parts": st.lists(anything, max_size=4)}) | anything,
            **dict.fromkeys(("index", "finishReason", "groundingMetadata", "logprobsResult"), anything),
        },
    )
    | anything,
    max_size=3,
)
replies = st.fixed_dictionaries(
    {},
    optional={
        "candidates": candidates | anything,
        "usageMetadata": anything,
        "responseId": anything,
        "error": anything,
    },
)


@settings(max_examples=40, deadline=None)
@given(reply=replies)
def test_a_reply(reply: dict[str, Any]) -> None:
    error = error_of_event(reply, "g")
    assert error is None or isinstance(error, LlamaStackError)
    ChatCompletion.model_validate_json(json.dumps(completion_of(reply, model="m", created=1)))


@settings(max_examples=40, deadline=None)
@given(events=st.lists(replies, max_size=4), one_call=st.booleans())
def test_a_stream(events: list[dict[str, Any]], one_call: bool) -> None:
    maker = GeminiChunks(model="m", created=1, include_usage=True, one_call=one_call)
    chunks = [chunk for event in events for chunk in maker.feed(event)]
    for chunk in [*chunks, *maker.finish()]:
        ChatCompletionChunk.model_validate_json(json.dumps(chunk))


@settings(max_examples=40, deadline=None)
@given(status=st.sampled_from([200, 302, 400, 401, 404, 429, 500, 503, 599]), body=replies | anything)
def test_an_error(status: int, body: Any) -> None:
    for sent in (body, [body]):
        assert isinstance(error_of_reply(status, {}, json.dumps(sent).encode(), "g"), LlamaStackError)


def test_what_gemini_signed_does_not_go_to_claude() -> None:
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": signature} for signature in ("gemini:c2ln", "EqoBCkgI")
    ]
    said = {"role": "assistant", "content": "Yes.", "thinking_blocks": blocks}
    messages = [{"role": "user", "content": "?"}, said, {"role": "user", "content": "Sure?"}]
    sent = messages_request({"model": "claude-sonnet-5", "messages": messages}, max_tokens=9)["messages"][1]["content"]
    assert [block["signature"] for block in sent if block["type"] == "thinking"] == ["EqoBCkgI"]
