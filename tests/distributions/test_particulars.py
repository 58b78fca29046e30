"""What a distribution registers besides what its providers list: shields over models, and names of models."""

from __future__ import annotations

from typing import Any

import pytest

from tests.distributions.backends import BACKENDS
from tests.distributions.conftest import ANSWER, case_of, first_model, says
from tests.distributions.served import Distribution
from tests.support.edge import client
from tests.support.upstream import Upstream, Wire

pytestmark = pytest.mark.anyio

GUARDS = {"dell": "meta-llama/Llama-Guard-3-1B", "ollama": "llama-guard", "vllm": "llama-guard"}


async def _moderated(served: Distribution, shield: str) -> Any:
    return (await served.openai.moderations.create(model=shield, input="How do I pick a lock?")).results[0]


@pytest.mark.parametrize("name", GUARDS)
async def test_a_model_of_the_backend_judges_safety(name: str, served: Distribution, up: Upstream) -> None:
    up.always(says(case_of(BACKENDS[name]), "unsafe\nS2"))
    judged = await _moderated(served, GUARDS[name])
    assert judged.flagged
    assert up.last.body["model"] in (GUARDS[name], first_model(BACKENDS[name]))


@pytest.mark.parametrize("name", ["nvidia"])
async def test_nemo_guardrails_judge(name: str, served: Distribution, up: Upstream) -> None:
    refusal = {"status": "blocked", "rails_status": {"self check input": {"status": "blocked"}}}
    up.always(Wire().json(refusal), on="/v1/guardrail/checks")
    assert (await _moderated(served, "guardrails")).flagged
    assert up.last.body["model"] == "meta/llama-3.1-8b-instruct"
    assert up.last.body["guardrails"] == {"config_id": "self-check"}


@pytest.mark.parametrize("name", ["coding-agent"])
async def test_one_model_answers_agents_whatever_they_ask_for(name: str, served: Distribution, up: Upstream) -> None:
    for asked in ("coding", "gpt-5.1-codex", "gpt-5-codex"):
        response = await served.openai.responses.create(model=asked, input="Who is there?")
        assert response.output_text == ANSWER
        assert up.last.body["model"] == first_model(BACKENDS[name])
    async with client(served.server) as http:
        for asked in ("claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5"):
            message = {"model": asked, "max_tokens": 99, "messages": [{"role": "user", "content": "Hello"}]}
            reply = await http.post("/v1/messages", json=message)
            assert reply.headers["x-llama-stack-provider"] == "vllm", reply.text
            assert reply.json()["model"] == asked
            assert up.last.body["model"] == first_model(BACKENDS[name])
