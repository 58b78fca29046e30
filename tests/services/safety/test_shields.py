"""Shields: which provider is asked, what its answer means, and that nothing passes where there is none."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from llama_stack.agent.guardrails import Guardrails
from llama_stack.agent.ports import Redacted, Violation
from llama_stack.config.model import ProviderEntry
from llama_stack.config.resources import ShieldEntry
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.errors import RegisteredResourceInvalid
from llama_stack.routing.opening import ProviderOpener
from llama_stack.services.safety.shields import ShieldRouter
from llama_stack_api.api import Api
from llama_stack_api.errors import (
    InvalidRequest,
    LlamaStackError,
    NotFound,
    ProviderError,
    ProviderTimeout,
    ProviderUnreachable,
    RateLimited,
)
from llama_stack_api.ports.safety import RegistersShields, RunsShields
from llama_stack_api.principal import Call, Principal
from llama_stack_api.safety import RunShieldRequest, RunShieldResponse, SafetyViolation, ViolationLevel
from llama_stack_api.shields import Shield
from tests.unit.routing.parts import memory_kv

pytestmark = pytest.mark.anyio

CALL = Call(principal=Principal(id="alice"))
HELLO = [{"role": "user", "content": "Hello"}]


class Safety:
    """A safety provider: what it answers is the test's, what it was asked it remembers."""

    def __init__(self, answer: RunShieldResponse | Exception | None = None) -> None:
        self.answer = answer or RunShieldResponse()
        self.registered: list[Shield] = []
        self.asked: list[tuple[RunShieldRequest, Call]] = []
        self.registering_fails = False

    async def register_shield(self, shield: Shield) -> None:
        if self.registering_fails:
            raise KeyError("sk-secret")
        self.registered.append(shield)

    async def run_shield(self, request: RunShieldRequest, call: Call) -> RunShieldResponse:
        self.asked.append((request, call))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def violating(level: ViolationLevel, message: str | None = "No.", **metadata: Any) -> RunShieldResponse:
    return RunShieldResponse(violation=SafetyViolation(violation_level=level, user_message=message, metadata=metadata))


def entries(*shields: str | dict[str, Any]) -> list[ShieldEntry]:
    made = ({"shield_id": shield} if isinstance(shield, str) else shield for shield in shields)
    return [ShieldEntry.model_validate(shield) for shield in made]


@asynccontextmanager
async def started(router: ShieldRouter) -> AsyncIterator[ShieldRouter]:
    await router.start()
    yield router
    await router.close()


async def test_the_provider_is_told_of_its_shields_and_asked() -> None:
    one, other = Safety(), Safety()
    registered = entries(
        {"shield_id": "guard", "provider_id": "one", "provider_shield_id": "guard-8b", "params": {"k": 1}},
        {"shield_id": "words", "provider_id": "other"},
    )
    async with started(ShieldRouter(registered, {"one": one, "other": other})) as router:
        assert await router.check(["guard", "words"], HELLO, CALL) is None
        assert await router.check(["guard"], HELLO, CALL) is None
    assert one.registered == [
        Shield(identifier="guard", provider_id="one", provider_resource_id="guard-8b", params={"k": 1})
    ]
    assert [shield.provider_shield_id for shield in other.registered] == ["words"]
    assert len(one.asked) == 2
    (request, call), *rest = other.asked
    assert rest == []
    assert (request.shield_id, request.messages[0].content, call) == ("words", "Hello", CALL)


async def test_the_first_violation_ends_it() -> None:
    first, second = Safety(violating(ViolationLevel.ERROR)), Safety()
    registered = entries({"shield_id": "a", "provider_id": "1"}, {"shield_id": "b", "provider_id": "2"})
    router = ShieldRouter(registered, {"1": first, "2": second})
    assert await router.check(["a", "b"], HELLO, CALL) == Violation("a", "No.")
    assert second.asked == []
    assert await router.check(["b", "a"], HELLO, CALL) == Violation("a", "No.")
    assert await router.check([], HELLO, CALL) is None


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (violating(ViolationLevel.INFO), None),
        (violating(ViolationLevel.WARN), None),
        (violating(ViolationLevel.WARN, redacted_texts=["Hello", "[NAME]"]), "No."),
        (violating(ViolationLevel.ERROR, None), "The shield 'a' does not let this pass."),
    ],
)
async def test_an_error_is_a_verdict_and_so_is_what_cannot_be_redacted(
    answer: RunShieldResponse, message: str | None
) -> None:
    router = ShieldRouter(entries("a"), {"only": Safety(answer)})
    violation = await router.check(["a"], HELLO, CALL)
    assert violation is None or isinstance(violation, Violation)
    assert not isinstance(violation, Redacted)
    assert (violation and violation.message) == message


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (KeyError("sk-secret"), ProviderError),
        (TimeoutError(), ProviderTimeout),
        (RateLimited("Slow down."), RateLimited),
    ],
)
async def test_a_provider_that_fails_lets_nothing_pass(failure: Exception, raised: type[LlamaStackError]) -> None:
    router = ShieldRouter(entries("a"), {"only": Safety(failure)})
    guardrails = Guardrails(router, ["a"], CALL)
    with pytest.raises(raised) as caught:
        await guardrails.input(HELLO)
    assert "sk-secret" not in caught.value.message
    guard = guardrails.output()
    await guard.feed("short")
    with pytest.raises(raised):
        await guard.finish()


async def test_a_provider_that_answers_rubbish_or_nothing() -> None:
    class Rubbish(Safety):
        async def run_shield(self, request: RunShieldRequest, call: Call) -> Any:
            return "fine by me"

    class Silent(Safety):
        async def run_shield(self, request: RunShieldRequest, call: Call) -> Any:
            await asyncio.Event().wait()

    with pytest.raises(ProviderError):
        await ShieldRouter(entries("a"), {"only": Rubbish()}).check(["a"], HELLO, CALL)
    with pytest.raises(ProviderTimeout):
        await ShieldRouter(entries("a"), {"only": Silent()}, timeout_s=0.01).check(["a"], HELLO, CALL)


async def test_an_unknown_shield_is_named_with_those_that_there_are() -> None:
    safety = Safety()
    router = ShieldRouter(entries("a", "b"), {"only": safety})
    with pytest.raises(NotFound, match=r"no shield 'c'; registered: a, b"):
        await router.check(["a", "c"], HELLO, CALL)
    assert safety.asked == [], "known before anything runs"
    router.check_known(["b", "a"])
    with pytest.raises(InvalidRequest, match=r"no shield 'c'; registered: a, b") as raised:
        router.check_known(["a", "c"])
    assert raised.value.param == "guardrails"
    with pytest.raises(NotFound, match=r"registered_resources\.shields"):
        await ShieldRouter([], {}).check(["a"], HELLO, CALL)


async def test_a_provider_that_did_not_open() -> None:
    router = ShieldRouter(entries({"shield_id": "a", "provider_id": "gone"}), {"here": Safety()})
    with pytest.raises(ProviderUnreachable, match="'gone' did not open"):
        await router.check(["a"], HELLO, CALL)
    with pytest.raises(ProviderUnreachable):
        await ShieldRouter(entries("a"), {}).check(["a"], HELLO, CALL)


def test_what_is_wrong_with_the_registered_shields() -> None:
    with pytest.raises(RegisteredResourceInvalid, match=r"shields\[a\].*provider_id.*one, other"):
        ShieldRouter(entries("a"), {"one": Safety(), "other": Safety()})
    with pytest.raises(RegisteredResourceInvalid, match=r"shields\[a\].*twice"):
        ShieldRouter(entries("a", "a"), {"one": Safety()})


async def test_registering_is_tried_again_and_nothing_passes_before() -> None:
    safety = Safety()
    safety.registering_fails = True
    async with started(ShieldRouter(entries("a"), {"only": safety})) as router:
        with pytest.raises(ProviderError) as raised:
            await router.check(["a"], HELLO, CALL)
        assert "sk-secret" not in raised.value.message
        assert safety.asked == []
        safety.registering_fails = False
        assert await asyncio.gather(*(router.check(["a"], HELLO, CALL) for _ in range(3))) == [None] * 3
    assert len(safety.registered) == 1


async def test_a_start_does_not_wait_for_providers() -> None:
    class Slow(Safety):
        async def register_shield(self, shield: Shield) -> None:
            await asyncio.Event().wait()

    async with asyncio.timeout(5), started(ShieldRouter(entries("a"), {"only": Slow()})):
        await asyncio.sleep(0)


LEGACY = {
    "provider": """
        from llama_stack_api import Api, RemoteProviderSpec

        def get_provider_spec():
            return RemoteProviderSpec(
                api=Api.safety, provider_type="remote::old-guard", adapter_type="old-guard",
                config_class="old_guard.config.Config", module="old_guard.adapter", pip_packages=[],
            )
    """,
    "config": """
        from pydantic import BaseModel

        class Config(BaseModel):
            word: str
    """,
    "adapter": """
        from llama_stack_api import (
            GetShieldRequest, RunShieldRequest, RunShieldResponse, SafetyViolation, Shield, ViolationLevel,
        )

        class OldGuard:
            def __init__(self, config):
                self.config = config

            async def register_shield(self, shield: Shield) -> None:
                if not shield.provider_resource_id.startswith("guard"):
                    raise ValueError("no such guard here")

            async def unregister_shield(self, identifier: str) -> None: ...

            async def run_shield(self, request: RunShieldRequest) -> RunShieldResponse:
                shield = await self.shield_store.get_shield(GetShieldRequest(identifier=request.shield_id))
                same = await self.shield_store.get_shield(request.shield_id)
                assert same is shield
                word = shield.params["word"] if shield.params else self.config.word
                if any(word in message.content for message in request.messages):
                    return RunShieldResponse(violation=SafetyViolation(
                        violation_level=ViolationLevel.ERROR, user_message=f"{shield.provider_resource_id}: no {word}"
                    ))
                return RunShieldResponse(violation=None)

        async def get_adapter_impl(config, deps):
            return OldGuard(config)
    """,
}


@pytest.fixture
def old_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A safety provider in a package for llama-stack-api 0.7."""
    home = tmp_path / "old_guard"
    home.mkdir()
    (home / "__init__.py").touch()
    for name, text in LEGACY.items():
        (home / f"{name}.py").write_text(dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "old_guard"]:
        del sys.modules[name]


OLD_GUARD = ProviderEntry.model_validate(
    {"provider_id": "old", "provider_type": "remote::old-guard", "module": "old_guard", "config": {"word": "llama"}}
)


@pytest.mark.usefixtures("old_guard")
async def test_a_legacy_safety_provider(tmp_path: Path) -> None:
    def no_http(_provider_id: str, _network: object) -> Any:
        raise AssertionError("no network here")

    opener = ProviderOpener(Catalog(), state_dir=tmp_path / "state", http=no_http, kv=lambda _api, _id: memory_kv())
    opened = await opener.open(Api.safety, OLD_GUARD, {})
    assert opened is not None, opener.problems
    assert isinstance(opened.impl, RunsShields)
    assert isinstance(opened.impl, RegistersShields)
    registered = entries(
        {"shield_id": "mine", "provider_shield_id": "guard-1"},
        {"shield_id": "stricter", "provider_shield_id": "guard-2", "params": {"word": "alpaca"}},
        {"shield_id": "wrong", "provider_shield_id": "other"},
    )
    async with started(ShieldRouter(registered, {opened.id: opened.impl})) as router:

        async def found(shield_ids: Sequence[str], text: str) -> Violation | None:
            said = await router.check(shield_ids, [{"role": "user", "content": text}], CALL)
            assert not isinstance(said, Redacted)
            return said

        assert await found(["mine", "stricter"], "a horse") is None
        assert await found(["mine", "stricter"], "a llama") == Violation("mine", "guard-1: no llama")
        assert await found(["mine", "stricter"], "an alpaca") == Violation("stricter", "guard-2: no alpaca")
        with pytest.raises(ProviderError, match="ValueError"):
            await found(["wrong"], "a horse")
    await opener.close()
