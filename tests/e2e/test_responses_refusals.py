"""What cannot be: status, code and param of its error are the same whether it is found at the door or by the run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.responding import MODEL, RESPONSES, Responding, responding
from tests.support.upstream import error, text

pytestmark = pytest.mark.anyio

TOOL = {"type": "function", "name": "get"}


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Responding]:
    async with responding(tmp_path) as up:
        yield up


@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize(
    ("asked", "status", "param", "code"),
    [
        ({"input": []}, 400, "input", "missing_required_parameter"),
        ({"max_infer_iters": 1000}, 400, "max_infer_iters", "invalid_value"),
        ({"tools": [TOOL], "tool_choice": "always"}, 400, "tool_choice", "invalid_value"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "put"}}, 400, "tool_choice", "invalid_value"),
        ({"tools": [TOOL], "tool_choice": {"type": "mcp", "server_label": "x"}}, 400, "tool_choice", "invalid_value"),
        ({"conversation": "conv_1"}, 404, "conversation", "not_found"),
    ],
)
async def test_mistakes_of_the_client_name_their_place(
    up: Responding, asked: dict[str, Any], status: int, param: str, code: str, store: bool
) -> None:
    reply = await up.http.post(RESPONSES, json={"model": MODEL, "input": "Hi", "store": store, **asked})
    refused = reply.json()["error"]
    assert (reply.status_code, refused["type"]) == (status, "invalid_request_error")
    assert (refused["param"], refused["code"]) == (param, code)


@pytest.mark.parametrize(
    ("upstream_says", "status", "code"),
    [
        (error(400, "No such thing.", code="whatever_it_says"), 400, "whatever_it_says"),
        (error(401, "Who are you?"), 502, "upstream_authentication_failed"),
        (error(429, "Slow down."), 429, "rate_limit_exceeded"),
        (error(500, "Broken."), 502, "upstream_error"),
    ],
)
async def test_the_upstreams_errors_are_those_of_a_chat(
    up: Responding, upstream_says: Any, status: int, code: str
) -> None:
    up.upstream.always(upstream_says, on="/chat/completions")
    chat = await up.http.post(
        "/v1/chat/completions", json={"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    )
    reply = await up.http.post(RESPONSES, json={"model": MODEL, "input": "Hi"})
    assert (chat.status_code, chat.json()["error"]["code"]) == (status, code)
    assert (reply.status_code, reply.json()["error"]) == (chat.status_code, chat.json()["error"])


@pytest.mark.parametrize(
    ("param", "ours"),
    [
        ("messages[0].content[1]", "input"),
        ("max_completion_tokens", "max_output_tokens"),
        ("response_format.json_schema.schema", "text.format.schema"),
        ("temperature", "temperature"),
    ],
)
async def test_what_is_to_blame_has_the_name_that_it_has_here(up: Responding, param: str, ours: str) -> None:
    up.upstream.reply(error(400, "Not that.", code="no", param=param))
    reply = await up.http.post(RESPONSES, json={"model": MODEL, "input": "Hi"})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, ours)


async def test_a_failure_is_the_same_to_those_who_ask_again(up: Responding) -> None:
    up.upstream.reply(error(400, "No such thing.", code="whatever_it_says"), text("Now it goes."))
    question = {"model": MODEL, "input": "Hi"}
    first, again = [await up.http.post(RESPONSES, json=question, headers={"Idempotency-Key": "once"}) for _ in range(2)]
    assert (first.status_code, again.status_code) == (400, 400)
    assert first.json() == again.json()


@pytest.mark.parametrize("path", ["/input_tokens", "/compact"])
@pytest.mark.parametrize("half", [rb'"\ud800"', rb'"\uDFFF"', rb'[{"role":"user","content":"a\ud83db"}]'])
async def test_half_a_surrogate_pair_is_no_text(up: Responding, path: str, half: bytes) -> None:
    body = b'{"model":"m","input":%s}' % half
    for where in (RESPONSES, RESPONSES + path):
        reply = await up.http.post(where, content=body, headers={"content-type": "application/json"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_json"), reply.text


async def test_whole_pairs_and_what_only_looks_like_one_are_text(up: Responding) -> None:
    body = rb'{"model":"m","input":"\ud83e\udd99 \\ud800"}'
    for where in (RESPONSES, RESPONSES + "/input_tokens"):
        reply = await up.http.post(where, content=body, headers={"content-type": "application/json"})
        assert reply.status_code == 200, reply.text
    assert up.said() == [("user", "\U0001f999 \\ud800")]


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity"])
async def test_no_number_is_refused_wherever_it_stands(up: Responding, number: bytes) -> None:
    body = b'{"model":"m","input":"Hi","my_own":%s}' % number
    for where in (RESPONSES, RESPONSES + "/input_tokens"):
        reply = await up.http.post(where, content=body, headers={"content-type": "application/json"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_json"), reply.text
