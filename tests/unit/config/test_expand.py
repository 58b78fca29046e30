from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llama_stack.config.expand import expand
from llama_stack.config.problem import Severity

HOME = Path("/home/someone")
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def _providers(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"providers": {"inference": list(entries)}}


def test_a_provider_that_is_off_is_dropped_before_its_config_is_read() -> None:
    off = [
        {"provider_id": provider_id, "config": {"api_key": "${env.REQUIRED}"}}
        for provider_id in ("${env.KEY:+openai}", "__disabled__", "${env.KEY:=__disabled__}", "", None)
    ]
    on = {"provider_id": "${env.OTHER:+groq}", "config": {"api_key": "${env.OTHER}"}}
    result = expand(_providers(*off, on), {"OTHER": "k"}, HOME)
    assert result.data == _providers({"provider_id": "groq", "config": {"api_key": "k"}})
    assert result.problems == []


def test_paths_lead_back_to_the_file() -> None:
    data = _providers({"provider_id": "${env.A:+a}"}, {"provider_id": "b"}, {"provider_id": None}, {"provider_id": "d"})
    result = expand(data, {}, HOME)
    assert result.origin(("providers", "inference", 0, "config")) == ("providers", "inference", 1, "config")
    assert result.origin(("providers", "inference", 1)) == ("providers", "inference", 3)
    assert result.origin(("providers", "inference", 7)) == ("providers", "inference", 7)
    assert result.origin(("apis", 2)) == ("apis", 2)


def test_a_provider_without_an_id_is_not_taken_for_disabled() -> None:
    assert expand(_providers({"provider_type": "remote::x"}), {}, HOME).data["providers"]["inference"]


def test_a_missing_variable_is_reported_where_it_stands_in_the_file() -> None:
    data = _providers({"provider_id": None}, {"provider_id": "b", "config": {"urls": ["x", "${env.URL_B}"]}})
    [problem] = expand(data, {}, HOME).problems
    assert problem.path == ("providers", "inference", 1, "config", "urls", 1)
    assert "URL_B" in problem.message
    assert problem.remedy is not None
    assert "export URL_B=" in problem.remedy
    assert "${env.URL_B:=" in problem.remedy


def test_resources_without_an_id_or_a_provider_are_dropped() -> None:
    resources = {
        "models": [
            {"model_id": "${env.M:=}", "provider_id": "p"},
            {"model_id": "a", "provider_id": "${env.P:+p}"},
            {"model_id": "b", "provider_id": "__disabled__"},
            {"model_id": "c", "provider_id": None},
            {"model_id": "d"},
        ],
        "shields": [{"shield_id": "s", "provider_id": "${env.P:+p}"}, {"shield_id": "t", "provider_id": "q"}],
        "vector_stores": [{"vector_store_id": "${env.V:=}"}],
    }
    kept = expand({"registered_resources": resources}, {}, HOME).data["registered_resources"]
    assert [model["model_id"] for model in kept["models"]] == ["c", "d"]
    assert [shield["shield_id"] for shield in kept["shields"]] == ["t"]
    assert kept["vector_stores"] == []


def test_targets_that_are_off_are_dropped_and_so_is_a_model_without_any() -> None:
    models = [
        {"model_id": "a", "targets": [{"provider_id": "${env.P:+p}"}, {"provider_id": "q"}]},
        {"model_id": "b", "targets": [{"provider_id": "${env.P:+p}"}]},
    ]
    result = expand({"registered_resources": {"models": models}}, {}, HOME)
    assert result.data["registered_resources"]["models"] == [{"model_id": "a", "targets": [{"provider_id": "q"}]}]
    path = ("registered_resources", "models", 0, "targets", 0)
    assert result.origin(path) == ("registered_resources", "models", 0, "targets", 1)


def test_authentication_without_a_type_is_off() -> None:
    auth = {"provider_config": {"type": "${env.AUTH:=}", "file": "${env.KEYS}"}, "access_policy": []}
    result = expand({"server": {"auth": auth}}, {}, HOME)
    assert result.data["server"]["auth"] == {"provider_config": None, "access_policy": []}
    assert result.problems == []


def test_a_backend_without_a_type_is_left_out() -> None:
    backends = {"r": {"type": "${env.REDIS_URL:+kv_redis}", "url": "${env.REDIS_URL}"}, "s": {"type": "kv_sqlite"}}
    result = expand({"storage": {"backends": backends}}, {}, HOME)
    assert list(result.data["storage"]["backends"]) == ["s"]
    assert result.problems == []


def test_a_lower_case_reference_stays_and_is_a_mistake() -> None:
    result = expand({"container_image": "${env.image}"}, {"image": "x"}, HOME)
    assert result.data == {"container_image": "${env.image}"}
    assert [problem.severity for problem in result.problems] == [Severity.MISTAKE]


@given(st.dictionaries(st.text(max_size=8), PLAIN, max_size=4))
def test_without_references_nothing_changes(data: dict[str, Any]) -> None:
    result = expand({"x": data}, {}, HOME)
    assert result.data == {"x": data}
    assert result.problems == []
