from __future__ import annotations

import json

from tests.unit.cli.conftest import Llama
from tests.unit.cli.test_detect import free_port, server

MODELS = {
    "object": "list",
    "data": [{"id": "a/b", "custom_metadata": {"model_type": "llm", "provider_id": "a"}}],
}


def test_a_table_of_what_the_server_offers(llama: Llama) -> None:
    with server({"/v1/models": MODELS}) as port:
        result = llama("models", "--url", f"http://127.0.0.1:{port}/v1/")
    assert [line.split() for line in result.stdout.splitlines()] == [["MODEL", "TYPE", "PROVIDER"], ["a/b", "llm", "a"]]


def test_json_and_the_address_from_the_environment(llama: Llama) -> None:
    with server({"/v1/models": MODELS}) as port:
        result = llama("models", "--json", LLAMA_STACK_URL=f"127.0.0.1:{port}")
    assert json.loads(result.stdout) == MODELS


def test_without_a_server_it_says_how_to_start_one(llama: Llama) -> None:
    result = llama("models", LLAMA_STACK_PORT=str(free_port()))
    assert result.exit_code == 1
    assert "no server answers at http://localhost:" in result.stderr
    assert "llama stack run" in result.stderr


def test_a_missing_key_is_named(llama: Llama) -> None:
    with server({"/v1/models": {"error": {"message": "No API key was given"}}}, status=401) as port:
        result = llama("models", "--url", f"http://127.0.0.1:{port}")
    assert result.exit_code == 1
    assert "LLAMA_STACK_API_KEY" in result.stderr


def test_the_servers_own_message_is_shown(llama: Llama) -> None:
    with server({"/v1/models": {"error": {"message": "shutting down"}}}, status=503) as port:
        result = llama("models", "--url", f"http://127.0.0.1:{port}")
    assert "answered with status 503: shutting down" in result.stderr


def test_what_is_no_address_is_a_usage_error(llama: Llama) -> None:
    for wrong in ("ftp://x", "http://", "http://h:notaport"):
        assert llama("models", "--url", wrong).exit_code == 2
