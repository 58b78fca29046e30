"""Bedrock's guardrails against the wire format of ApplyGuardrail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from llama_stack_api.errors import InvalidRequest, ProviderError, ProviderRejectedCredentials
from llama_stack_api.principal import Call
from llama_stack_api.safety import ViolationLevel
from tests.support.shields import opened_shield, shown
from tests.support.upstream import Upstream, Wire

pytestmark = pytest.mark.anyio
ARN = "arn:aws:bedrock:eu-west-1:123456789012:guardrail/abc"


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def guardrail(up: Upstream, where: Path, **more: Any) -> AbstractAsyncContextManager[Any]:
    return opened_shield(
        "remote::bedrock",
        where,
        **{
            "resource": ARN,
            "params": {"guardrailVersion": "3"},
            "base_url": up.url,
            "region_name": "eu-west-1",
            "aws_access_key_id": "AKIDEXAMPLE",
            "aws_secret_access_key": "wJalrXUtnFEMI",
            **more,
        },
    )


def intervened(action: str, text: str) -> Any:
    found = {"sensitiveInformationPolicy": {"piiEntities": [{"type": "EMAIL", "match": "a@b.c", "action": action}]}}
    return Wire().json({"action": "GUARDRAIL_INTERVENED", "outputs": [{"text": text}], "assessments": [found]})


async def test_what_passes(up: Upstream, tmp_path: Path) -> None:
    up.always(Wire().json({"action": "NONE", "outputs": [], "assessments": [{}]}))
    conversation = ["hello", {"role": "assistant", "content": "hi"}]
    async with guardrail(up, tmp_path) as provider:
        assert (await provider.run_shield(shown(*conversation), Call())).violation is None
    assert [request.body for request in up.requests] == [
        {"source": "INPUT", "content": [{"text": {"text": "hello"}}]},
        {"source": "OUTPUT", "content": [{"text": {"text": "hi"}}]},
    ]
    assert up.last.path == f"/guardrail/{ARN}/version/3/apply"
    assert "Credential=AKIDEXAMPLE/" in up.last.headers["authorization"]
    assert "/eu-west-1/bedrock/aws4_request" in up.last.headers["authorization"]


async def test_an_intervention_blocks_and_what_was_matched_stays_out(up: Upstream, tmp_path: Path) -> None:
    up.reply(intervened("BLOCKED", "Sorry, no."))
    async with guardrail(up, tmp_path) as provider:
        found = (await provider.run_shield(shown("mail a@b.c"), Call())).violation
    assert (found.violation_level, found.user_message) == (ViolationLevel.ERROR, "Sorry, no.")
    assert found.metadata == {"categories": ["EMAIL"]}


async def test_masking_is_a_remark_with_the_masked_text(up: Upstream, tmp_path: Path) -> None:
    up.reply(intervened("ANONYMIZED", "mail {EMAIL}"))
    async with guardrail(up, tmp_path) as provider:
        found = (await provider.run_shield(shown("mail a@b.c"), Call())).violation
    assert found.violation_level == ViolationLevel.WARN
    assert found.metadata["redacted"] == "mail {EMAIL}"


async def test_what_fails(up: Upstream, tmp_path: Path) -> None:
    async with guardrail(up, tmp_path) as provider:
        up.reply(Wire().json({"message": "The security token is invalid: AKIDEXAMPLE"}, status=403))
        with pytest.raises(ProviderRejectedCredentials) as raised:
            await provider.run_shield(shown("hello"), Call())
        assert "AKIDEXAMPLE" not in raised.value.message
        up.reply(Wire().json({"outputs": []}))
        with pytest.raises(ProviderError):
            await provider.run_shield(shown("hello"), Call())
    async with guardrail(up, tmp_path, resource="") as provider:
        with pytest.raises(InvalidRequest, match="provider_shield_id"):
            await provider.run_shield(shown("hello"), Call())
