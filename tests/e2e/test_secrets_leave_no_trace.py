"""What callers entrust to a run (credentials of MCP servers, keys of providers, their own key) is nowhere afterwards:
no log at level debug, no reply, no event, no metric, no file has it in the clear, and sealed it goes with its run."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from websockets.asyncio.client import connect

from llama_stack.security.authentication import new_key
from tests.support.knowledge import DIMENSION, embedding_words
from tests.support.mcp_server import LoopbackMcp
from tests.support.running import RunningServer, environment
from tests.support.upstream import Tool, Upstream, Wire, calls, text

pytestmark = pytest.mark.anyio

MODEL = "scripted/upstream-model"
RESPONSES = "/v1/responses"
TOKEN, HEADER, PROVIDER, CONNECTOR = "sesame-token-1", "sesame-header-2", "sesame-provider-3", "sesame-connector-4"
WAIT_S = 20.0


class House:
    """A server in a process of its own, at level debug, with one key."""

    def __init__(self, directory: Path, upstream: Upstream) -> None:
        self.directory = directory
        self.key = new_key()
        self.config = directory / "run.yaml"
        held = [{"id": "ann", "hash": self.key.hash, "attributes": {"roles": ["operator"]}}]
        provider = {
            "provider_id": "scripted",
            "provider_type": "remote::vllm",
            "config": {"base_url": upstream.base_url},
        }
        storage = {"storage_dir": str(directory / "kept")}
        providers = {
            "inference": [provider],
            "files": [{"provider_id": "localfs", "provider_type": "inline::localfs", "config": storage}],
            "file_processors": [{"provider_id": "auto", "provider_type": "inline::auto"}],
            "vector_io": [{"provider_id": "faiss", "provider_type": "inline::faiss"}],
        }
        embedder = {
            "model_id": "embedder",
            "provider_id": "scripted",
            "model_type": "embedding",
            "metadata": {"embedding_dimension": DIMENSION},
            "model_validation": False,
        }
        self.config.write_text(
            yaml.safe_dump(
                {
                    "version": 2,
                    "distro_name": "house",
                    "providers": providers,
                    "registered_resources": {"models": [embedder]},
                    "vector_stores": {"default_embedding_model": {"provider_id": "scripted", "model_id": "embedder"}},
                    "server": {
                        "auth": {"provider_config": {"type": "api_keys", "keys": held}},
                        "egress": {"allowed_hosts": ["127.0.0.1"]},
                        "runs": {"lease_s": 0.5, "poll_s": 0.05},
                    },
                }
            )
        )

    async def start(self) -> RunningServer:
        places = environment(self.directory, {"LLAMA_STACK_LOGGING": "all=debug"})
        server = RunningServer((str(self.config), "--port", "0"), places)
        await asyncio.to_thread(server.wait_ready)
        return server

    @property
    def headers(self) -> dict[str, str]:
        data = json.dumps({"vllm_api_token": PROVIDER})
        return {"authorization": f"Bearer {self.key.key}", "x-llamastack-provider-data": data}

    def client(self, server: RunningServer) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=server.url, headers=self.headers, timeout=WAIT_S, trust_env=False)

    def files(self) -> Iterator[Path]:
        return (path for path in self.directory.rglob("*") if path.is_file())

    def sealed(self) -> int:
        """Runs in the store that still have secrets."""
        found = 0
        for path in self.files():
            if path.read_bytes()[:15] == b"SQLite format 3":
                with closing(sqlite3.connect(path)) as database:
                    if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'ls_run_documents'").fetchone():
                        count = "SELECT count(*) FROM ls_run_documents WHERE name = 'secrets'"
                        found += database.execute(count).fetchone()[0]
        return found


def tool_at(url: str, label: str = "loop") -> dict[str, Any]:
    headers = {"X-Key": HEADER}
    return {"type": "mcp", "server_label": label, "server_url": url, "authorization": TOKEN, "headers": headers}


async def ended(http: httpx.AsyncClient, response_id: str) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        while True:
            found: dict[str, Any] = (await http.get(f"{RESPONSES}/{response_id}")).json()
            if found["status"] not in ("queued", "in_progress"):
                return found
            await asyncio.sleep(0.02)


async def test_nothing_is_left_of_secrets(tmp_path: Path) -> None:
    said: list[str] = []
    async with Upstream() as upstream:
        house = House(tmp_path, upstream)
        server = await house.start()
        try:
            with LoopbackMcp() as mcp:
                mcp.app.authorization = f"Bearer {TOKEN}"
                async with house.client(server) as http:
                    await use(http, upstream, mcp, said)
                    socket_url = server.url.replace("http", "ws", 1) + RESPONSES
                    async with connect(socket_url, additional_headers=house.headers, proxy=None) as socket:
                        asked = {"type": "response.create", "model": MODEL, "input": "Hi", "tools": [tool_at(mcp.url)]}
                        await socket.send(json.dumps(asked))
                        async with asyncio.timeout(WAIT_S):
                            while '"type":"response.completed"' not in said[-1]:
                                said.append(str(await socket.recv()))
                    paths = "/metrics", RESPONSES, "/v1/providers", "/v1beta/connectors"
                    said += [(await http.get(path)).text for path in paths]
                assert any(request.headers.get("x-key") == HEADER for request in mcp.app.requests)
            asked_for = [request for request in upstream.requests if request.path.endswith("completions")]
            assert {request.headers["authorization"] for request in asked_for} == {f"Bearer {PROVIDER}"}
            assert house.sealed() == 0
        finally:
            server.stop()
    assert server.events("request_failed") == []
    assert any(isinstance(line, dict) and line.get("level") == "debug" for line in server.log)
    everything = {"replies": "\n".join(said).encode(), "log": server.said.encode()}
    everything |= {str(path): path.read_bytes() for path in house.files() if path != house.config}
    for secret in (TOKEN, HEADER, PROVIDER, CONNECTOR, house.key.key):
        assert [place for place, found in everything.items() if secret.encode() in found] == [], secret


async def test_nothing_is_left_of_secrets_of_ingestion(tmp_path: Path) -> None:
    """Files are ingested with the key that came with the request: after it, and after one that the provider refuses."""
    said: list[str] = []
    async with Upstream() as upstream:
        upstream.always(embedding_words, on="/embeddings")
        house = House(tmp_path, upstream)
        server = await house.start()
        try:
            async with house.client(server) as http:
                await ingest(http, upstream, said)
                paths = "/metrics", "/v1/files", "/v1/vector_stores", "/v1/providers"
                said += [(await http.get(path)).text for path in paths]
            embedded = [request for request in upstream.requests if request.path.endswith("/embeddings")]
            assert len(embedded) >= 3
            assert {request.headers["authorization"] for request in embedded} == {f"Bearer {PROVIDER}"}
            assert house.sealed() == 0
        finally:
            server.stop()
    assert server.events("request_failed") == []
    everything = {"replies": "\n".join(said).encode(), "log": server.said.encode()}
    everything |= {str(path): path.read_bytes() for path in house.files() if path != house.config}
    for secret in (PROVIDER, house.key.key):
        assert [place for place, found in everything.items() if secret.encode() in found] == [], secret


async def ingest(http: httpx.AsyncClient, upstream: Upstream, said: list[str]) -> None:
    store = (await http.post("/v1/vector_stores", json={})).json()["id"]
    files = []
    for name, content in (
        ("a.txt", b"A text about swordfish."),
        ("b.pdf", b"%PDF-1.4 broken"),
        ("c.txt", b"Another one."),
    ):
        form = {"file": (name, content)}
        made = await http.post("/v1/files", data={"purpose": "assistants"}, files=form)
        files.append(made.json()["id"])
    for number, ids in enumerate(([files[0], files[1]], [files[2]])):
        if number:
            wrong = {"error": {"message": f"Incorrect API key provided: {PROVIDER}.", "code": "invalid_api_key"}}
            upstream.always(Wire().json(wrong, status=401), on="/embeddings")
        batch = (await http.post(f"/v1/vector_stores/{store}/file_batches", json={"file_ids": ids})).json()["id"]
        async with asyncio.timeout(WAIT_S):
            while True:
                page = await http.get(f"/v1/vector_stores/{store}/file_batches/{batch}/files")
                if "in_progress" not in {file["status"] for file in page.json()["data"]}:
                    break
                await asyncio.sleep(0.02)
        said.append(page.text)
        statuses = [file["status"] for file in page.json()["data"]]
        assert sorted(statuses) == (["failed"] if number else ["completed", "failed"])
        said.append((await http.post(f"/v1/vector_stores/{store}/search", json={"query": "swordfish"})).text)


async def use(http: httpx.AsyncClient, upstream: Upstream, mcp: LoopbackMcp, said: list[str]) -> None:
    """Every way in which secrets come in, and every reply that comes of it."""
    tools = [tool_at(mcp.url), tool_at(mcp.base_url + "/gone", "gone"), tool_at("http://127.0.0.1:9/", "closed")]
    ways: list[dict[str, Any]] = [
        {},
        {"stream": True},
        {"store": False},
        {"background": True},
        {"input": [{"type": "additional_tools", "role": "developer", "tools": [tool_at(mcp.url, "late")]}]},
    ]
    for way in ways:
        upstream.reply(calls(Tool("echo", {"text": "hi"})), text("done"), on="completions")
        reply = await http.post(RESPONSES, json={"model": MODEL, "input": "Hi", "tools": tools, **way})
        assert reply.status_code == 200, reply.text
        said.append(reply.text)
        if way in ({}, {"background": True}):
            response = await ended(http, reply.json()["id"])
            assert response["status"] == "completed"
            path = f"{RESPONSES}/{response['id']}"
            paths = path, f"{path}/input_items", f"{path}?stream=true"
            said += [(await http.get(shown)).text for shown in paths]
    said.append((await http.post(RESPONSES, json={"model": MODEL, "input": 5, "tools": tools})).text)
    bad = {**tools[0], "headers": {"X-Key": HEADER + "\n"}}
    said.append((await http.post(RESPONSES, json={"model": MODEL, "input": "Hi", "tools": [bad]})).text)
    items = [{"type": "additional_tools", "role": "developer", "tools": tools}]
    said.append((await http.post("/v1/conversations", json={"items": items})).text)
    new = {"connector_id": "c", "url": mcp.url, "headers": {"X-Key": CONNECTOR}}
    said.append((await http.post("/v1beta/connectors", json=new)).text)
    for path in ("/v1beta/connectors/c", "/v1beta/connectors/c/tools"):
        reply = await http.get(path, headers={"authorization-mcp": TOKEN})
        said.append(reply.text)


async def test_a_run_whose_key_is_lost_fails_and_says_so(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        house = House(tmp_path, upstream)
        server = await house.start()
        upstream.reply(text("One two.", wire=Wire(stall_after=1)), on="completions")
        async with house.client(server) as http:
            asked = {"model": MODEL, "input": "Hi", "background": True}
            response_id = (await http.post(RESPONSES, json=asked)).json()["id"]
            async with asyncio.timeout(WAIT_S):
                while not any(request.path.endswith("completions") for request in upstream.requests):
                    await asyncio.sleep(0.02)
        await asyncio.to_thread(server.stop, signal.SIGKILL)
        assert house.sealed() == 1
        (key_file,) = (path for path in house.files() if path.name == "secrets.key")
        key_file.unlink()
        server = await house.start()
        try:
            async with house.client(server) as http:
                response = await ended(http, response_id)
            assert response["status"] == "failed"
            assert response["error"]["code"] == "credentials_lost"
            assert house.sealed() == 0
        finally:
            server.stop()
