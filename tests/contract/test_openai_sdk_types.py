"""The `openai` package's own types accept what our replies serialise to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.pagination import SyncCursorPage
from openai.types import Completion as SDKCompletion
from openai.types import CreateEmbeddingResponse
from openai.types import Model as SDKModel
from openai.types import ModelDeleted as SDKModelDeleted
from openai.types.chat import ChatCompletion as SDKChatCompletion
from openai.types.chat import ChatCompletionChunk as SDKChunk
from openai.types.chat import ChatCompletionDeleted as SDKDeleted
from openai.types.chat import ChatCompletionStoreMessage
from pydantic import BaseModel, TypeAdapter

from llama_stack_api.openai import chat, completions, embeddings, errors, models, stored

USAGE = chat.CompletionUsage(
    prompt_tokens=3, completion_tokens=2, total_tokens=5,
    completion_tokens_details=chat.CompletionTokensDetails(reasoning_tokens=1),
    prompt_tokens_details=chat.PromptTokensDetails(cached_tokens=1),
)  # fmt: skip
LOGPROBS = chat.ChoiceLogprobs(
    content=[
        chat.TokenLogprob(
            token="a", logprob=-0.1, bytes=[97], top_logprobs=[chat.TopLogprob(token="a", logprob=-0.1, bytes=[97])]
        )
    ]
)
MESSAGE: dict[str, Any] = {
    "content": "See this.",
    "annotations": [
        chat.Annotation(url_citation=chat.URLCitation(start_index=0, end_index=3, url="http://a", title="A"))
    ],
    "tool_calls": [
        chat.FunctionToolCall(id="1", function=chat.FunctionCall(name="f", arguments="{}")),
        {"id": "2", "type": "custom", "custom": {"name": "c", "input": "x"}},
    ],
    "audio": chat.ChatCompletionAudio(id="a", expires_at=1, data="AA==", transcript="hi"),
}
COMPLETION: dict[str, Any] = {
    "id": "c1", "created": 1, "model": "p/m", "usage": USAGE, "service_tier": "default", "metadata": {"k": "v"},
    "choices": [
        chat.Choice(index=0, finish_reason="stop", logprobs=LOGPROBS, message=chat.ChatCompletionMessage(**MESSAGE))
    ],
}  # fmt: skip

REPLIES: list[tuple[BaseModel, Any]] = [
    (chat.ChatCompletion(**COMPLETION), SDKChatCompletion),
    (chat.ChatCompletion(id="c", created=1, model="m", choices=[]), SDKChatCompletion),
    (stored.StoredChatCompletion(**COMPLETION, input_messages=[chat.UserMessage(content="hi")]), SDKChatCompletion),
    (
        stored.ChatCompletionList(data=[stored.StoredChatCompletion(**COMPLETION)], first_id="c1", last_id="c1"),
        SyncCursorPage[SDKChatCompletion],
    ),
    (
        stored.ChatCompletionMessageList(
            data=[stored.StoredMessage(id="c1-0", content_parts=[chat.TextPart(text="x")], **MESSAGE)]
        ),
        SyncCursorPage[ChatCompletionStoreMessage],
    ),
    (stored.ChatCompletionDeleted(id="c1", deleted=True), SDKDeleted),
    (
        chat.ChatCompletionChunk(
            id="c1", created=1, model="m", usage=USAGE,
            choices=[
                chat.ChunkChoice(
                    index=0, finish_reason="tool_calls", logprobs=LOGPROBS,
                    delta=chat.Delta(
                        role="assistant", content="x",
                        tool_calls=[
                            chat.DeltaToolCall(
                                index=0, id="1", type="function",
                                function=chat.DeltaFunctionCall(name="f", arguments="{"),
                            )
                        ],
                    ),
                )
            ],
        ),
        SDKChunk,
    ),
    (
        completions.Completion(
            id="t1", created=1, model="m", usage=USAGE,
            choices=[
                completions.CompletionChoice(
                    index=0, text="x", finish_reason="length",
                    logprobs=completions.CompletionLogprobs(
                        text_offset=[0], tokens=["x"], token_logprobs=[-1.0], top_logprobs=[{"x": -1.0}]
                    ),
                )
            ],
        ),
        SDKCompletion,
    ),
    (
        embeddings.EmbeddingsResponse(
            model="m", data=[embeddings.Embedding(index=0, embedding=[0.5, 1.0])],
            usage=embeddings.EmbeddingsUsage(prompt_tokens=1, total_tokens=1),
        ),
        CreateEmbeddingResponse,
    ),
    (models.Model(id="p/m", created=1, owned_by="p", provider_id="p", model_type="llm"), SDKModel),
    (models.ModelDeleted(id="p/m", deleted=True), SDKModelDeleted),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "sdk_type"), REPLIES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("options", [{}, {"exclude_none": True}, {"exclude_unset": True}], ids=str)
def test_reply_is_accepted(reply: BaseModel, sdk_type: Any, options: dict[str, Any]) -> None:
    sent = json.loads(reply.model_dump_json(**options))
    read = TypeAdapter(sdk_type).validate_python(sent)
    assert without_nulls(json.loads(read.model_dump_json(by_alias=True))) == without_nulls(sent)


def test_replies_made_in_python_hold_the_nulls_that_the_contract_requires() -> None:
    chunk = chat.ChatCompletionChunk(
        id="c", created=1, model="m", choices=[chat.ChunkChoice(index=0, delta=chat.Delta(content="x"))]
    )
    assert chunk.model_dump(exclude_unset=True) == {
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}],
    }  # fmt: skip
    choice = chat.Choice(index=0, finish_reason="stop", message=chat.ChatCompletionMessage(content="x"))
    assert choice.model_dump(exclude_unset=True) == {
        "index": 0, "finish_reason": "stop", "logprobs": None,
        "message": {"role": "assistant", "content": "x", "refusal": None},
    }  # fmt: skip
    error = errors.ErrorResponse(error=errors.Error(message="No.", type="server_error"))
    assert error.model_dump(exclude_unset=True) == {
        "error": {"message": "No.", "type": "server_error", "param": None, "code": None}
    }


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value
