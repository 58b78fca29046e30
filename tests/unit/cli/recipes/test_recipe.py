"""Recipes: read, laid over each other, rendered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from llama_stack.cli.recipes.recipe import Recipe, Rest, Storage, load_recipe, merged, packaged_recipes
from llama_stack.cli.recipes.render import render
from llama_stack.config.load import load_config
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.errors import ProviderTypeUnknown
from llama_stack_api.api import Api

CATALOG = Catalog(entry_points=tuple)


def recipe(**members: Any) -> Recipe:
    return Recipe.model_validate({"name": "mine", "description": "Mine.", **members})


def rendered(**members: Any) -> Any:
    return yaml.safe_load(render(recipe(**members), CATALOG))


def test_a_bare_type_is_always_on_as_its_descriptor_shows_it() -> None:
    (entry,) = rendered(providers={"inference": ["remote::groq"]})["providers"]["inference"]
    assert entry == {
        "provider_id": "groq",
        "provider_type": "remote::groq",
        "config": {
            "base_url": "${env.GROQ_BASE_URL:=https://api.groq.com/openai/v1}",
            "api_key": "${env.GROQ_API_KEY:=}",
        },
    }


def test_settings_are_laid_over_the_sample_and_a_variable_turns_it_on() -> None:
    item = {
        "type": "remote::vllm",
        "id": "gpu",
        "when": "GPU_URL",
        "config": {"base_url": "http://a/v1", "max_tokens": 9},
    }
    (entry,) = rendered(providers={"inference": [item]})["providers"]["inference"]
    assert entry["provider_id"] == "${env.GPU_URL:+gpu}"
    assert entry["config"] == {"base_url": "http://a/v1", "api_key": "${env.VLLM_API_TOKEN:=}", "max_tokens": 9}


def test_the_rest_is_whatever_has_a_variable_and_is_not_named() -> None:
    entries = rendered(providers={"inference": ["remote::groq", {"rest": "remote"}]})["providers"]["inference"]
    types = [entry["provider_type"] for entry in entries]
    keyed = [found.type for found in CATALOG.all(Api.inference) if found.is_remote and found.turned_on_by]
    assert sorted(types) == sorted(keyed)
    assert types[0] == "remote::groq"
    assert all(entry["provider_id"].startswith("${env.") for entry in entries[1:])


def test_comments_stand_where_they_belong() -> None:
    text = render(
        recipe(
            providers={"files": [{"type": "inline::localfs", "comment": "Here."}]},
            config={"apis": ["files"], "server": {"port": 1, "auth": {"x": 2}}},
            comments={"server.auth": "Keys " + "and more keys " * 12},
        ),
        CATALOG,
    )
    assert text.startswith(
        "# Mine.\nversion: 2\ndistro_name: mine\napis:\n- files\nproviders:\n  files:\n  # Here.\n  - "
    )
    assert "  port: 1\n  # Keys and more keys" in text
    assert max(map(len, text.splitlines())) <= 120
    assert yaml.safe_load(text)["server"] == {"port": 1, "auth": {"x": 2}}


@pytest.mark.parametrize("storage", list(Storage))
def test_storage_is_what_was_chosen(storage: Storage, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(render(recipe(storage=storage), CATALOG))
    backends = load_config(path, environ={"HOME": str(tmp_path), "REDIS_URL": "redis://r"}, strict=True).config.storage
    kinds = {backend.type for backend in backends.backends.values()}
    assert (
        kinds
        == {
            Storage.SQLITE: {"kv_sqlite", "sql_sqlite"},
            Storage.POSTGRES: {"kv_postgres", "sql_postgres"},
            Storage.POSTGRES_REDIS: {"kv_postgres", "sql_postgres", "kv_redis"},
        }[storage]
    )


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ProviderTypeUnknown, match="did you mean remote::groq"):
        rendered(providers={"inference": ["remote::grog"]})
    with pytest.raises(ValueError, match="two providers would have the id 'groq'"):
        rendered(providers={"inference": ["remote::groq", "remote::groq"]})
    with pytest.raises(ValidationError):
        recipe(providers={"inference": [{"type": "remote::groq", "wehn": "X"}]})
    with pytest.raises(ValidationError):
        recipe(providers={"inferense": ["remote::groq"]})


def test_one_is_laid_over_another(tmp_path: Path) -> None:
    below = {"description": "Below.", "providers": {"files": ["inline::localfs"]}, "config": {"a": {"b": 1, "c": [2]}}}
    (tmp_path / "_below.yaml").write_text(yaml.safe_dump(below))
    above = {"extends": "_below", "description": "Above.", "config": {"a": {"c": [3]}}, "storage": "postgres"}
    (tmp_path / "above.yaml").write_text(yaml.safe_dump(above))
    found = load_recipe(tmp_path / "above.yaml")
    assert (found.name, found.description, found.storage) == ("above", "Above.", Storage.POSTGRES)
    assert found.config == {"a": {"b": 1, "c": [3]}}
    assert [item.type for item in found.providers[Api.files] if not isinstance(item, Rest)] == ["inline::localfs"]


def test_maps_merge_and_all_else_is_replaced() -> None:
    assert merged({"a": {"b": 1}, "c": 2}, {"a": {"d": 3}, "c": {"e": 4}}) == {"a": {"b": 1, "d": 3}, "c": {"e": 4}}


def test_what_others_are_made_of_is_no_distribution() -> None:
    assert "starter" in packaged_recipes()
    assert not [name for name in packaged_recipes() if name.startswith("_")]
