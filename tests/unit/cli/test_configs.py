from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.unit.cli.conftest import ConfigFile, Llama

BROKEN = """\
version: 2
distro_name: broken
providers:
  inference:
  - provider_id: ${env.NOT_SET_ANYWHERE:+gone}
    provider_type: remote::openai
  - provider_id: one
    provider_type: remote::olama
  - provider_id: two
    provider_type: remote::ollama
    config:
      base_url: http://localhost:11434/v1
      refresh_models: perhaps
  - provider_id: three
    provider_type: remote::ollama
    config:
      base_url: http://localhost:11434/v1
      refresh_model: true
"""


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.yaml"
    path.write_text(BROKEN)
    return path


@pytest.mark.parametrize("name", ["starter", "postgres"])
def test_packaged_distributions_are_valid(llama: Llama, name: str) -> None:
    result = llama("config", "check", name, "--strict", POSTGRES_USER="u", POSTGRES_PASSWORD="p")
    assert result.exit_code == 0, result.output
    assert f"{name}.yaml is valid" in result.stdout


def test_check_finds_provider_settings_at_their_lines(llama: Llama, broken: Path) -> None:
    result = llama("config", "check", str(broken))
    assert result.exit_code == 1
    assert f"1 problem in {broken}" in result.stderr
    assert "providers.inference[2].config.refresh_models (line 13): input should be a valid boolean" in result.stderr


def test_strict_check_finds_all(llama: Llama, broken: Path) -> None:
    result = llama("config", "check", str(broken), "--strict")
    assert result.exit_code == 1
    assert "3 problems" in result.stderr
    assert "providers.inference[1].provider_type (line 8): no provider type 'remote::olama'" in result.stderr
    assert "remote::ollama" in result.stderr
    line = "providers.inference[3].config.refresh_model (line 18): remote::ollama has no setting 'refresh_model'. "
    assert line + "Did you mean 'refresh_models'?" in result.stderr


def test_warnings_do_not_fail_a_check(llama: Llama, config_file: ConfigFile) -> None:
    providers = {"inference": [{"provider_id": "x", "provider_type": "remote::unheard-of"}]}
    result = llama("config", "check", str(config_file(providers, serverr={"port": 1})))
    assert result.exit_code == 0
    warnings = [line for line in result.stdout.splitlines() if line.startswith("Warning: ")]
    assert len(warnings) == 2
    assert "serverr" in warnings[0]
    assert "Did you mean 'server'?" in warnings[0]
    assert "2 warnings" in result.stdout


def test_show_is_expanded_and_holds_no_secret(llama: Llama, config_file: ConfigFile) -> None:
    entry = {
        "provider_id": "openai",
        "provider_type": "remote::openai",
        "config": {"base_url": "${env.WHERE:=https://one.example/v1}", "api_key": "${env.OPENAI_API_KEY}"},
    }
    result = llama("config", "show", str(config_file({"inference": [entry]})), OPENAI_API_KEY="sk-very-secret")
    assert "very-secret" not in result.output
    shown = yaml.safe_load(result.stdout)
    assert shown["providers"]["inference"][0]["config"] == {"base_url": "https://one.example/v1", "api_key": "********"}
    assert shown["server"]["host"] == "127.0.0.1"
    assert shown["server"]["port"] == 8321


def test_schema_is_json(llama: Llama) -> None:
    schema = json.loads(llama("config", "schema").stdout)
    assert {"server", "providers", "storage"} <= set(schema["properties"])
