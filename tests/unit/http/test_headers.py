"""Headers that change what happens: provider data, client versions, CORS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.edge import CHAT, QUESTION, client, edge

pytestmark = pytest.mark.anyio

DATA = "x-llamastack-provider-data"
VERSION = "x-llamastack-client-version"


async def test_provider_data_goes_down_as_secrets(tmp_path: Path) -> None:
    async with edge(tmp_path) as (server, inference), client(server) as http:
        given = {"openai_api_key": "sk-very-secret", "mcp_headers": {"a": "b"}, "groq_api_key": None}
        assert (await http.post(CHAT, json=QUESTION, headers={DATA: json.dumps(given)})).status_code == 200
        (call,) = inference.calls
        assert call.provider_data["openai_api_key"].get_secret_value() == "sk-very-secret"
        assert json.loads(call.provider_data["mcp_headers"].get_secret_value()) == {"a": "b"}
        assert "groq_api_key" not in call.provider_data
        assert "sk-very-secret" not in repr(call)
        assert DATA not in call.forward_headers
        assert call.forward_headers["user-agent"].startswith("python-httpx")


@pytest.mark.parametrize(
    "value", ["sk-secret", '["sk-secret"]', '{"sk-secret"', "[" * 5000, '{"a":"' + "s" * 20_000 + '"}']
)
async def test_malformed_provider_data_is_refused_without_an_echo(tmp_path: Path, value: str) -> None:
    async with edge(tmp_path) as (server, inference), client(server) as http:
        reply = await http.post(CHAT, json=QUESTION, headers={DATA: value})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_provider_data")
        assert "sk-secret" not in reply.text
        assert not inference.calls


@pytest.mark.parametrize(
    ("version", "status"), [("1.0.0", 200), ("1.0.99", 200), ("0.7.3", 200), ("0.6.1", 426), ("2.0.0", 426), ("x", 426)]
)
async def test_the_clients_version(tmp_path: Path, version: str, status: int) -> None:
    async with edge(tmp_path) as (server, _), client(server) as http:
        reply = await http.post(CHAT, json=QUESTION, headers={VERSION: version})
        assert reply.status_code == status
        if status == 426:
            assert reply.json()["error"]["code"] == "client_version_mismatch"
            assert "1.0.0" in reply.json()["error"]["message"]


async def test_the_version_check_can_be_turned_off(tmp_path: Path) -> None:
    environ = {"LLAMA_STACK_DISABLE_VERSION_CHECK": "1"}
    async with edge(tmp_path, environ=environ) as (server, _), client(server) as http:
        assert (await http.post(CHAT, json=QUESTION, headers={VERSION: "9.9.9"})).status_code == 200


@pytest.mark.parametrize(
    ("cors", "origin", "allowed"),
    [
        (None, "http://localhost:3000", False),
        (False, "http://localhost:3000", False),
        (True, "http://localhost:3000", True),
        (True, "https://127.0.0.1", True),
        (True, "http://localhost.evil.example", False),
        (True, "http://evil.example", False),
        ({"allow_origins": ["https://app.example"], "allow_methods": ["POST"]}, "https://app.example", True),
        ({"allow_origins": ["https://app.example"], "allow_methods": ["POST"]}, "https://other.example", False),
    ],
)
async def test_cors(tmp_path: Path, cors: Any, origin: str, allowed: bool) -> None:
    async with edge(tmp_path, server={"cors": cors}) as (server, _), client(server) as http:
        asked = {"origin": origin, "access-control-request-method": "POST"}
        preflight = await http.options(CHAT, headers=asked)
        assert (preflight.headers.get("access-control-allow-origin") == origin) == allowed
        assert (preflight.status_code == 200) == allowed
        reply = await http.post(CHAT, json=QUESTION, headers={"origin": origin})
        assert reply.status_code == 200
        assert (reply.headers.get("access-control-allow-origin") == origin) == allowed


PUBLIC_NAMES = ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.com", "a.b:1", "EVIL.COM."]


@pytest.mark.parametrize("host", PUBLIC_NAMES)
async def test_a_page_cannot_pass_its_own_name_off_as_ours(tmp_path: Path, host: str) -> None:
    async with edge(tmp_path) as (server, inference), client(server, headers={"host": host}) as http:
        for reply in (await http.post(CHAT, json=QUESTION), await http.get("/v1/models"), await http.get("/nowhere")):
            assert (reply.status_code, reply.json()["error"]["code"]) == (403, "host_not_allowed")
        assert (await http.get("/v1/health")).status_code == 200
        assert not inference.calls


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8321", "127.0.0.1:1", "[::1]:8321", "[::1]", "192.168.3.4", "host.docker.internal", "box"],
)
async def test_addresses_and_private_names_are_fine(tmp_path: Path, host: str) -> None:
    async with edge(tmp_path) as (server, _), client(server, headers={"host": host}) as http:
        for _ in range(2):
            assert (await http.post(CHAT, json=QUESTION)).status_code == 200


async def test_with_keys_any_name_will_do(tmp_path: Path) -> None:
    keys = {"auth": {"provider_config": {"type": "api_keys", "keys": [{"id": "ann", "hash": "0" * 64}]}}}
    async with edge(tmp_path, server=keys) as (server, _), client(server, headers={"host": "api.example.com"}) as http:
        assert (await http.get("/v1/models")).status_code == 401
