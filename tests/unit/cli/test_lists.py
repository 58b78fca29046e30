from __future__ import annotations

import json

from tests.unit.cli.conftest import Llama


def test_apis(llama: Llama) -> None:
    rows = {row["api"]: row["implemented_by"] for row in json.loads(llama("list-apis", "--json").stdout)}
    assert rows["inference"] == "providers"
    assert rows["responses"] == "the server itself"


def test_providers_as_a_table(llama: Llama) -> None:
    lines = llama("list-providers", "inference").stdout.splitlines()
    assert lines[0].split()[:2] == ["API", "TYPE"]
    openai = next(line for line in lines if "remote::openai " in line)
    assert "OPENAI_API_KEY" in openai
    assert max(map(len, lines)) < 200


def test_providers_as_json_have_their_config_schema(llama: Llama) -> None:
    rows = {row["type"]: row for row in json.loads(llama("list-providers", "--json").stdout)}
    ollama = rows["remote::ollama"]
    assert ollama["api"] == "inference"
    assert "base_url" in ollama["config_schema"]["properties"]
    assert ollama["sample"]["base_url"].startswith("${env.OLLAMA_URL")


def test_an_unknown_api_is_a_usage_error_with_the_nearest(llama: Llama) -> None:
    result = llama("list-providers", "inferense")
    assert result.exit_code == 2
    assert "there is no API 'inferense' with providers" in result.stderr
    assert "Did you mean 'inference'?" in result.stderr
