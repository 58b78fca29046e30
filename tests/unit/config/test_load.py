from pathlib import Path

import pytest

from llama_stack.config.load import load_config
from llama_stack.config.problem import ConfigError
from tests.unit.config.support import MINIMAL, load, problems

DATA = Path(__file__).parent / "data"


def test_a_starter_config_of_the_reference_implementation_loads_unchanged(tmp_path: Path) -> None:
    file = DATA / "reference_starter.yaml"
    loaded = load_config(file, environ={"HOME": str(tmp_path), "OPENAI_API_KEY": "sk-1"})
    assert loaded.path == file
    opened = [(api, entry.provider_id) for api, entry in loaded.config.provider_entries()]
    assert ("inference", "openai") in opened
    assert ("vector_io", "faiss") in opened
    assert not {api for api, _ in opened} & {"agents", "batches", "eval", "scoring", "datasetio", "post_training"}
    assert "ollama" not in [provider_id for _, provider_id in opened]
    responses = loaded.config.service_settings("responses")
    assert responses["persistence"]["responses"]["table_name"] == "responses"
    assert loaded.config.service_settings("batches")["kvstore"]["namespace"] == "batches"
    assert loaded.config.service_settings("messages") == {}
    assert loaded.config.registered_resources.shields == []
    assert not [warning for warning in loaded.warnings if "not known" in warning.message]


def test_it_loads_with_everything_turned_on_and_strictly(tmp_path: Path) -> None:
    names = ["CEREBRAS_API_KEY", "OLLAMA_URL", "VLLM_URL", "NVIDIA_API_KEY", "SAFETY_MODEL", "PGVECTOR_DB"]
    environ = {"HOME": str(tmp_path), "SQLITE_STORE_DIR": "~/state", **dict.fromkeys(names, "x")}
    config = load_config(DATA / "reference_starter.yaml", environ=environ, strict=True).config
    assert [shield.provider_id for shield in config.registered_resources.shields] == ["llama-guard"]
    vllm = next(entry for _, entry in config.provider_entries() if entry.provider_id == "vllm")
    assert vllm.config["max_tokens"] == 4096
    assert vllm.config["network"] == {"tls": {"verify": True}}
    backend = config.storage.backends["sql_default"]
    assert backend.type == "sql_sqlite"
    assert backend.db_path == tmp_path / "state" / "sql_store.db"


def test_a_minimal_config_has_every_default(tmp_path: Path) -> None:
    loaded = load(tmp_path, MINIMAL)
    assert loaded.warnings == ()
    assert (loaded.config.server.host, loaded.config.server.port) == ("127.0.0.1", 8321)
    assert loaded.config.server.cors_policy is None
    assert loaded.config.server.auth is None
    backends = loaded.config.storage.backends
    directory = tmp_path / ".llama" / "distributions" / "test"
    assert backends["kv_default"].type == "kv_sqlite"
    assert backends["kv_default"].db_path == directory / "kvstore.db"


def test_all_problems_are_reported_at_once_with_path_line_and_remedy(tmp_path: Path) -> None:
    text = """distro_name: test
providers:
  inference:
  - provider_id: ${env.OFF:+off}
    provider_type: remote::x
  - provider_id: a
    provider_type: openai
    config: {api_key: "${env.NOT_THERE}"}
server:
  port: 99999
  quota: {anonymous_max_requests: 1}
  worker: 2
storage:
  backends:
    db: {type: sql_postgres}
"""
    found = {str(problem) for problem in problems(tmp_path, text, strict=True)}
    assert len(found) == 6
    for start, part in [
        ("providers.inference[1].config.api_key (line 8)", "export NOT_THERE=…"),
        ("providers.inference[1].provider_type (line 7)", "pattern"),
        ("server.port (line 10)", "65535"),
        ("server.quota (line 11)", "not enforced"),
        ("server.worker (line 12)", "Did you mean 'workers'?"),
        ("storage.backends.db.user (line 15)", "is required"),
    ]:
        assert any(line.startswith(start) and part in line for line in found), (start, found)


def test_the_error_text_names_the_file_and_lists_the_problems(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "distro_name: x\nproviders: {}\nserver: {port: x, workers: 0}\n")
    heading, *rest = str(caught.value).splitlines()
    assert heading == f"2 problems in {tmp_path / 'run.yaml'}:"
    assert all(line.startswith("  - server.") for line in rest)


def test_a_missing_variable_has_no_second_error_for_its_empty_place(tmp_path: Path) -> None:
    text = MINIMAL + "connectors:\n- connector_id: c\n  url: ${env.MCP_URL}\n"
    [problem] = problems(tmp_path, text)
    assert problem.path == ("connectors", 0, "url")
    assert problem.line == 6


def test_no_configured_value_is_shown(tmp_path: Path) -> None:
    secret = "hunter2-very-secret"
    text = f"""distro_name: test
providers: {{}}
storage:
  backends:
    a: {{type: sql_postgres, user: u, password: [{secret}]}}
    b: {{type: kv_redis, url: [{secret}]}}
server:
  auth:
    provider_config:
      type: api_keys
      keys: [{{id: a, hash: {secret}, expires_at: {secret}, key: {secret}}}]
connectors: [{{connector_id: c, url: {secret}, headers: {{authorization: [{secret}]}}}}]
"""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, strict=True)
    assert len(caught.value.problems) >= 6
    assert secret not in str(caught.value)
    assert "sha256sum" in str(caught.value)


def test_unknown_keys_warn_and_are_errors_when_strict(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + """servr: {port: 1}
server:
  limits: {body_bytes: 1024, json_depth_max: 32}
  cors: {allow_origin: [a]}
storage:
  backends:
    kv: {type: kv_redis, hst: x}
    sql: {type: sql_sqlite, db_path: /x, pool_size: 3}
registered_resources:
  models:
  - {model_id: m, provider_id: all, targts: []}
vector_stores: {default_embedding_model: {provider_id: a, model_id: b, zzz: 1}}
"""
    )
    loaded = load(tmp_path, text)
    warnings = {str(warning).split(" (line")[0]: warning.remedy or "" for warning in loaded.warnings}
    assert "server" in warnings["servr"]
    assert "body_bytes_max" in warnings["server.limits.body_bytes"]
    assert "allow_origins" in warnings["server.cors.allow_origin"]
    assert "host" in warnings["storage.backends.kv.hst"]
    assert "pool_pre_ping" in warnings["storage.backends.sql.pool_size"]
    assert "targets" in warnings["registered_resources.models[0].targts"]
    assert "Known here: " in warnings["vector_stores.default_embedding_model.zzz"]
    assert len(warnings) == 7
    assert all(warning.line for warning in loaded.warnings)
    assert loaded.config.server.limits.json_depth_max == 32
    assert len(problems(tmp_path, text, strict=True)) == 7


@pytest.mark.parametrize(
    "text",
    [
        "server: {ath: {provider_config: {type: api_keys}}}",
        "server: {auth: {provider_confg: {type: api_keys}}}",
        "server: {tls_ca_file: /ca.pem}",
        "auth: {provider_config: {type: api_keys}}",
        "quota: {period: day}",
        f"server: {{auth: {{provider_config: {{type: api_keys, keys: [{{id: a, hash: {'ab' * 32}, expires: 1}}]}}}}}}",
    ],
)
def test_a_misspelt_or_misplaced_restriction_stops_the_start(tmp_path: Path, text: str) -> None:
    [problem] = problems(tmp_path, MINIMAL + text + "\n")
    assert "is not known and has no effect" in str(problem)


def test_provider_configs_are_left_to_the_providers(tmp_path: Path) -> None:
    text = """distro_name: test
providers:
  inference:
  - {provider_id: a, provider_type: remote::a, config: {whatever: {they: like}}}
  - {provider_id: b, provider_type: remote::b, config: }
"""
    loaded = load(tmp_path, text, strict=True)
    [a, b] = [entry for _, entry in loaded.config.provider_entries()]
    assert a.config == {"whatever": {"they": "like"}}
    assert b.config == {}


@pytest.mark.parametrize(
    ("section", "path", "advice"),
    [
        ("auth: {provider_config: {type: oauth2_token, audience: x}}", "server.auth.provider_config", "api_keys"),
        ("auth: {provider_config: {type: custom, endpoint: x}}", "server.auth.provider_config", "gateway"),
        ("auth: {provider_config: {endpoint: x}}", "server.auth.provider_config", "api_keys"),
        ("auth: {access_policy: [{permit: {actions: [read]}}]}", "server.auth.access_policy", "gateway"),
        ("auth: {route_policy: [{permit: {paths: '*'}}]}", "server.auth.route_policy", "gateway"),
        ("quota: {}", "server.quota", "gateway"),
    ],
)
def test_restrictions_without_effect_stop_the_start(tmp_path: Path, section: str, path: str, advice: str) -> None:
    [problem] = problems(tmp_path, MINIMAL + f"server:\n  {section}\n")
    assert str(problem).startswith(f"{path} (line 5): ")
    assert advice in (problem.remedy or "")


def test_restrictions_that_are_empty_or_turned_off_do_not(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + """server:
  quota: null
  auth:
    provider_config: {type: "${env.AUTH:=}"}
    access_policy: []
    route_policy: []
"""
    )
    auth = load(tmp_path, text).config.server.auth
    assert auth is not None
    assert auth.provider_config is None


def test_mongodb_is_refused_without_further_errors(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + """storage:
  backends: {kv_default: {type: kv_mongodb, user: x}, sql_default: {type: sql_sqlite, db_path: /x}}
"""
    )
    [problem] = problems(tmp_path, text)
    assert "kv_mongodb is not supported" in str(problem)


def test_former_names_work_with_a_notice_even_when_strict(tmp_path: Path) -> None:
    text = """image_name: 007
providers: {}
logging_config: {category_levels: {server: DEBUG}}
telemetry: {enabled: true}
"""
    loaded = load(tmp_path, text, strict=True)
    assert loaded.config.distro_name == "7"
    assert loaded.config.logging is not None
    assert loaded.config.logging.category_levels == {"server": "debug"}
    assert [warning.path[0] for warning in loaded.warnings] == ["image_name", "logging_config", "telemetry"]


@pytest.mark.parametrize(
    ("text", "part"),
    [("", "must be a mapping"), ("- a\n", "must be a mapping"), ("a: [\n", "not valid YAML")],
)
def test_a_file_that_is_no_config(tmp_path: Path, text: str, part: str) -> None:
    [problem] = problems(tmp_path, text)
    assert part in str(problem)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(tmp_path / "run.yaml", environ={})


def test_duplicate_keys_stop_the_start(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, MINIMAL + "server: {port: 1}\nserver: {port: 2}\n")
    assert str(problem).startswith("server (line 5): ")


def test_a_password_of_digits_stays_text(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + """storage:
  backends:
    kv: {type: kv_redis, password: "${env.PASSWORD}"}
    sql: {type: sql_sqlite, db_path: /x}
"""
    )
    backend = load(tmp_path, text, {"PASSWORD": "123456"}).config.storage.backends["kv"]
    assert backend.type == "kv_redis"
    assert backend.password is not None
    assert backend.password.get_secret_value() == "123456"
    assert "123456" not in repr(backend)
