"""The variables of a run config."""

from __future__ import annotations

from llama_stack.cli.recipes.variables import Variable, variables_of

TEXT = """
version: 2
providers:
  inference:
  - provider_id: ${env.GPU_URL:+gpu}
    provider_type: remote::vllm
    config:
      base_url: ${env.GPU_URL}
      api_key: ${env.SHARED_KEY:=}
      network: {tls: {verify: "${env.VERIFY:=true}"}}
  - provider_id: other
    provider_type: remote::vllm
    config: {base_url: "${env.OTHER_URL}", api_key: "${env.SHARED_KEY:=}"}
server: {port: "${env.PORT:=8321}", quota: {names: ["${env.A}-${env.B:=b}"]}}
"""


def test_each_says_what_it_is_for() -> None:
    assert variables_of(TEXT) == [
        Variable("GPU_URL", None, required=False, provider_ids=("gpu",), turns_on=("gpu",), places=("gpu: base_url",)),
        Variable(
            "SHARED_KEY", None, required=False, provider_ids=("gpu", "other"), places=("gpu: api_key", "other: api_key")
        ),
        Variable("VERIFY", "true", required=False, provider_ids=("gpu",), places=("gpu: network.tls.verify",)),
        Variable("OTHER_URL", None, required=True, provider_ids=("other",), places=("other: base_url",)),
        Variable("PORT", "8321", required=False, settings=("server.port",), places=("server.port",)),
        Variable("A", None, required=True, settings=("server.quota.names",), places=("server.quota.names[0]",)),
        Variable("B", "b", required=False, settings=("server.quota.names",), places=("server.quota.names[0]",)),
    ]


def test_a_config_without_any_has_none() -> None:
    assert variables_of("version: 2\nproviders: {}\n") == []
