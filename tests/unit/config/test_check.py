from pathlib import Path

import pytest

from llama_stack.config.model import RunConfig
from llama_stack.config.paths import distribution_dir
from tests.unit.config.support import MINIMAL, load, problems

BACKENDS = """storage:
  backends:
    pg: {type: sql_postgres, user: u}
    redis: {type: kv_redis}
"""


def test_stores_left_open_take_a_backend_of_their_kind(tmp_path: Path) -> None:
    stores = load(tmp_path, MINIMAL + BACKENDS).config.storage.stores
    assert {name: reference.backend for name, reference in stores.references().items()} == {
        "metadata": "redis",
        "inference": "pg",
        "conversations": "pg",
        "responses": "pg",
        "prompts": "redis",
        "connectors": "redis",
        "shared": "redis",
    }


@pytest.mark.parametrize(
    ("store", "part"),
    [
        ("metadata: {namespace: n, backend: pg}", "needs a kv backend, and 'pg' is sql_postgres. Name one of redis"),
        ("inference: {table_name: t, backend: redis}", "needs a sql backend, and 'redis' is kv_redis. Name one of pg"),
        ("prompts: {table_name: t, backend: redis}", "needs a sql backend"),
        ("conversations: {table_name: t, backend: pq}", "'pq' is not configured. Name one of pg"),
    ],
)
def test_a_store_and_its_backend_must_fit(tmp_path: Path, store: str, part: str) -> None:
    [problem] = problems(tmp_path, MINIMAL + BACKENDS + f"  stores:\n    {store}\n")
    assert part in str(problem)
    assert problem.line == 9


def test_prompts_may_live_in_sql_too(tmp_path: Path) -> None:
    text = MINIMAL + BACKENDS + "  stores:\n    prompts: {table_name: prompts, backend: pg}\n    connectors:\n"
    stores = load(tmp_path, text).config.storage.stores
    assert stores.prompts.backend == "pg"
    assert stores.connectors.backend == "redis"


def test_without_a_backend_of_a_kind_its_stores_are_errors(tmp_path: Path) -> None:
    text = MINIMAL + "storage:\n  backends:\n    redis: {type: kv_redis}\n"
    found = problems(tmp_path, text)
    assert {problem.path[2] for problem in found} == {"inference", "conversations", "responses"}
    assert all("Add a sql_… backend" in str(problem) for problem in found)


def test_provider_ids_are_unique_within_an_api(tmp_path: Path) -> None:
    text = """distro_name: test
providers:
  inference:
  - {provider_id: "${env.OFF:+off}", provider_type: remote::a}
  - {provider_id: a, provider_type: remote::a}
  - {provider_id: a, provider_type: remote::b}
  safety:
  - {provider_id: a, provider_type: remote::a}
"""
    [problem] = problems(tmp_path, text)
    assert problem.path == ("providers", "inference", 2, "provider_id")
    assert problem.line == 6


def test_unknown_apis_are_mistakes_with_the_nearest_name(tmp_path: Path) -> None:
    text = "distro_name: t\napis: [inferense]\nproviders:\n  safty: []\n"
    loaded = load(tmp_path, text)
    assert ["'inference'" in str(loaded.warnings[0]), "'safety'" in str(loaded.warnings[1])] == [True, True]
    assert len(problems(tmp_path, text, strict=True)) == 2
    (tmp_path / "apis").mkdir()
    assert load(tmp_path, text + f"external_apis_dir: {tmp_path}/apis\n", strict=True).warnings == ()
    [absent] = problems(tmp_path, text + "external_apis_dir: ~/gone\n", strict=True)
    assert absent.path == ("external_apis_dir",)


def test_a_model_name_means_one_thing_per_provider(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + """registered_resources:
  models:
  - {model_id: a, provider_id: all}
  - {model_id: b, provider_id: all, aliases: [a]}
  - {model_id: a, provider_id: p}
"""
    )
    found = problems(tmp_path, text)
    assert [problem.path for problem in found if problem.severity == "error"] == [
        ("registered_resources", "models", 0),
        ("registered_resources", "models", 1),
    ]


def test_a_model_names_its_provider_where_there_are_several(tmp_path: Path) -> None:
    one = """distro_name: t
registered_resources: {models: [{model_id: m}]}
providers:
  inference:
  - {provider_id: a, provider_type: remote::x}
"""
    assert load(tmp_path, one, strict=True).warnings == ()
    [problem] = problems(tmp_path, one + "  - {provider_id: b, provider_type: remote::x}\n")
    assert "one of a, b" in str(problem)


def test_a_model_of_a_provider_that_is_off_is_a_notice(tmp_path: Path) -> None:
    text = """distro_name: t
providers:
  inference: [{provider_id: "${env.KEY:+p}", provider_type: remote::x}]
registered_resources:
  models:
  - {model_id: a, provider_id: p}
"""
    [warning] = load(tmp_path, text, strict=True).warnings
    assert warning.line == 6
    assert load(tmp_path, text, {"KEY": "x"}).warnings == ()


def test_the_default_shield_must_be_registered_if_any_is(tmp_path: Path) -> None:
    text = MINIMAL + "safety: {default_shield_id: guard}\n"
    assert load(tmp_path, text).config.safety.default_shield_id == "guard"
    shields = "registered_resources:\n  shields: [{shield_id: other, provider_id: p}]\n"
    [problem] = problems(tmp_path, text + shields)
    assert "Registered: other" in str(problem)


def test_apis_says_which_routes_are_offered() -> None:
    everything = RunConfig(distro_name="x", providers={})
    assert everything.serves("inference")
    assert everything.serves("batches")
    some = RunConfig(distro_name="x", providers={}, apis=["inference", "agents"])
    assert [api for api in ("inference", "models", "responses", "batches", "shields", "admin") if some.serves(api)] == [
        "inference",
        "models",
        "responses",
        "admin",
    ]


def test_providers_of_an_api_that_is_not_served_are_noted_and_not_opened(tmp_path: Path) -> None:
    text = MINIMAL + "apis: [safety]\n"
    loaded = load(tmp_path, text.replace("providers: {}", "providers: {inference: [], safety: []}"))
    assert list(loaded.config.provider_entries()) == []
    [notice] = [str(warning) for warning in loaded.warnings]
    assert "providers.inference" in notice
    assert "`apis` does not list 'inference'" in notice


def test_a_server_that_executes_no_runs_needs_workers_who_can_share_its_database(tmp_path: Path) -> None:
    found = problems(tmp_path, MINIMAL + "server: {runs: {execute: false}}\n")
    assert [problem.path for problem in found] == [("server", "runs", "execute")]


def test_an_api_opens_the_providers_that_it_works_with() -> None:
    responses = RunConfig(distro_name="x", providers={}, apis=["responses"])
    assert not responses.serves("inference")
    assert responses.opens("inference")
    assert responses.opens("tool_runtime")
    assert not responses.opens("file_processors")
    assert RunConfig(distro_name="x", providers={}, apis=["safety"]).opens("inference")
    assert not RunConfig(distro_name="x", providers={}, apis=["files"]).opens("inference")


@pytest.mark.parametrize("name", ["/etc", "../../x", "a/b", "..", "\\\\host\\x"])
def test_state_stays_below_the_base_directory(tmp_path: Path, name: str) -> None:
    directory = distribution_dir(name, {"HOME": str(tmp_path)})
    assert directory.parent == tmp_path / ".llama" / "distributions"
    assert directory.resolve() == directory


def test_a_config_made_in_code_has_its_storage_too() -> None:
    config = RunConfig(distro_name="x", providers={})
    assert set(config.storage.backends) == {"kv_default", "sql_default"}


def test_a_guard_names_registered_shields_and_opens_safety(tmp_path: Path) -> None:
    text = MINIMAL + "safety: {guards: [{shields: [guard, other], apis: [chat]}]}\n"
    shields = "registered_resources:\n  shields: [{shield_id: other, provider_id: p}]\n"
    [problem] = problems(tmp_path, text + shields)
    assert problem.path == ("safety", "guards", 0, "shields")
    assert "'guard' is not registered" in str(problem)
    assert "Registered: other" in str(problem)
    guarded = RunConfig.model_validate(
        {"distro_name": "x", "providers": {}, "apis": ["inference"], "safety": {"guards": [{"shields": ["other"]}]}}
    )
    assert guarded.opens("safety")
    assert not guarded.serves("safety")
    assert not RunConfig(distro_name="x", providers={}, apis=["inference"]).opens("safety")
