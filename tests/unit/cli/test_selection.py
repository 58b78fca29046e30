from __future__ import annotations

from pathlib import Path

import pytest

from llama_stack.cli.failure import Failure
from llama_stack.cli.selection import chosen_providers, config_file
from llama_stack.config import load_config
from llama_stack.routing.catalog import Catalog


def test_types_with_and_without_their_kind() -> None:
    chosen = chosen_providers("inference=ollama, inference=remote::openai,inference=llama-cpp", Catalog())
    assert [descriptor.type for descriptor in chosen] == ["remote::ollama", "remote::openai", "inline::llama-cpp"]


def test_the_written_config_loads_and_holds_no_key(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "OPENAI_API_KEY": "sk-secret"}
    catalog = Catalog()
    path = config_file(chosen_providers("inference=openai,inference=ollama", catalog), catalog, environ)
    assert path == tmp_path / ".llama/distributions/providers-run/config.yaml"
    assert "sk-secret" not in path.read_text()
    loaded = load_config(path, environ=environ, strict=True)
    entries = loaded.config.providers["inference"]
    assert [entry.provider_id for entry in entries] == ["openai", "ollama"]
    assert entries[0].config["api_key"] == "sk-secret"
    assert loaded.config.serves("responses"), "what is over inference is served, too"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("ollama", "'ollama' is not API=PROVIDER"),
        ("inferense=ollama", "there is no API 'inferense'"),
        ("inference=olama", "inference has no provider type 'olama'"),
    ],
)
def test_errors_say_what_is_wrong(spec: str, said: str) -> None:
    with pytest.raises(Failure, match=said) as caught:
        chosen_providers(spec, Catalog())
    assert caught.value.exit_code == 2
    assert caught.value.remedy
