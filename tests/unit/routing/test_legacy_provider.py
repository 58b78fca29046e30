import json
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pydantic import BaseModel

from llama_stack.routing.catalog import Catalog
from llama_stack.routing.errors import ProviderModuleInvalid, ProviderTypeUnknown
from llama_stack.routing.models import inference_provider
from llama_stack_api.api import Api
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.openai.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest
from llama_stack_api.openai.moderations import CreateModerationRequest
from llama_stack_api.ports.http import HttpClient
from llama_stack_api.ports.inference import ChatCompletions, Completions, ModelListing, ModelType, ProviderModel
from llama_stack_api.ports.lifecycle import Closes, Opens
from llama_stack_api.ports.safety import Moderates, RegistersShields, RunsShields
from llama_stack_api.principal import Call, Principal
from llama_stack_api.provider import HealthStatus, ProviderContext
from llama_stack_api.safety import RunShieldRequest
from llama_stack_api.shields import Shield
from llama_stack_api.wire import EncodedReply
from tests.unit.routing.parts import memory_kv

pytestmark = pytest.mark.anyio

SPECS = """
    from llama_stack_api.api import Api
    from llama_stack_api.specs import InlineProviderSpec, RemoteProviderSpec

    def get_provider_spec():
        return [
            RemoteProviderSpec(
                api=Api.inference, provider_type="remote::former", adapter_type="former",
                config_class="former.config.Config", module="former.adapter",
                pip_packages=["requests"], optional_api_dependencies=[Api.safety],
            ),
            InlineProviderSpec(
                api=Api.safety, provider_type="inline::former-guard", config_class="former.config.Config",
                module="former.guard", description="Asks a model.", api_dependencies=[Api.inference],
            ),
        ]
"""
CONFIG = """
    from pydantic import BaseModel

    class Config(BaseModel):
        url: str = "http://localhost"
"""
ADAPTER = """
    class Model:
        def __init__(self, identifier, provider_resource_id, model_type, metadata):
            self.identifier, self.provider_resource_id = identifier, provider_resource_id
            self.model_type, self.metadata = model_type, metadata

    class Former:
        def __init__(self, config, deps):
            self.config, self.deps, self.closed = config, deps, False

        async def openai_chat_completion(self, params):
            if params.stream:
                return self._stream(params)
            message = {"role": "assistant", "content": self.config.url}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return {"id": "c", "created": 0, "model": params.model, "choices": [choice]}

        async def _stream(self, params):
            choice = {"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}
            yield {"id": "c", "created": 0, "model": params.model, "choices": [choice]}

        async def list_models(self):
            return [Model("former/llama", "llama", "llm", {"context_length": 8}),
                    Model("minilm", None, "embedding", {})]

        async def health(self):
            return {"status": "OK"}

        async def shutdown(self):
            self.closed = True

    async def get_adapter_impl(config, deps):
        return Former(config, deps)
"""
GUARD = """
    class Guard:
        def __init__(self, config, deps, policy):
            self.inference, self.policy = deps["inference"], policy

        async def run_shield(self, shield_id, messages, params=None):
            answer = await self.inference.openai_chat_completion(messages[0].content)
            metadata = {"shield": shield_id, "answer": answer, "params": params, "policy": self.policy}
            return {"violation": {"violation_level": "error", "metadata": metadata}}

    async def get_provider_impl(config, deps, policy):
        return Guard(config, deps, policy)
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package `former`, written for llama-stack-api 0.7."""
    home = tmp_path / "former"
    home.mkdir()
    (home / "__init__.py").touch()
    for name, text in {"provider": SPECS, "config": CONFIG, "adapter": ADAPTER, "guard": GUARD}.items():
        (home / f"{name}.py").write_text(dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    yield home
    for name in [name for name in sys.modules if name.partition(".")[0] == "former"]:
        del sys.modules[name]


def no_http(network: BaseModel | None) -> HttpClient:
    raise AssertionError("no network here")


def context(tmp_path: Path, deps: dict[Api, Any] | None = None) -> ProviderContext:
    return ProviderContext("my-former", "remote::former", tmp_path, no_http, memory_kv(), deps or {})


async def opened(tmp_path: Path, api: Api = Api.inference, provider_type: str = "remote::former", **deps: Any) -> Any:
    descriptor = Catalog().find(api, provider_type, "former==0.4.0")
    config = descriptor.config.model_validate({"url": "http://upstream"})
    impl = descriptor.create(config, context(tmp_path, {Api(name): dep for name, dep in deps.items()}))
    assert isinstance(impl, Opens)
    await impl.open()
    return impl


def test_a_spec_becomes_a_descriptor() -> None:
    found = Catalog().find(Api.inference, "remote::former", "former")
    assert found.pip_packages == ("requests",)
    assert found.optional_api_dependencies == (Api.safety,)
    assert found.config.model_fields.keys() == {"url"}
    guard = Catalog().find(Api.safety, "inline::former-guard", "former.provider")
    assert (guard.description, guard.api_dependencies) == ("Asks a model.", (Api.inference,))
    assert "former.adapter" not in sys.modules, "the provider itself is imported when it opens"


def test_a_type_that_no_spec_has_is_unknown() -> None:
    with pytest.raises(ProviderTypeUnknown, match="did you mean remote::former"):
        Catalog().find(Api.inference, "remote::formr", "former")


async def test_the_object_satisfies_the_ports_whose_methods_it_has(tmp_path: Path) -> None:
    impl = await opened(tmp_path)
    assert isinstance(impl, ChatCompletions)
    assert isinstance(impl, ModelListing)
    assert isinstance(impl, Closes)
    assert not isinstance(impl, Completions)


async def test_a_call_is_taken_off_and_the_reply_passes_through(tmp_path: Path) -> None:
    impl = await opened(tmp_path)
    params = ChatCompletionRequest.model_validate({"model": "llama", "messages": [{"role": "user", "content": "hi"}]})
    reply = await impl.openai_chat_completion(params, Call())
    assert isinstance(reply, ChatCompletion)
    assert (reply.model, reply.choices[0].message.content) == ("llama", "http://upstream")
    assert await impl.openai_chat_completion(params, call=Call()) == reply
    params.stream = True
    chunks = [chunk async for chunk in await impl.openai_chat_completion(params, Call())]
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["hi"]
    assert all(isinstance(chunk, ChatCompletionChunk) for chunk in chunks)


async def test_its_models_are_listed_under_the_providers_own_ids(tmp_path: Path) -> None:
    impl = await opened(tmp_path)
    assert await impl.list_models(Call()) == [
        ProviderModel("llama", ModelType.llm, {"context_length": 8}),
        ProviderModel("minilm", ModelType.embedding),
    ]
    assert inference_provider("former", impl).list_resources is not None


async def test_it_is_told_who_it_is_and_closed(tmp_path: Path) -> None:
    impl = await opened(tmp_path)
    former = impl.legacy_impl
    assert former.__provider_id__ == "my-former"
    assert former.__provider_spec__.provider_type == "remote::former"
    assert former.__provider_config__.url == "http://upstream"
    assert (await impl.health()).status is HealthStatus.OK
    await impl.close()
    assert former.closed


RIGID = """
    events = []

    class Rigid:
        __slots__ = ()  # so that nothing can be set on it

        async def shutdown(self):
            events.append("shutdown")

    async def get_adapter_impl(config, deps):
        return Rigid()
"""


async def test_what_does_not_open_is_closed_again(package: Path, tmp_path: Path) -> None:
    (package / "adapter.py").write_text(dedent(RIGID))
    with pytest.raises(AttributeError, match="__provider_id__"):
        await opened(tmp_path)
    assert sys.modules["former.adapter"].events == ["shutdown"]


async def test_other_apis_are_asked_for_the_same_caller_and_for_nobody_outside_a_call(tmp_path: Path) -> None:
    class Inference:
        async def openai_chat_completion(self, params: str, call: Call) -> str:
            return f"{params} for {call.principal.id}"

    impl = await opened(tmp_path, Api.safety, "inline::former-guard", inference=Inference())
    call = Call(principal=Principal("alice"))
    asked = RunShieldRequest.model_validate({"shield_id": "guard", "messages": [{"role": "user", "content": "hi"}]})
    found = (await impl.run_shield(asked, call)).violation
    assert found is not None
    assert found.metadata == {"shield": "guard", "answer": "hi for alice", "params": None, "policy": []}
    guard = impl.legacy_impl
    assert await guard.inference.openai_chat_completion("hi") == "hi for anonymous"
    assert (await impl.health()).status is HealthStatus.NOT_IMPLEMENTED
    await impl.close()


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("config", "Config = 1", r"`config_class` 'former\.config\.Config' of remote::former is not a pydantic model"),
        (
            "config",
            "import absent_module",
            r"`config_class` 'former\.config\.Config' of remote::former: module 'former\.config' needs 'absent_module'",
        ),
        ("provider", "get_provider_spec = dict", r"returned a dict; it must return a ProviderSpec"),
    ],
)
async def test_what_is_wrong_with_a_package_is_said(package: Path, file: str, text: str, complaint: str) -> None:
    (package / f"{file}.py").write_text(text)
    with pytest.raises(ProviderModuleInvalid, match=complaint):
        Catalog().find(Api.inference, "remote::former", "former")


async def test_a_module_without_its_factory_is_refused_when_it_opens(package: Path, tmp_path: Path) -> None:
    (package / "adapter.py").write_text("")
    with pytest.raises(
        ProviderModuleInvalid, match=r"former\.adapter of remote::former has no function get_adapter_impl"
    ):
        await opened(tmp_path)


MODERATING = """
    from llama_stack_api.safety import ModerationObject, ModerationObjectResults, RunShieldResponse

    class Guard:
        def __init__(self, config, deps, policy):
            self.inference = deps["inference"]

        async def run_shield(self, request):
            shield = await self.shield_store.get_shield(request.shield_id)
            answer = await self.inference.openai_chat_completion(shield.provider_resource_id)
            return RunShieldResponse(violation=None if answer.choices[0].message.content == "fine" else {
                "violation_level": "error", "user_message": "No.", "metadata": {"violation_type": "S1"}})

        async def run_moderation(self, request):
            texts = [request.input] if isinstance(request.input, str) else request.input
            return ModerationObject(id="modr-theirs", model=request.model, results=[
                ModerationObjectResults(flagged="bad" in text, categories={"S1": "bad" in text}) for text in texts])

    async def get_provider_impl(config, deps, policy):
        return Guard(config, deps, policy)
"""


async def test_a_safety_provider_runs_shields_and_moderates(package: Path, tmp_path: Path) -> None:
    """Its other APIs answer by objects, as they did."""
    (package / "guard.py").write_text(dedent(MODERATING))

    class Inference:
        async def openai_chat_completion(self, params: str, call: Call) -> EncodedReply[ChatCompletion]:
            assert params == "guard-8b"
            message = {"role": "assistant", "content": f"not for {call.principal.id}"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            body = {"id": "c", "created": 0, "model": "m", "choices": [choice]}
            return EncodedReply(json.dumps(body).encode(), ChatCompletion)

    impl = await opened(tmp_path, Api.safety, "inline::former-guard", inference=Inference())
    assert isinstance(impl, RunsShields)
    assert isinstance(impl, Moderates)
    assert isinstance(impl, RegistersShields)
    await impl.register_shield(Shield(identifier="guard", provider_id="my-former", provider_resource_id="guard-8b"))
    asked = RunShieldRequest.model_validate({"shield_id": "guard", "messages": [{"role": "user", "content": "hi"}]})
    found = (await impl.run_shield(asked, Call())).violation
    assert found is not None
    assert found.metadata == {"violation_type": "S1"}
    for given in ("so bad", ["so bad"], [{"type": "text", "text": "so bad"}]):
        request = CreateModerationRequest.model_validate({"input": given, "model": "guard"})
        judged = await impl.moderate(request, Call())
        assert judged.model == "guard"
        assert judged.results[0].flagged
        assert judged.results[0].categories["S1"]
        assert not judged.results[0].categories["hate"]
    image = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    with pytest.raises(InvalidRequest, match="text alone"):
        await impl.moderate(CreateModerationRequest.model_validate({"input": image, "model": "guard"}), Call())
