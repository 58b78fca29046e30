from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.conftest import Llama


def test_distributions_are_the_packaged_ones_and_those_under_home(llama: Llama, tmp_path: Path) -> None:
    for name in ("mine/config.yaml", "llamastack-other/other-config.yaml", "starter/config.yaml", "empty/notes.txt"):
        path = tmp_path / "home/.llama/distributions" / name
        path.parent.mkdir(parents=True)
        path.write_text("version: 2\n")
    result = llama("list", "--json")
    found = {row["name"]: row["origin"] for row in json.loads(result.stdout)}
    assert found == {"postgres": "packaged", "starter": "packaged", "mine": "yours", "other": "yours"}


def test_the_table_of_distributions_names_the_files(llama: Llama) -> None:
    lines = llama("list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "ORIGIN", "FILE"]
    assert any(line.startswith("starter") and line.endswith("starter.yaml") for line in lines)


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
