"""What is told of the remote providers, and old run configs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from llama_stack.providers._shared.openai_compatible import OpenAICompatibleConfig
from llama_stack_api.provider import Descriptor
from tests.providers.remote.case import Case
from tests.providers.remote.cases import CASES

every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
_ENV = re.compile(r"\$\{env\.[A-Z0-9_]+:=(?P<default>[^}]*)\}")


def test_every_remote_provider_has_a_case(descriptors: Mapping[str, Descriptor]) -> None:
    assert {case.type for case in CASES} == set(descriptors)
    assert len(descriptors) >= 22


@every
def test_descriptor_can_be_shown(case: Case, descriptors: Mapping[str, Descriptor]) -> None:
    found = descriptors[case.type]
    assert found.module.endswith(found.name.replace("-", "_")), "the catalog looks a type up by its file's name"
    assert found.description.endswith(".")
    assert len(found.description) > 20
    assert set(found.sample) <= set(found.config.model_fields)
    assert set(found.data_keys.values()) <= set(found.config.model_fields)
    if found.turned_on_by is not None:
        assert any(found.turned_on_by in value for value in found.sample.values())


@every
def test_sample_is_a_config_that_changes_no_default(case: Case, descriptors: Mapping[str, Descriptor]) -> None:
    found = descriptors[case.type]
    needed = {name: "http://h" for name, field in found.config.model_fields.items() if field.is_required()}
    sample = {key: _unset(value) for key, value in found.sample.items()}
    config = found.config.model_validate({**sample, **needed})
    assert config.model_dump() == found.config.model_validate(needed).model_dump()


def _unset(value: str) -> str | None:
    """What the sample means in an environment without any of its variables."""
    match = _ENV.fullmatch(value)
    assert match, f"{value} does not read the environment, or fails without"
    return match["default"] or None


FORMER: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "remote::vllm",
        {"url": "http://v/v1", "api_token": "t", "tls_verify": False, "max_tokens": 4096},
        {"base_url": "http://v/v1", "api_key": "t", "network.tls.verify": False, "max_tokens": 4096},
    ),
    ("remote::ollama", {"url": "http://o:11434"}, {"base_url": "http://o:11434"}),
    ("remote::openai", {"base_url": None, "api_key": ""}, {"base_url": "https://api.openai.com/v1", "api_key": None}),
    ("remote::openai", {"auth_credential": "k"}, {"api_key": "k"}),
    ("remote::databricks", {"url": "https://w", "api_token": "t"}, {"base_url": "https://w", "api_key": "t"}),
    ("remote::runpod", {"url": "https://r", "api_token": "t"}, {"base_url": "https://r", "api_key": "t"}),
    (
        "remote::nvidia",
        {"url": "https://integrate.api.nvidia.com", "timeout": 60},
        {"base_url": "https://integrate.api.nvidia.com", "network.timeout": 60},
    ),
    (
        "remote::watsonx",
        {"url": "https://eu-de.ml.cloud.ibm.com", "timeout": 60, "project_id": "p"},
        {"base_url": "https://eu-de.ml.cloud.ibm.com", "network.timeout": 60, "project_id": "p"},
    ),
    (
        "remote::azure",
        {"api_base": "https://a.openai.azure.com", "api_version": "2024-06-01", "api_type": "azure"},
        {"base_url": "https://a.openai.azure.com", "api_version": "2024-06-01"},
    ),
    (
        "remote::llama-openai-compat",
        {"openai_compat_api_base": "https://l/compat/v1/"},
        {"base_url": "https://l/compat/v1/"},
    ),
    (
        "remote::oci",
        {
            "oci_auth_type": "config_file",
            "oci_config_file_path": "~/.oci/config",
            "oci_config_profile": "DEFAULT",
            "oci_region": "us-chicago-1",
            "oci_compartment_id": "ocid1.compartment.oc1..c",
            "oci_serving_mode": "ON_DEMAND",
            "oci_user_ocid": "",
            "oci_tenancy_ocid": "",
            "oci_fingerprint": "",
            "oci_private_key": "",
        },
        {"oci_auth_type": "config_file", "oci_region": "us-chicago-1", "oci_private_key": None, "oci_user_ocid": None},
    ),
    ("remote::anthropic", {"url": "https://api.anthropic.com/v1"}, {"base_url": "https://api.anthropic.com/v1"}),
    (
        "remote::bedrock",
        {
            "region_name": "us-west-2",
            "connect_timeout": 5,
            "read_timeout": 50,
            "total_max_attempts": 3,
            "profile_name": "",
        },
        {"region_name": "us-west-2", "network.timeout.connect": 5, "network.timeout.read": 50, "profile_name": None},
    ),
    (
        "remote::gemini",
        {"base_url": "https://g/v1beta/openai/", "api_key": "", "access_token": "t", "project": 123},
        {"base_url": "https://g/v1beta/openai/", "api_key": None, "access_token": "t", "project": "123"},
    ),
    ("remote::vertexai", {"project": "p-1", "location": ""}, {"project": "p-1", "location": "global", "base_url": ""}),
    ("remote::passthrough", {"url": "http://p"}, {"base_url": "http://p"}),
    ("remote::together", {"network": {"timeout": 3.0}, "timeout": 60}, {"network.timeout": 3.0}),
]


@pytest.mark.parametrize(("kind", "said", "meant"), FORMER, ids=lambda value: value if isinstance(value, str) else "")
def test_former_names_are_read(
    kind: str, said: dict[str, Any], meant: dict[str, Any], descriptors: Mapping[str, Descriptor]
) -> None:
    config = descriptors[kind].config.model_validate(said)
    for path, value in meant.items():
        found: Any = config
        for name in path.split("."):
            found = getattr(found, name)
        assert (found.get_secret_value() if hasattr(found, "get_secret_value") else found) == value
    assert not config.model_extra, "nothing is left to be warned about"


@pytest.mark.parametrize(
    "kind", ["remote::vllm", "remote::tgi", "remote::databricks", "remote::runpod", "remote::azure"]
)
def test_an_address_is_required_where_there_is_no_default(kind: str, descriptors: Mapping[str, Descriptor]) -> None:
    config: type[BaseModel] = descriptors[kind].config
    with pytest.raises(ValidationError, match="base_url"):
        config.model_validate({"base_url": None})


@pytest.mark.parametrize("url", ["ftp://h/v1", "localhost:8000", "https://user:pass@h/v1", "http://"])
def test_an_address_is_one_and_holds_no_credentials(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        OpenAICompatibleConfig(base_url=url)
    assert "pass@" not in "".join(error["msg"] for error in refused.value.errors())
