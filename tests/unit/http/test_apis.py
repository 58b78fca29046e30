"""`apis` of the run config: what it does not list is not there, and who asks is told why."""

from __future__ import annotations

from pathlib import Path

import pytest

from llama_stack.config.model import RunConfig
from llama_stack.http.routes.inference import inference_operations
from llama_stack.stack import Stack
from tests.support.edge import CHAT, QUESTION, client, edge
from tests.unit.http.test_routes import every_route

pytestmark = pytest.mark.anyio

PROVIDERS = {
    "inference": [{"provider_id": "up", "provider_type": "remote::vllm", "config": {"base_url": "http://127.0.0.1:1"}}]
}
INFERENCE = (
    *(("POST", path) for path in (CHAT, "/v1/completions", "/v1/embeddings", "/v1alpha/inference/rerank")),
    *(("GET", path) for path in (CHAT, f"{CHAT}/x", f"{CHAT}/x/messages", "/v1/models", "/v1/models/a/b")),
    *(("HEAD", "/v1/models"), ("POST", f"{CHAT}/x"), ("DELETE", f"{CHAT}/x"), ("DELETE", "/v1/models/a/b")),
)


async def test_without_inference_none_of_its_routes_is_there(tmp_path: Path) -> None:
    config = {"apis": ["files"], "providers": PROVIDERS}
    async with edge(tmp_path, config=config) as (server, inference), client(server) as http:
        for method, path in INFERENCE:
            reply = await http.request(method, path, json=QUESTION)
            assert reply.status_code == 404, (method, path)
            if method != "HEAD":
                error = reply.json()["error"]
                assert error["code"] == "api_not_served"
                assert "`apis` does not list 'inference'" in error["message"]
        assert not inference.calls
        paths = set((await http.get("/openapi.json")).json()["paths"])
        listed = {route["route"] for route in (await http.get("/v1/inspect/routes")).json()["data"]}
        assert paths == listed
        assert {"/v1/health", "/v1/providers", "/v1alpha/admin/inspect/routes", "/metrics"} <= paths
        assert not [path for path in paths if "models" in path or "completions" in path or "rerank" in path]
        assert "/v1/models" not in (await http.get("/docs")).text
        assert (await http.get("/v1/providers")).json() == {"data": []}
        assert (await http.get("/nowhere")).json()["error"]["code"] == "unknown_url"


@pytest.mark.parametrize("apis", [[], ["inference"], ["inference", "safety"]])
async def test_with_inference_all_of_them_are(tmp_path: Path, apis: list[str]) -> None:
    async with edge(tmp_path, config={"apis": apis}) as (server, _), client(server) as http:
        assert (await http.post(CHAT, json=QUESTION)).status_code == 200
        assert (await http.get("/v1/models")).status_code == 200
        routes = await every_route(server)
    assert {(each.method, each.path) for each in inference_operations(server.services.inference)} <= set(routes)


async def test_providers_of_other_apis_are_not_opened(tmp_path: Path) -> None:
    for apis, opened in ((["files"], []), (["safety"], ["up"]), (["inference"], ["up"]), ([], ["up"])):
        config = RunConfig.model_validate(
            {"version": 2, "distro_name": "test", "providers": PROVIDERS, "apis": apis},
            context={"environ": {"SQLITE_STORE_DIR": str(tmp_path / "store")}, "home": tmp_path},
        )
        async with Stack.open(config, state_dir=tmp_path / "state") as stack:
            assert [each.id for each in stack.providers] == opened
            assert stack.problems == []
