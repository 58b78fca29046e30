"""Models and providers as clients see them, of a provider that does not answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.edge import client, edge, sdk_for

pytestmark = pytest.mark.anyio

SECRET = "sk-very-secret-key"
NOBODY = "http://127.0.0.1:1/v1"
CONFIG: dict[str, Any] = {
    "providers": {
        "inference": [
            {
                "provider_id": "away",
                "provider_type": "remote::openai",
                "config": {"base_url": NOBODY, "api_key": SECRET},
            },
            {"provider_id": "broken", "provider_type": "remote::no-such-thing"},
        ]
    },
    "registered_resources": {
        "models": [
            {
                "model_id": "vendor/family/chat",
                "provider_id": "away",
                "provider_model_id": "theirs",
                "model_type": "llm",
                "metadata": {"context_length": 4096},
            }
        ]
    },
}
ID = "away/vendor/family/chat"


async def test_the_sdk_lists_and_gets_models_with_slashes_in_their_ids(tmp_path: Path) -> None:
    async with edge(tmp_path, config=CONFIG) as (server, _), sdk_for(server) as sdk:
        (listed,) = [model async for model in sdk.models.list()]
        assert (listed.id, listed.object, listed.owned_by) == (ID, "model", "llama_stack")
        got = await sdk.models.retrieve(ID)
        assert (got.id, got.created) == (listed.id, listed.created)
        with pytest.raises(openai.NotFoundError):
            await sdk.models.retrieve("away-from/here")


async def test_a_listed_model_says_who_serves_it(tmp_path: Path) -> None:
    async with edge(tmp_path, config=CONFIG) as (server, _), client(server) as http:
        (listed,) = (await http.get("/v1/models")).json()["data"]
        assert set(listed) == {"id", "object", "created", "owned_by", "custom_metadata"}
        about = listed["custom_metadata"]
        assert about["provider_id"] == "away"
        assert about["provider_resource_id"] == "theirs"
        assert (about["model_type"], about["context_length"]) == ("llm", 4096)
        one = (await http.get(f"/v1/models/{ID}")).json()
        assert one["identifier"] == one["id"] == ID
        assert one["provider_id"] == "away"
        assert (one["provider_resource_id"], one["model_type"], one["type"]) == ("theirs", "llm", "model")
        assert one["metadata"]["context_length"] == 4096


async def test_a_model_cannot_be_deleted_by_request(tmp_path: Path) -> None:
    async with edge(tmp_path, config=CONFIG) as (server, _), client(server) as http:
        reply = await http.delete(f"/v1/models/{ID}")
        error = reply.json()["error"]
        assert (reply.status_code, reply.headers["allow"], error["code"]) == (405, "GET", "model_not_deletable")
        assert "run config" in error["message"]


async def test_providers_are_listed_with_their_health_and_without_their_secrets(tmp_path: Path) -> None:
    async with edge(tmp_path, config=CONFIG) as (server, _), client(server) as http:
        for prefix in ("/v1", "/v1alpha/admin"):
            reply = await http.get(f"{prefix}/providers")
            away, broken = reply.json()["data"]
            assert SECRET not in reply.text
            assert (away["api"], away["provider_id"], away["config"]["base_url"]) == ("inference", "away", NOBODY)
            assert away["config"]["api_key"] == "********"
            assert away["health"]["status"] in {"Error", "Not Implemented"}
            assert broken["health"]["status"] == "Error"
            assert "no-such-thing" in broken["health"]["message"]
            one = (await http.get(f"{prefix}/providers/away")).json()
            assert one["provider_type"] == "remote::openai"
            assert SECRET not in str(one)
        routes = (await http.get("/v1/inspect/routes")).json()["data"]
        chat = next(each for each in routes if each["route"] == "/v1/embeddings")
        assert chat["provider_types"] == ["remote::no-such-thing", "remote::openai"]
