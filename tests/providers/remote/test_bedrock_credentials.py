"""Who we are to Bedrock: roles, web identities and what else AWS's chain finds; the loopbacks check signatures."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from llama_stack.providers._shared.bedrock_config import BedrockConfig
from llama_stack_api.errors import ProviderRejectedCredentials
from llama_stack_api.principal import Call
from llama_stack_api.provider import Descriptor
from tests.providers.remote.bench import Bench, chat, on_bench
from tests.providers.remote.cases import CASES
from tests.support.anthropic_upstream_bedrock import BedrockUpstream
from tests.support.sts_upstream import StsUpstream
from tests.support.upstream import Answer, Recorded, Upstream
from tests.support.upstream_wire import Wire

pytestmark = pytest.mark.anyio
CASE = next(case for case in CASES if case.name == "bedrock-converse")
OWN = {"AKIDOWN": "own-secret"}
KEYS = {"aws_access_key_id": "AKIDOWN", "aws_secret_access_key": "own-secret"}
ROLE = "arn:aws:iam::123456789012:role/llama"


@pytest.fixture
def issued() -> dict[str, str]:
    """Access keys with their secrets that Bedrock accepts."""
    return {}


@pytest.fixture
def bedrock(issued: dict[str, str]) -> Iterator[BedrockUpstream]:
    with BedrockUpstream(secrets=issued) as up:
        assert isinstance(up, BedrockUpstream)
        yield up


@pytest.fixture
async def bench(
    bedrock: BedrockUpstream, descriptors: dict[str, Descriptor], tmp_path: Path, nobody_at_aws: None
) -> AsyncIterator[Bench]:
    async with on_bench(CASE, bedrock, descriptors, tmp_path) as bench:
        yield bench


async def ask(provider: Any) -> None:
    await provider.openai_chat_completion(chat(), Call())


async def test_a_role_of_another_account(bench: Bench, issued: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with StsUpstream(OWN, issued, external_id="ours-1") as sts:
        assert isinstance(sts, StsUpstream)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        role = {**KEYS, "aws_role_arn": ROLE, "aws_role_session_name": "night", "session_ttl": 900}
        provider = bench.open(api_key=None, **role, aws_role_external_id="ours-1")
        await ask(provider)
        await ask(provider)
        (said,) = sts.said
        assert (said["RoleArn"], said["RoleSessionName"], said["DurationSeconds"]) == (ROLE, "night", "900")
        assert bench.sent.headers["x-amz-security-token"] == "t-0"
        with pytest.raises(ProviderRejectedCredentials):
            await ask(bench.open(api_key=None, **role))
        wrong = {**role, "aws_secret_access_key": "wrong"}
        with pytest.raises(ProviderRejectedCredentials):
            await ask(bench.open(api_key=None, **wrong, aws_role_external_id="ours-1"))


async def test_credentials_that_end_soon_are_renewed(
    bench: Bench, issued: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with StsUpstream(OWN, issued, lasts_s=120) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        provider = bench.open(api_key=None, **KEYS, aws_role_arn=ROLE)
        await ask(provider)
        before = bench.sent.headers["x-amz-security-token"]
        await ask(provider)
        assert bench.sent.headers["x-amz-security-token"] != before


async def test_a_web_identity(
    bench: Bench, issued: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a pod of Kubernetes has it: named in the config, or found by AWS's variables."""
    token = tmp_path / "token"
    token.write_text("a.b.c")
    with StsUpstream(OWN, issued, web_token="a.b.c") as sts:
        assert isinstance(sts, StsUpstream)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        await ask(bench.open(api_key=None, aws_role_arn=ROLE, aws_web_identity_token_file=str(token)))
        monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        await ask(bench.open(api_key=None))
        assert [said["Action"] for said in sts.said] == ["AssumeRoleWithWebIdentity"] * 2
        assert len(issued) == 2


async def test_credentials_of_a_container(
    bench: Bench, issued: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    issued["ASIACONTAINER"] = "container-secret"
    given = {
        "AccessKeyId": "ASIACONTAINER",
        "SecretAccessKey": "container-secret",
        "Token": "t",
        "Expiration": "2099-01-01T00:00:00Z",
    }

    def told(request: Recorded) -> Answer:
        assert request.headers["authorization"] == "pod-token"
        return Wire().json(given)

    with Upstream() as agent:
        agent.always(told, on="/credentials")
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{agent.url}/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token")
        provider = bench.open(api_key=None)
        await ask(provider)
        await ask(provider)
        assert len(agent.requests) == 1
    assert bench.sent.headers["x-amz-security-token"] == "t"


async def test_a_profile_may_name_a_role(
    bench: Bench, issued: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[profile base]\naws_access_key_id = AKIDOWN\naws_secret_access_key = own-secret\n"
        f"[profile team]\nrole_arn = {ROLE}\nsource_profile = base\nexternal_id = ours-1\nregion = us-east-1\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    with StsUpstream(OWN, issued, external_id="ours-1") as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        await ask(bench.open(api_key=None, profile_name="team"))
    assert bench.sent.headers["x-amz-security-token"] == "t-0"


@pytest.mark.parametrize(
    ("config", "says_so"),
    [
        ({"aws_role_arn": "r", "aws_web_identity_token_file": "/t", "aws_role_external_id": "x"}, "external_id"),
        ({"guardrail_version": "1"}, "guardrail_identifier"),
        ({"guardrail_identifier": "g", "guardrail_version": "latest"}, "guardrail_version"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_the_start(config: dict[str, Any], says_so: str) -> None:
    with pytest.raises(ValueError, match=says_so):
        BedrockConfig.model_validate(config)


@pytest.mark.parametrize(
    ("region", "host"),
    [("eu-central-1", "eu-central-1.amazonaws.com"), ("cn-north-1", "cn-north-1.amazonaws.com.cn")],
)
async def test_addresses_are_those_of_the_region(bench: Bench, region: str, host: str) -> None:
    provider = bench.open(base_url=None, region_name=region)
    assert provider.model_url("m", "converse", Call()) == f"https://bedrock-runtime.{host}/model/m/converse"


def test_secrets_do_not_show() -> None:
    config = BedrockConfig.model_validate({**KEYS, "aws_session_token": "tok-1", "api_key": "key-1"})
    shown = repr(config) + config.model_dump_json()
    assert not [secret for secret in ("own-secret", "tok-1", "key-1") if secret in shown]
    assert json.loads(config.model_dump_json())["aws_secret_access_key"] == "**********"
