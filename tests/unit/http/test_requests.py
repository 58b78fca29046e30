"""What goes in: bodies, their limits, and the errors that bad ones get."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from llama_stack_api.errors import ModelNotFound
from tests.support.edge import CHAT, QUESTION, Waiting, client, edge, post, raw

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.anyio

USER = {"role": "user", "content": "a"}
TOOL = {"role": "tool", "content": "b"}
WRONG_PART = {"type": "text", "text": 3}
SMALL = {"limits": {"body_bytes_max": 4096, "json_depth_max": 8}}


def without_size(body: bytes) -> bytes:
    return zstd.compress(body, options={zstd.CompressionParameter.content_size_flag: 0})


def error_of(reply: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


async def test_a_request_is_parsed_and_answered(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, inference), client(server) as http:
        reply = await http.post(CHAT, json={**QUESTION, "unknown_field": [1]})
        assert (reply.status_code, reply.content) == (200, b'{"done":true}')
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-llama-stack-provider"] == "somewhere"
        assert int(reply.headers["openai-processing-ms"]) >= 0
        assert inference.params[0].model_dump(exclude_unset=True) == {**QUESTION, "unknown_field": [1]}


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1alpha/inference/rerank"]
)
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "has no body"),
        (b'{"model": "m",', "line 1 column"),
        (b'{"model": "\xff"}', "not valid JSON"),
        (b"\n\n nonsense", "line 3 column"),
    ],
)
async def test_what_is_not_json_is_told_where(tmp_path: Path, path: str, body: bytes, says: str) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        reply = await http.post(path, content=body, headers={"content-type": "application/json"})
        error = error_of(reply)
        assert (reply.status_code, error["type"], error["code"]) == (400, "invalid_request_error", "invalid_json")
        assert says in error["message"]


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"model": 5}, "model", "invalid_type"),
        ({"messages": None}, "messages", "invalid_type"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content", "invalid_type"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [USER, TOOL]}, "messages[1].tool_call_id", "missing_required_parameter"),
        ({"messages": [{**USER, "content": [WRONG_PART]}]}, "messages[0].content[0].text", "invalid_type"),
        ({"messages": [{"content": "a"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [{"role": "boss", "content": "a"}]}, "messages[0].role", "invalid_value"),
        ({"reasoning_effort": 5}, "reasoning_effort", "invalid_type"),
        ({"temperature": 9}, "temperature", "invalid_value"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "missing_required_parameter"),
    ],
)  # fmt: skip
async def test_a_wrong_value_is_named_as_openai_names_it(tmp_path: Path, change: Any, param: str, code: str) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        error = error_of(await http.post(CHAT, json={**QUESTION, **change}))
        assert (error["param"], error["code"]) == (param, code)
        assert error["message"].startswith(f"{param}: ")


@pytest.mark.parametrize("number", [b"1" * 5000, b"-" + b"1" * 400, b"1e999", b"NaN"])
async def test_numbers_that_no_number_is(tmp_path: Path, number: bytes) -> None:
    body = b'{"model": "m", "messages": [{"role": "user", "content": "a"}], "n": %s}' % number
    async with edge(tmp_path) as (server, _), client(server) as http:
        reply = await http.post(CHAT, content=body, headers={"content-type": "application/json"})
        assert reply.status_code == 400
        assert error_of(reply)["type"] == "invalid_request_error"


async def test_half_a_surrogate_pair_in_an_error_does_not_break_it(tmp_path: Path) -> None:
    async def fail(params: Any, call: Any) -> bytes:
        raise ModelNotFound("no model \ud83d", param="model")

    async with edge(tmp_path, fail) as (server, _), client(server) as http:
        reply = await http.post(CHAT, json=QUESTION)
        assert (reply.status_code, error_of(reply)["message"]) == (404, "no model \\ud83d")


async def test_a_body_that_is_no_object(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        bodies: list[Any] = [[], "text", 5, None]
        for body in bodies:
            reply = await http.post(CHAT, json=body, headers={"content-type": "application/json"})
            assert reply.status_code == 400
            assert error_of(reply)["message"] in {
                "The body must be a JSON object.",
                "The request has no body; it must be a JSON object.",
            }


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_the_body_must_say_that_it_is_json(tmp_path: Path, content_type: str) -> None:
    async with edge(tmp_path) as (server, inference), client(server) as http:
        reply = await http.post(CHAT, content=json.dumps(QUESTION), headers={"content-type": content_type})
        assert (reply.status_code, error_of(reply)["code"]) == (415, "unsupported_media_type")
        assert not inference.params
        for fine in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"):
            reply = await http.post(CHAT, content=json.dumps(QUESTION), headers={"content-type": fine})
            assert reply.status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", ""])
async def test_so_must_that_of_a_route_behind_fastapi(tmp_path: Path, content_type: str) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        reply = await http.post(f"{CHAT}/some-id", content=b'{"metadata": {}}', headers={"content-type": content_type})
        assert (reply.status_code, error_of(reply)["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("body", [b'{"metadata": {"a": "\xff"}}', b'{"metadata": %s}' % (b"9" * 5000), b"{", b"x"])
async def test_and_be_json_there_too(tmp_path: Path, body: bytes) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        reply = await http.post(f"{CHAT}/some-id", content=body, headers={"content-type": "application/json"})
        assert (reply.status_code, error_of(reply)["code"]) == (400, "invalid_json")


async def test_a_large_body_is_refused_by_its_length_and_by_its_bytes(tmp_path: Path) -> None:
    body = json.dumps({**QUESTION, "user": "x" * 5000}).encode()

    async def pieces() -> Any:
        for at in range(0, len(body), 1000):
            yield body[at : at + 1000]

    async with edge(tmp_path, server=SMALL) as (server, _), client(server) as http:
        headers = {"content-type": "application/json"}
        for content in (body, pieces()):
            reply = await http.post(CHAT, content=content, headers=headers)
            assert (reply.status_code, error_of(reply)["code"]) == (413, "payload_too_large")
            assert "server.limits.body_bytes_max" in error_of(reply)["message"]
        # The length alone is enough: nothing of the body has been sent here.
        reader, writer = await raw(server, post(CHAT, b"").replace(b"content-length: 0", b"content-length: 999999"))
        assert b" 413 " in await reader.readline()
        writer.close()


async def test_a_body_in_pieces_arrives_whole(tmp_path: Path) -> None:
    async def pieces() -> Any:
        for byte in json.dumps(QUESTION).encode():
            yield bytes([byte])

    async with edge(tmp_path) as (server, inference), client(server) as http:
        reply = await http.post(CHAT, content=pieces(), headers={"content-type": "application/json"})
        assert reply.status_code == 200
        assert inference.params[0].messages[0].content == "Hello"


async def test_deep_json_is_refused(tmp_path: Path) -> None:
    deep = {"model": "m", "messages": [], "x": json.loads("[" * 8 + "]" * 8)}
    async with edge(tmp_path, server=SMALL) as (server, _), client(server) as http:
        reply = await http.post(CHAT, json=deep)
        assert (reply.status_code, error_of(reply)["code"]) == (400, "json_too_deep")
        assert "server.limits.json_depth_max" in error_of(reply)["message"]
        reply = await http.post(f"{CHAT}/some-id", json=deep)
        assert error_of(reply)["code"] == "json_too_deep"


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("zstd", zstd.compress),
        ("identity", bytes),
        ("GZIP", gzip.compress),
    ],
)
async def test_packed_bodies(tmp_path: Path, encoding: str, pack: Any) -> None:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    async with edge(tmp_path, server=SMALL) as (server, inference), client(server) as http:
        reply = await http.post(CHAT, content=pack(json.dumps(QUESTION).encode()), headers=headers)
        assert reply.status_code == 200, reply.text
        assert inference.params[0].messages[0].content == "Hello"


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
async def test_a_bomb_stays_small(tmp_path: Path, encoding: str, pack: Any) -> None:
    bomb = pack(b" " * 50_000_000)
    headers = {"content-type": "application/json", "content-encoding": encoding}
    limits = {"limits": {"body_bytes_max": 100_000}}
    async with edge(tmp_path, server=limits) as (server, _), client(server) as http:
        assert len(bomb) < 100_000
        reply = await http.post(CHAT, content=bomb, headers=headers)
        assert (reply.status_code, error_of(reply)["code"]) == (413, "payload_too_large")
        assert "unpacks" in error_of(reply)["message"]


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("zstd", zstd.compress),
        ("zstd", without_size),
    ],
)
async def test_a_packed_body_ends_where_it_says(tmp_path: Path, encoding: str, pack: Any) -> None:
    packed = pack(json.dumps(QUESTION).encode() + b" " * 3000)
    headers = {"content-type": "application/json", "content-encoding": encoding}
    async with edge(tmp_path) as (server, inference), client(server) as http:
        for wrong in (packed[:-3], packed + b"more", packed + packed, packed + b"x" * 1000):
            reply = await http.post(CHAT, content=wrong, headers=headers)
            assert (reply.status_code, error_of(reply)["code"]) == (400, "invalid_compression")
        assert not inference.params
        assert (await http.post(CHAT, content=packed, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("encoding", "status", "code"),
    [
        ("gzip", 400, "invalid_compression"),
        ("zstd", 400, "invalid_compression"),
        ("br", 415, "unsupported_content_encoding"),
    ],
)
async def test_wrongly_packed_bodies(tmp_path: Path, encoding: str, status: int, code: str) -> None:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    async with edge(tmp_path) as (server, _), client(server) as http:
        reply = await http.post(CHAT, json=QUESTION, headers=headers)
        assert (reply.status_code, error_of(reply)["code"]) == (status, code)


async def test_a_body_that_does_not_come(tmp_path: Path) -> None:
    limits = {"limits": {"body_timeout_s": 0.2}}
    async with edge(tmp_path, server=limits) as (server, _):
        reader, writer = await raw(server, post(CHAT, b'{"model"').replace(b"content-length: 8", b"content-length: 80"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 408 " in head
        assert b"server.limits.body_timeout_s" in await reader.read()
        writer.close()


async def test_an_answer_that_does_not_come(tmp_path: Path) -> None:
    waiting = Waiting()
    async with (
        edge(tmp_path, waiting, server={"limits": {"request_timeout_s": 0.2}}) as (server, _),
        client(server) as http,
    ):
        reply = await http.post(CHAT, json=QUESTION)
        assert (reply.status_code, error_of(reply)["code"]) == (504, "request_timeout")
        assert "server.limits.request_timeout_s" in error_of(reply)["message"]
        assert waiting.cancelled.is_set()
