"""The routes of the Messages API: what they hand down and send, and errors in Anthropic's shape at every stage."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from llama_stack.services.inference import Served
from llama_stack.services.messages.counting import Counted
from llama_stack_api.anthropic.messages import CountTokensRequest, CreateMessageRequest
from llama_stack_api.errors import (
    ContextLengthExceeded,
    LlamaStackError,
    ModelNotFound,
    NotImplementedByProvider,
    Overloaded,
    PermissionDenied,
    ProviderError,
    ProviderTimeout,
    ProviderUnreachable,
    RateLimited,
)
from llama_stack_api.principal import Call
from tests.support.edge import Waiting, client, edge

pytestmark = pytest.mark.anyio

MESSAGES = "/v1/messages"
ASKED: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "Hello"}],
}
SAID = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-6", "stop_reason": "end_turn",
    "stop_sequence": None, "content": [{"type": "text", "text": "Hi"}],
    "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip
SENT = json.dumps(SAID).encode()


class Speaking:
    """A service of messages that answers with `body`, or with what `body(params, call)` gives."""

    def __init__(self, body: Any = SENT, counted: Counted | None = None) -> None:
        self._body = body
        self._counted = counted
        self.asked: list[tuple[CountTokensRequest, Call]] = []

    async def create(self, params: CreateMessageRequest, call: Call) -> Served:
        self.asked.append((params, call))
        if isinstance(self._body, LlamaStackError):
            raise self._body
        body = self._body if isinstance(self._body, bytes) else await self._body(params, call)
        return Served(body, "somewhere", "somewhere/modèle\r\n")

    async def count_tokens(self, params: CountTokensRequest, call: Call) -> Counted:
        self.asked.append((params, call))
        assert self._counted is not None
        return self._counted


async def events(*then: bytes | LlamaStackError) -> AsyncGenerator[bytes, None]:
    for each in then:
        if isinstance(each, LlamaStackError):
            raise each
        yield each


def streaming(*then: bytes | LlamaStackError) -> Any:
    async def answer(params: Any, call: Call) -> AsyncGenerator[bytes, None]:
        return events(*then)

    return answer


START = b'event: message_start\ndata: {"type":"message_start","message":' + SENT + b"}\n\n"


async def test_a_request_goes_down_whole_and_a_message_comes_back(tmp_path: Path) -> None:
    speaking = Speaking()
    async with edge(tmp_path, messages=speaking) as (server, _), client(server) as http:
        asked = {**ASKED, "unknown": {"x": 1}}
        reply = await http.post(f"{MESSAGES}?beta=true", json=asked, headers={"anthropic-beta": "new-2027-01-01"})
        assert (reply.status_code, reply.json()) == (200, SAID)
        assert reply.headers["request-id"] == reply.headers["x-request-id"]
        assert reply.headers["x-llama-stack-provider"] == "somewhere"
        assert reply.headers["x-llama-stack-model"] == "somewhere/mod%C3%A8le%0D%0A", "a name can add no header"
        ((params, call),) = speaking.asked
        assert json.loads(params.model_dump_json(exclude_unset=True)) == asked
        assert call.forward_headers["anthropic-beta"] == "new-2027-01-01"


async def test_counts_say_whether_they_are_estimates(tmp_path: Path) -> None:
    for estimated, marked in ((False, None), (True, "estimated")):
        speaking = Speaking(counted=Counted(17, estimated=estimated))
        async with edge(tmp_path / str(estimated), messages=speaking) as (server, _), client(server) as http:
            del (asked := dict(ASKED))["max_tokens"]
            reply = await http.post(f"{MESSAGES}/count_tokens?beta=true", json=asked)
            assert (reply.status_code, reply.json()) == (200, {"input_tokens": 17})
            assert reply.headers.get("x-llama-stack-token-count") == marked


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (ModelNotFound("Nobody has it."), 404, "not_found_error"),
        (PermissionDenied("Not yours."), 403, "permission_error"),
        (RateLimited("Later.", retry_after_s=2.5), 429, "rate_limit_error"),
        (Overloaded("Full."), 529, "overloaded_error"),
        (ProviderUnreachable("Gone."), 502, "api_error"),
        (ProviderError("Busy.", upstream_status=529), 529, "overloaded_error"),
        (ProviderTimeout("Slow."), 504, "timeout_error"),
        (NotImplementedByProvider("Cannot."), 400, "invalid_request_error"),
        (ContextLengthExceeded("9 of 8."), 400, "invalid_request_error"),
    ],
)
async def test_errors_of_the_service(tmp_path: Path, error: LlamaStackError, status: int, kind: str) -> None:
    async with edge(tmp_path, messages=Speaking(error)) as (server, _), client(server) as http:
        reply = await http.post(MESSAGES, json=ASKED)
        body = reply.json()
        assert (reply.status_code, body["type"], body["error"]["type"]) == (status, "error", kind)
        assert error.message in body["error"]["message"]
        assert body["request_id"] == reply.headers["request-id"]
        assert reply.headers.get("retry-after") == (None if error.retry_after_s is None else "3")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not valid JSON"),
        (b"", "no body"),
        (b"[]", "must be a JSON object"),
        (json.dumps({**ASKED, "max_tokens": 0}).encode(), "max_tokens: "),
        (json.dumps({**ASKED, "messages": [{"role": "user"}]}).encode(), "messages[0].content: this field is required"),
        (b'{"messages":' + b"[" * 5000 + b"]" * 5000 + b"}", "server.limits.json_depth_max"),
    ],
)
async def test_what_is_wrong_with_a_request(tmp_path: Path, body: bytes, said: str) -> None:
    async with edge(tmp_path, messages=Speaking()) as (server, _), client(server) as http:
        for path in (MESSAGES, f"{MESSAGES}/count_tokens"):
            reply = await http.post(path, content=body, headers={"content-type": "application/json"})
            if b'"max_tokens": 0' in body and path != MESSAGES:
                continue
            assert (reply.status_code, reply.json()["error"]["type"]) == (400, "invalid_request_error")
            assert said in reply.json()["error"]["message"]


async def test_refusals_before_the_body_is_understood(tmp_path: Path) -> None:
    limits = {"limits": {"body_bytes_max": 1024}}
    async with edge(tmp_path, messages=Speaking(), server=limits) as (server, _), client(server) as http:
        large = await http.post(MESSAGES, json={**ASKED, "metadata": {"user_id": "x" * 2000}})
        assert (large.status_code, large.json()["error"]["type"]) == (413, "request_too_large")
        assert "server.limits.body_bytes_max" in large.json()["error"]["message"]
        text = await http.post(MESSAGES, content=b"hi", headers={"content-type": "text/plain"})
        assert (text.status_code, text.json()["error"]["type"]) == (415, "invalid_request_error")
        method = await http.get(MESSAGES)
        assert (method.status_code, method.headers["allow"]) == (405, "POST")
        assert method.json()["error"]["type"] == "invalid_request_error"


async def test_a_time_limit(tmp_path: Path) -> None:
    waiting = Waiting()
    limits = {"limits": {"request_timeout_s": 0.2}}
    async with edge(tmp_path, messages=Speaking(waiting), server=limits) as (server, _), client(server) as http:
        reply = await http.post(MESSAGES, json=ASKED)
        assert (reply.status_code, reply.json()["error"]["type"]) == (504, "timeout_error")
        await waiting.cancelled.wait()


async def test_what_nobody_expected_is_no_ones_business(tmp_path: Path) -> None:
    async def broken(params: Any, call: Call) -> bytes:
        raise RuntimeError("secret")

    async with edge(tmp_path, messages=Speaking(broken)) as (server, _), client(server) as http:
        reply = await http.post(MESSAGES, json=ASKED)
        assert (reply.status_code, reply.json()["error"]["type"]) == (500, "api_error")
        assert "secret" not in reply.text


async def test_a_stream_that_breaks_ends_in_an_error_that_the_sdk_raises(tmp_path: Path) -> None:
    speaking = Speaking(streaming(START, Overloaded("Too much.")))
    async with edge(tmp_path, messages=speaking) as (server, _):
        async with client(server) as http:
            reply = await http.post(MESSAGES, json={**ASKED, "stream": True})
            start, last, end = reply.text.split("\n\n")
            assert start.startswith("event: message_start\n")
            assert end == ""
            name, data = last.split("\n")
            assert name == "event: error"
            told = json.loads(data.removeprefix("data: "))
            assert told == {
                "type": "error",
                "error": {"type": "overloaded_error", "message": "Too much."},
                "request_id": reply.headers["request-id"],
            }
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0) as sdk:
            with pytest.raises(anthropic.APIStatusError) as raised:
                async with sdk.messages.stream(**ASKED) as stream:
                    await stream.get_final_message()
            assert raised.value.type == "overloaded_error"


async def test_a_stream_that_cannot_begin_has_a_status(tmp_path: Path) -> None:
    speaking = Speaking(streaming(RateLimited("Later.", retry_after_s=1)))
    async with edge(tmp_path, messages=speaking) as (server, _), client(server) as http:
        reply = await http.post(MESSAGES, json={**ASKED, "stream": True})
        assert (reply.status_code, reply.json()["error"]["type"]) == (429, "rate_limit_error")


async def test_the_document_states_anthropics_errors(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        document = (await http.get("/openapi.json")).json()
        for path in (MESSAGES, f"{MESSAGES}/count_tokens"):
            refused = document["paths"][path]["post"]["responses"]["4XX"]["content"]["application/json"]["schema"]
            name = refused["$ref"].rpartition("/")[2]
            assert set(document["components"]["schemas"][name]["properties"]) == {"type", "error", "request_id"}
        stream = document["paths"][MESSAGES]["post"]["responses"]["200"]["content"]
        assert set(stream) == {"application/json", "text/event-stream"}
