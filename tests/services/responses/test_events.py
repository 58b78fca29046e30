"""A run's events as server-sent events, and a failure as the error that it would have been without a run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec
import pytest

from llama_stack.agent.tools.errors import DefinitionChanged
from llama_stack.mcp.errors import McpHTTPError
from llama_stack.runs.errors import StepInterrupted
from llama_stack.runs.model import Event, RunError
from llama_stack.services.responses.events import KEEP_ALIVE, blocks_of, type_of
from llama_stack.services.responses.failures import failure_of
from llama_stack.services.responses.token_estimate import estimate_tokens
from llama_stack_api.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    LlamaStackError,
    ModelNotFound,
    NotImplementedByProvider,
    ProviderError,
    ProviderTimeout,
    RateLimited,
)

pytestmark = pytest.mark.anyio


def test_the_type_is_found_wherever_it_stands() -> None:
    assert type_of(b'{"type":"response.created","sequence_number":0}') == b"response.created"
    assert type_of(msgspec.json.encode({"sequence_number": 0, "type": "error"})) == b"error"
    assert (
        type_of(b'{"item":{"type":"message"}, "type" : "response.output_item.added"}') == b"response.output_item.added"
    )


async def test_batches_become_blocks_and_silence_a_comment() -> None:
    closed = []

    async def batches() -> AsyncGenerator[Sequence[Event], None]:
        try:
            yield [Event(0, b'{"type":"a"}'), Event(1, b'{"type":"b"}')]
            yield ()
            yield [Event(2, b'{"type":"c"}')]
        finally:
            closed.append(True)

    blocks = blocks_of(batches())
    assert await anext(blocks) == b'event: a\ndata: {"type":"a"}\n\nevent: b\ndata: {"type":"b"}\n\n'
    assert await anext(blocks) == KEEP_ALIVE
    assert not closed
    await blocks.aclose()
    assert closed


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RateLimited("It broke."), RateLimited),
        (ContextLengthExceeded("It broke."), ContextLengthExceeded),
        (InvalidRequest("It broke.", code="invalid_image_url", param="input"), InvalidRequest),
        (InvalidRequest("It broke.", code="whatever_an_upstream_says"), InvalidRequest),
        (ModelNotFound("It broke.", param="model"), ModelNotFound),
        (ProviderError("It broke."), ProviderError),
        (ProviderTimeout("It broke."), ProviderTimeout),
        (NotImplementedByProvider("It broke."), NotImplementedByProvider),
        (LlamaStackError("It broke."), LlamaStackError),
    ],
)
def test_a_failure_without_output_is_the_error_that_it_was(error: LlamaStackError, kind: type[LlamaStackError]) -> None:
    journalled = msgspec.json.decode(msgspec.json.encode(RunError.of(error)), type=RunError)
    failure = failure_of({"status": "failed", "output": []}, journalled)
    assert failure is not None
    assert type(failure) is kind
    assert (failure.status, failure.code, failure.param) == (error.status, error.code, error.param)
    assert failure.message == "It broke."


def test_errors_that_are_made_otherwise_keep_status_and_code() -> None:
    for error in (DefinitionChanged("now", "digest"), McpHTTPError("It broke.", 418), StepInterrupted("tool:1")):
        failure = failure_of({"status": "failed", "output": []}, RunError.of(error))
        assert failure is not None
        assert (failure.status, failure.code, failure.message) == (error.status, error.code, error.message)


def test_a_failure_with_output_is_shown() -> None:
    response: dict[str, Any] = {"status": "failed", "output": [{"type": "message"}]}
    assert failure_of(response, RunError("server_error", "It broke.")) is None
    assert failure_of({"status": "incomplete", "output": []}, None) is None


def test_a_failure_may_be_told_by_the_response_alone() -> None:
    failed = {"status": "failed", "output": [], "error": {"code": "credentials_lost", "message": "Send them again."}}
    failure = failure_of(failed, None)
    assert failure is not None
    assert (failure.code, failure.message) == ("credentials_lost", "Send them again.")


def test_tokens_are_estimated_from_text_tools_and_images() -> None:
    text = {"role": "user", "content": "word " * 100}
    assert estimate_tokens({"messages": [text]}) == 104
    parts = [{"type": "text", "text": "word " * 100}, {"type": "image_url", "image_url": {"url": "data:" + "x" * 9999}}]
    assert estimate_tokens({"messages": [{"role": "user", "content": parts}]}) == 104 + 765
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert estimate_tokens({"messages": [text], "tools": tools}) > 110
