from typing import Any

import pytest
from pydantic import ValidationError

from llama_stack.config.auth import ApiKeysAuth
from llama_stack.config.logs import LoggingConfig
from llama_stack.config.resources import ModelEntry
from llama_stack.config.server import LOCALHOST_CORS, ServerConfig
from llama_stack.config.vector_stores import VectorStoresConfig

HASH = "ab" * 32


def test_cors_true_means_pages_of_this_machine() -> None:
    assert ServerConfig.model_validate({"cors": True}).cors_policy == LOCALHOST_CORS
    assert ServerConfig.model_validate({"cors": False}).cors_policy is None
    policy = ServerConfig.model_validate({"cors": {"allow_origins": ["https://a.example"]}}).cors_policy
    assert policy is not None
    assert policy.allow_origins == ["https://a.example"]
    assert policy.allow_methods == ["OPTIONS"]


@pytest.mark.parametrize(
    ("server", "part"),
    [
        ({"cors": {"allow_origins": ["*"], "allow_credentials": True}}, "name the origins"),
        ({"cors": {"allow_origin_regex": ".*", "allow_credentials": True}}, "name the origins"),
        ({"port": 65536}, "65535"),
        ({"port": -1}, "0"),
        ({"tls_certfile": "/c"}, "go together"),
        ({"tls_keyfile": "/k"}, "go together"),
        ({"tls_cafile": "/ca"}, "tls_certfile"),
        ({"workers": 0}, "1"),
        ({"limits": {"json_depth_max": 100000}}, "512"),
        ({"routing": {"retries_max": 100}}, "10"),
        ({"runs": {"lease_s": 0}}, "0"),
        ({"runs": {"concurrent_per_tenant_max": 0}}, "1"),
        ({"runs": {"retention_s": -1}}, "0"),
    ],
)
def test_server_settings_that_cannot_be(server: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        ServerConfig.model_validate(server)


def test_port_zero_is_any_port_and_null_is_the_default() -> None:
    assert ServerConfig(port=0).port == 0
    server = ServerConfig.model_validate({"host": None, "port": None, "limits": None})
    assert (server.host, server.port, server.limits.body_bytes_max) == ("127.0.0.1", 8321, 64 * 1024 * 1024)


@pytest.mark.parametrize("written", [HASH, HASH.upper(), f"sha256:{HASH}", f" SHA256:{HASH} "])
def test_key_hashes_have_one_form(written: str) -> None:
    auth = ApiKeysAuth.model_validate({"keys": [{"id": "me", "hash": written}]})
    assert auth.keys[0].hash == f"sha256:{HASH}"
    assert auth.keys[0].tenant == "default"


@pytest.mark.parametrize(
    ("auth", "part"),
    [
        ({}, "nobody could use"),
        ({"keys": [{"id": "a", "hash": "sk-live-key"}]}, "SHA-256"),
        ({"keys": [{"id": "a", "hash": HASH}, {"id": "b", "hash": f"sha256:{HASH}"}]}, "same hash"),
        ({"keys": [{"id": "a", "hash": HASH, "expires_at": "2027-01-01T00:00:00"}]}, "timezone"),
    ],
)
def test_api_keys_that_cannot_be(auth: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        ApiKeysAuth.model_validate(auth)


@pytest.mark.parametrize(
    ("section", "field", "text", "part"),
    [
        ("file_search_params", "header_template", "found some", r"must contain \{num_chunks\}"),
        ("context_prompt_params", "chunk_annotation_template", "{index}", r"\{chunk.content\}"),
        ("context_prompt_params", "context_template", "{query} {user}", r"unknown placeholder \{user\}"),
        ("annotation_prompt_params", "chunk_annotation_template", "{chunk_text}", r"\{file_id\}"),
        ("rewrite_query_params", "prompt", "rewrite it", r"\{query\}"),
        ("rewrite_query_params", "prompt", "{query", "is not a template"),
    ],
)
def test_templates_have_their_placeholders(section: str, field: str, text: str, part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        VectorStoresConfig.model_validate({section: {field: text}})


def test_chunks_overlap_by_less_than_their_size() -> None:
    with pytest.raises(ValidationError, match="smaller"):
        VectorStoresConfig.model_validate(
            {"file_ingestion_params": {"default_chunk_size_tokens": 100, "default_chunk_overlap_tokens": 100}}
        )


def test_a_model_says_once_where_it_is_served() -> None:
    model = ModelEntry.model_validate(
        {"model_id": "m", "targets": [{"provider_id": "a"}, {"provider_id": "b", "weight": 3}], "strategy": "balance"}
    )
    assert [(target.provider_id, target.weight) for target in model.targets] == [("a", 1), ("b", 3)]
    with pytest.raises(ValidationError, match="say where it is served once"):
        ModelEntry.model_validate({"model_id": "m", "provider_id": "a", "targets": [{"provider_id": "b"}]})
    with pytest.raises(ValidationError, match="embedding_dimension"):
        ModelEntry.model_validate(
            {"model_id": "m", "model_type": "embedding", "metadata": {"embedding_dimension": "x"}}
        )


def test_log_levels_exist() -> None:
    with pytest.raises(ValidationError, match="level of 'server'"):
        LoggingConfig(category_levels={"server": "loud"})
