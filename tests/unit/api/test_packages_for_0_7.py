"""What packages written for `llama-stack-api` 0.7 import, subclass and raise."""

from __future__ import annotations

import importlib

import pytest

from llama_stack_api import errors
from llama_stack_api.common.errors import (
    ConnectorToolNotFoundError,
    InvalidParameterError,
    ModelNotFoundError,
    ServiceNotEnabledError,
)
from llama_stack_api.datatypes import Api, ProviderSpec, RemoteProviderSpec, ShieldsProtocolPrivate
from llama_stack_api.inference import (
    OpenAIAssistantMessageParam,
    OpenAIChatCompletionRequestWithExtraBody,
    OpenAIDeveloperMessageParam,
    OpenAISystemMessageParam,
    OpenAIToolMessageParam,
    OpenAIUserMessageParam,
    ToolResponseMessage,
)
from llama_stack_api.openai.chat import ChatCompletionRequest, UserMessage
from llama_stack_api.resource import ResourceType
from llama_stack_api.safety import (
    ModerationObject,
    ModerationObjectResults,
    RunShieldResponse,
    Safety,
    SafetyViolation,
    ShieldStore,
    ViolationLevel,
)
from llama_stack_api.safety.models import RunModerationRequest, RunShieldRequest
from llama_stack_api.schema_utils import json_schema_type, webmethod
from llama_stack_api.shields import (
    GetShieldRequest,
    ListShieldsResponse,
    RegisterShieldRequest,
    Shield,
    Shields,
    UnregisterShieldRequest,
)

pytestmark = pytest.mark.anyio

MODULES = (
    "admin batches common.content_types common.errors common.job_types common.responses common.training_types"
    " common.type_system connectors conversations datatypes file_processors files filters inference inspect_api"
    " internal.kvstore internal.sqlstore messages models openai_responses prompts providers rag_tool resource"
    " router_utils safety safety.models schema_utils shields tools validators vector_io vector_stores version"
)


@pytest.mark.parametrize("module", MODULES.split())
def test_module_is_there(module: str) -> None:
    assert importlib.import_module(f"llama_stack_api.{module}").__doc__


@json_schema_type
class Verdict(RunShieldResponse):
    score: float = 0.0


class Words(Safety, Shields):
    """A safety provider in the style of 0.7: it flags words."""

    def __init__(self) -> None:
        self.shields: dict[str, Shield] = {}

    async def register_shield(self, request: RegisterShieldRequest) -> Shield:
        shield = Shield(identifier=request.shield_id, provider_id="words", params=request.params)
        self.shields[shield.identifier] = shield
        return shield

    async def unregister_shield(self, request: UnregisterShieldRequest) -> None:
        del self.shields[request.identifier]

    async def get_shield(self, request: GetShieldRequest) -> Shield:
        return self.shields[request.identifier]

    async def list_shields(self) -> ListShieldsResponse:
        return ListShieldsResponse(data=list(self.shields.values()))

    async def run_shield(self, request: RunShieldRequest) -> RunShieldResponse:
        bad = (await self.get_shield(GetShieldRequest(identifier=request.shield_id))).params or {}
        said = " ".join(str(message.content) for message in request.messages)
        if bad["word"] not in said:
            return Verdict()
        violation = SafetyViolation(violation_level=ViolationLevel.ERROR, user_message="No.", metadata={"code": "w"})
        return Verdict(violation=violation, score=1.0)

    async def run_moderation(self, request: RunModerationRequest) -> ModerationObject:
        texts = [request.input] if isinstance(request.input, str) else request.input
        results = [ModerationObjectResults(flagged="bad" in text) for text in texts]
        return ModerationObject(id="m", model=request.model or "words", results=results)


async def test_a_safety_provider_runs() -> None:
    provider = Words()
    store: ShieldStore = provider
    await provider.register_shield(RegisterShieldRequest(shield_id="s", params={"word": "bad"}))

    flagged = await provider.run_shield(
        RunShieldRequest(shield_id="s", messages=[OpenAIUserMessageParam(content="a bad word")])
    )
    fine = await provider.run_shield(
        RunShieldRequest(shield_id="s", messages=[OpenAIAssistantMessageParam(content="a word")])
    )

    assert flagged.violation
    assert flagged.model_dump(mode="json")["violation"]["violation_level"] == "error"
    assert fine.violation is None
    assert (await store.get_shield(GetShieldRequest(identifier="s"))).type is ResourceType.shield
    assert [r.flagged for r in (await provider.run_moderation(RunModerationRequest(input=["bad", "ok"]))).results] == [
        True, False,
    ]  # fmt: skip
    assert isinstance(provider, Safety)


def test_provider_side_registration_is_a_protocol_of_its_own() -> None:
    class Registers:
        async def register_shield(self, shield: Shield) -> None: ...

        async def unregister_shield(self, identifier: str) -> None: ...

    registers: ShieldsProtocolPrivate = Registers()
    assert registers


def test_a_spec_reads_names_of_apis() -> None:
    spec = RemoteProviderSpec.model_validate(
        {
            "api": "safety",
            "provider_type": "remote::words",
            "adapter_type": "words",
            "config_class": "words.Config",
            "module": "words",
            "api_dependencies": ["inference"],
        }
    )
    assert isinstance(spec, ProviderSpec)
    assert spec.api is Api.safety
    assert spec.api_dependencies == [Api.inference]
    assert (spec.is_external, spec.pip_packages, spec.description) == (False, [], None)


def test_aliases_are_our_types() -> None:
    assert OpenAIUserMessageParam is UserMessage
    assert OpenAIChatCompletionRequestWithExtraBody is ChatCompletionRequest
    assert {OpenAISystemMessageParam(content="x").role, OpenAIDeveloperMessageParam(content="x").role} == {
        "system", "developer",
    }  # fmt: skip
    assert OpenAIToolMessageParam(content="x", tool_call_id="1").role == "tool"
    assert ToolResponseMessage(call_id="1", content="x").role == "tool"


def test_errors_are_branches_of_the_one_tree() -> None:
    missing = ModelNotFoundError("m")
    assert isinstance(missing, errors.ModelNotFound)
    assert (missing.status, missing.code, missing.param) == (404, "model_not_found", "model")
    assert "'m'" in missing.message
    assert isinstance(InvalidParameterError("n", 0, "Must be >= 1."), ValueError)
    assert ServiceNotEnabledError("Safety API").status == 503
    assert "client.connectors.list_tools('c')" in ConnectorToolNotFoundError("c", "t").message


def test_webmethod_states_a_route() -> None:
    @webmethod(route="/words", method="GET", level="v1", deprecated=True)
    def words() -> None: ...

    stated = words.__webmethod__  # type: ignore[attr-defined]
    assert (stated.route, stated.method, stated.level, stated.deprecated) == ("/words", "GET", "v1", True)
