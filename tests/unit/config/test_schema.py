import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from llama_stack.config.locate import packaged_distributions
from llama_stack.config.schema import run_config_schema

FILES = [*packaged_distributions().values(), Path(__file__).parent / "data" / "reference_starter.yaml"]


def _errors(document: Any) -> list[str]:
    validator = jsonschema_rs.Draft202012Validator(run_config_schema())
    return [error.message for error in validator.iter_errors(document)]


def test_the_schema_is_deterministic_json() -> None:
    assert json.dumps(run_config_schema()) == json.dumps(run_config_schema())
    jsonschema_rs.meta.validate(run_config_schema())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_as_they_are_written_fit_the_schema(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    resources = document.get("registered_resources", {})
    for retired in ("vector_dbs", "datasets", "scoring_fns", "benchmarks"):
        resources.pop(retired, None)
    assert _errors(document) == []


@pytest.mark.parametrize(
    ("section", "fits"),
    [
        ({"server": {"port": 8321}}, True),
        ({"server": {"port": "${env.PORT:=8321}"}}, True),
        ({"server": {"port": "many"}}, False),
        ({"server": {"prt": 1}}, False),
        ({"server": {"cors": True}}, True),
        ({"storage": {"backends": {"a": {"type": "kv_redis", "port": "${env.P}"}}}}, True),
        ({"storage": {"backends": {"a": {"type": "kv_mongodb"}}}}, False),
    ],
)
def test_the_schema_knows_the_sections(section: dict[str, Any], fits: bool) -> None:
    assert (_errors({"distro_name": "x", "providers": {}, **section}) == []) is fits


def test_one_of_both_names_is_needed() -> None:
    assert _errors({"image_name": "x", "providers": {}}) == []
    assert _errors({"providers": {}}) != []


def test_fields_are_described_by_the_words_below_them() -> None:
    schema = run_config_schema()
    limits = schema["$defs"]["LimitsConfig"]["properties"]
    assert limits["body_bytes_max"]["description"]
    described = [each for section in schema["$defs"].values() for each in section.get("properties", {}).values()]
    assert sum("description" in each for each in described) > 100
