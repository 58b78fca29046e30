from pathlib import Path

import pytest
import yaml
from docs.distribution_pages import generated_files

from llama_stack.config.load import load_config
from llama_stack.config.locate import packaged_distributions
from llama_stack.config.model import RunConfig
from llama_stack.routing.catalog import Catalog
from llama_stack_api.api import Api


def _load(name: str, home: Path, **environ: str) -> RunConfig:
    loaded = load_config(name, environ={"HOME": str(home), **environ}, strict=True)
    assert loaded.warnings == ()
    return loaded.config


ALWAYS_ON = {
    *("llama-cpp", "minilm", "web-search", "file-search", "model-context-protocol", "localfs", "auto", "faiss"),
    *("linear", "pii", "code-scanner", "llama-guard"),
}


def _ids(config: RunConfig) -> set[str]:
    return {entry.provider_id for _, entry in config.provider_entries()}


@pytest.mark.parametrize("name", ["starter", "postgres"])
def test_without_any_variable_the_embedded_models_serve(tmp_path: Path, name: str) -> None:
    config = _load(name, tmp_path)
    assert _ids(config) == ALWAYS_ON
    assert config.vector_stores.default_embedding_model is not None
    assert config.vector_stores.default_embedding_model.identifier == "minilm/all-minilm-l6-v2"
    assert config.server.host == "127.0.0.1"


def test_each_key_turns_on_its_provider(tmp_path: Path) -> None:
    written = yaml.safe_load(packaged_distributions()["starter"].read_text())["providers"]
    ids = [entry["provider_id"] for entries in written.values() for entry in entries]
    conditional = [provider_id for provider_id in ids if provider_id.startswith("${env.")]
    assert len(conditional) >= 25
    for reference in conditional:
        variable, provider_id = reference.removeprefix("${env.").removesuffix("}").split(":+")
        config = _load("starter", tmp_path, **{variable: "http://127.0.0.1:9/v1"})
        assert _ids(config) == ALWAYS_ON | {provider_id}


def test_both_distributions_know_the_same_providers() -> None:
    starter, postgres = (
        yaml.safe_load(packaged_distributions()[name].read_text())["providers"] for name in ("starter", "postgres")
    )
    assert starter == postgres


def test_files_are_what_their_recipes_render() -> None:
    """`make docs` writes them."""
    for path, text in generated_files():
        assert path.read_text(encoding="utf-8") == text, path


def test_every_remote_provider_is_in_the_starter_as_its_descriptor_shows_it() -> None:
    """Whichever types there are: one that is added is turned on by its variable in both."""
    written = yaml.safe_load(packaged_distributions()["starter"].read_text())["providers"]
    catalog = Catalog(entry_points=tuple)
    for api, entries in written.items():
        configs = {entry["provider_type"]: entry.get("config", {}) for entry in entries}
        ids = {entry["provider_type"]: entry["provider_id"] for entry in entries}
        keyed = [found for found in catalog.all(Api(api)) if found.turned_on_by is not None]
        for descriptor in keyed:
            assert configs[descriptor.type].items() >= descriptor.sample.items(), descriptor.type
            assert ids[descriptor.type].startswith(f"${{env.{descriptor.turned_on_by}:+"), descriptor.type


def test_starter_keeps_its_state_where_it_is_told(tmp_path: Path) -> None:
    for environ, directory in [
        ({}, tmp_path / ".llama" / "distributions" / "starter"),
        ({"LLAMA_STACK_CONFIG_DIR": str(tmp_path / "c")}, tmp_path / "c" / "distributions" / "starter"),
        ({"SQLITE_STORE_DIR": str(tmp_path / "s")}, tmp_path / "s"),
    ]:
        backend = _load("starter", tmp_path, **environ).storage.backends["sql_default"]
        assert backend.type == "sql_sqlite"
        assert backend.db_path == directory / "sql_store.db"


def test_postgres_shares_state_over_redis_where_there_is_one(tmp_path: Path) -> None:
    alone = _load("postgres", tmp_path, POSTGRES_HOST="db", POSTGRES_PASSWORD="12345")
    assert alone.storage.stores.shared.backend == "kv_default"
    assert {backend.type for backend in alone.storage.backends.values()} == {"kv_postgres", "sql_postgres"}
    assert alone.server.workers == 4
    shared = _load("postgres", tmp_path, REDIS_URL="redis://cache:6379/1", LLAMA_STACK_WORKERS="2")
    assert shared.storage.stores.shared.backend == "kv_redis"
    assert shared.storage.stores.metadata.backend == "kv_default"
    assert shared.server.workers == 2


def test_postgres_authenticates_once_a_key_file_is_named(tmp_path: Path) -> None:
    off = _load("postgres", tmp_path).server.auth
    assert off is not None
    assert off.provider_config is None
    on = _load("postgres", tmp_path, LLAMA_STACK_API_KEYS_FILE="~/keys.yaml").server.auth
    assert on is not None
    assert on.provider_config is not None
    assert on.provider_config.file == tmp_path / "keys.yaml"
