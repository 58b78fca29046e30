from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llama_stack.cli.detect import OLLAMA
from llama_stack.cli.failure import Failure
from llama_stack.cli.runner.start import Wishes, check_address, check_workers, load
from llama_stack.config.server import ServerConfig
from tests.unit.cli.conftest import ConfigFile, Llama
from tests.unit.cli.test_detect import server

KEYS = {"provider_config": {"type": "api_keys", "keys": [{"id": "a", "hash": "0" * 64}]}}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


def test_the_starter_turns_on_what_answers(environ: dict[str, str]) -> None:
    with server({"/api/version": {"version": "1"}}) as port:
        probe = replace(OLLAMA, host="127.0.0.1", port=port)
        for wishes in (Wishes(), Wishes(config="starter")):
            loaded, seen = load(wishes, environ, [probe])
            entry = next(e for e in loaded.config.providers["inference"] if e.provider_id == "ollama")
            assert entry.config["base_url"] == seen["OLLAMA_URL"] == f"http://127.0.0.1:{port}/v1"
    assert "OLLAMA_URL" not in environ


def test_another_config_probes_nothing(environ: dict[str, str], config_file: ConfigFile) -> None:
    with server({"/api/version": {"version": "1"}}) as port:
        probe = replace(OLLAMA, host="127.0.0.1", port=port)
        _, seen = load(Wishes(config=str(config_file())), environ, [probe])
    assert "OLLAMA_URL" not in seen


def test_without_anything_the_embedded_model_remains(environ: dict[str, str]) -> None:
    loaded, _ = load(Wishes(), environ, [])
    assert [entry.provider_id for entry in loaded.config.providers["inference"]] == ["llama-cpp", "minilm"]


def test_the_command_line_wins(environ: dict[str, str], config_file: ConfigFile) -> None:
    path = str(config_file(server={"port": 9000, "host": "::1"}))
    loaded, _ = load(Wishes(config=path), environ)
    assert (loaded.config.server.port, loaded.config.server.host) == (9000, "::1")
    loaded, _ = load(Wishes(config=path, port=0, host="127.0.0.2"), environ)
    assert (loaded.config.server.port, loaded.config.server.host) == (0, "127.0.0.2")


def test_providers_instead_of_a_config(environ: dict[str, str]) -> None:
    loaded, _ = load(Wishes(providers="inference=ollama"), environ)
    assert [entry.provider_type for entry in loaded.config.providers["inference"]] == ["remote::ollama"]
    with pytest.raises(Failure, match="exclude each other"):
        load(Wishes(config="starter", providers="inference=ollama"), environ)


def test_listening_beyond_this_machine_wants_keys_or_plain_words() -> None:
    with pytest.raises(Failure, match="--allow-unauthenticated") as caught:
        check_address(ServerConfig(host="0.0.0.0"), allow_unauthenticated=False)
    assert caught.value.remedy is not None
    assert "llama stack keys new" in caught.value.remedy
    check_address(ServerConfig(host="0.0.0.0"), allow_unauthenticated=True)
    check_address(ServerConfig(host="127.0.0.1"), allow_unauthenticated=False)
    check_address(ServerConfig.model_validate({"host": "0.0.0.0", "auth": KEYS}), allow_unauthenticated=False)


def test_several_workers_want_more_than_a_file(environ: dict[str, str], config_file: ConfigFile) -> None:
    loaded, _ = load(Wishes(config=str(config_file(server={"workers": 3}))), environ)
    with pytest.raises(Failure, match=r"server\.workers is 3.*kv_default.*sql_default.*SQLite") as caught:
        check_workers(loaded)
    assert caught.value.remedy is not None
    assert "postgres" in caught.value.remedy


def test_several_workers_with_servers_for_databases(environ: dict[str, str], config_file: ConfigFile) -> None:
    backends = {"kv_default": {"type": "kv_redis"}, "sql_default": {"type": "sql_postgres", "user": "u"}}
    path = config_file(server={"workers": 3}, storage={"backends": backends})
    loaded, _ = load(Wishes(config=str(path)), environ)
    check_workers(loaded)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "70000"), "65535"),
        (("no-such-distribution",), "there is no file and no distribution 'no-such-distribution'"),
        (("--host", "0.0.0.0"), "--allow-unauthenticated"),
    ],
)
def test_a_start_that_cannot_be_fails_at_once(llama: Llama, arguments: tuple[str, ...], said: str) -> None:
    result = llama("run", *arguments, OLLAMA_URL="", VLLM_URL="")
    assert result.exit_code in (1, 2)
    assert said in " ".join(result.stderr.split())


def test_strict_checks_the_settings_of_providers_too(llama: Llama, config_file: ConfigFile) -> None:
    entry = {
        "provider_id": "up",
        "provider_type": "remote::vllm",
        "config": {"base_url": "http://x/v1", "api_kye": "k"},
    }
    result = llama("run", str(config_file({"inference": [entry]})), "--strict")
    assert result.exit_code == 1
    said = " ".join(result.stderr.split())
    assert "providers.inference[0].config.api_kye (line " in said
    assert "unexpected error" not in said
