"""Each way in which a package can be broken: named at `config check`, at the start and in GET /v1/providers, with the
fix, while the rest of the stack serves."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pydantic import BaseModel

from llama_stack.cli.provider_configs import check_providers
from llama_stack.config.model import ProviderEntry, RunConfig
from llama_stack.config.problem import Problem, Severity
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.opening import ProviderOpener
from llama_stack.stack import Stack
from llama_stack_api.errors import ProviderError
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.ports.http import HttpClient
from llama_stack_api.principal import Call
from tests.unit.routing.parts import memory_kv

pytestmark = pytest.mark.anyio

PROVIDER = """
    from llama_stack_api import Api, RemoteProviderSpec

    def get_provider_spec():
        return RemoteProviderSpec(api=Api.inference, provider_type="remote::broken", adapter_type="broken",
                                  module="broken_package.adapter", config_class="broken_package.config.Config")
"""
CONFIG = """
    from pydantic import BaseModel

    class Config(BaseModel):
        url: str = "http://localhost"
        retries: int = 1
"""
ADAPTER = """
    class Adapter:
        async def openai_chat_completion(self, params):
            raise NotImplementedError

    async def get_adapter_impl(config, deps):
        return Adapter()
"""


@dataclass(frozen=True)
class Shape:
    """What differs from a package that works, and what is said of it. `checked`: already by `config check`, which
    opens nothing."""

    says: tuple[str, ...]
    provider: str = PROVIDER
    config: str = CONFIG
    adapter: str = ADAPTER
    entry: tuple[tuple[str, Any], ...] = ()
    checked: bool = True


def factory(body: str) -> str:
    return f"""
    async def get_adapter_impl(config, deps):
        {body}
    """


def spec(**changed: str) -> str:
    more = "".join(f", {name}={value}" for name, value in changed.items())
    return PROVIDER.replace('Config")', f'Config"{more})')


SHAPES = {
    "wrong config field": Shape(("retries", "valid integer"), entry=(("config", {"retries": "many"}),)),
    "config that raises": Shape(
        ("TypeError: strange",),
        config=CONFIG + "\n        def model_post_init(self, context):\n            raise TypeError('strange')\n",
    ),
    "failing import": Shape(
        ("'broken_package.provider' failed when it was imported (ValueError: bad day)", "pip install --upgrade"),
        provider="raise ValueError('bad day')",
    ),
    "import that exits": Shape(("SystemExit: no GPU",), provider="raise SystemExit('no GPU')"),
    "a name that is gone": Shape(
        ("cannot import name 'Benchmark'", "pip install --upgrade broken-package"),
        provider="from llama_stack_api import Benchmark",
    ),
    "missing dependency": Shape(
        ("`config_class`", "needs 'absent_library'", "`pip install absent-library`"), config="import absent_library"
    ),
    "missing dependency of the adapter": Shape(
        ("broken_package.adapter", "`pip install absent-library`"), adapter="import absent_library", checked=False
    ),
    "insides of another server": Shape(
        ("'llama_stack.core", "`llama_stack_api` alone"),
        provider="from llama_stack.core.datatypes import StackConfig",
    ),
    "package that is not there": Shape(
        ("`module: gone_package`", "`pip install gone-package`"), entry=(("module", "gone_package"),)
    ),
    "get_provider_spec raises": Shape(
        ("get_provider_spec() failed (KeyError", "ProviderSpec"),
        provider="def get_provider_spec(): raise KeyError(1)",
    ),
    "get_provider_spec returns rubbish": Shape(
        ("returned a int", "ProviderSpec"), provider="def get_provider_spec(): return [7]"
    ),
    "no get_provider_spec": Shape(("function get_provider_spec()",), provider=""),
    "config class that is none": Shape(("`config_class`", "pydantic model"), config="Config = 7"),
    "wrong type name": Shape(
        ("'remote::brokn'", "did you mean remote::broken?"), entry=(("provider_type", "remote::brokn"),)
    ),
    "deprecation_error": Shape(
        ("`deprecation_error`: use the other one",), provider=spec(deprecation_error='"use the other one"')
    ),
    "incompatible version": Shape(
        ("version 2.5 of pytest-like", "wants ==1.2", "pip install"), entry=(("module", "pytest-like==1.2"),)
    ),
    "missing api dependency": Shape(
        ("needs a provider of safety",), provider=spec(api_dependencies="[Api.safety]"), checked=False
    ),
    "no factory": Shape(("no function get_adapter_impl()",), adapter="", checked=False),
    "factory raises": Shape(
        ("get_adapter_impl() failed (OSError: no such host)", "config"),
        adapter=factory('raise OSError("no such host")'),
        checked=False,
    ),
    "factory exits": Shape(
        ("get_adapter_impl() failed (SystemExit: no GPU",), adapter=factory('raise SystemExit("no GPU")'), checked=False
    ),
    "factory exits in its thread": Shape(
        ("get_adapter_impl() failed (SystemExit: no GPU",),
        adapter="def get_adapter_impl(config, deps):\n        raise SystemExit('no GPU')",
        checked=False,
    ),
    "import that panics": Shape(
        ("(Panic: at the disco)",),
        provider="class Panic(BaseException):\n        pass\n    raise Panic('at the disco')",
    ),
    "factory returns nothing": Shape(("returned nothing",), adapter=factory("return None"), checked=False),
    "methods missing": Shape(
        ("none of the methods of inference", "openai_chat_completion"),
        adapter="class A:\n        pass\n\n    def get_adapter_impl(config, deps):\n        return A()",
        checked=False,
    ),
}


def lay(home: Path, name: str, shape: Shape) -> None:
    package = home / name
    package.mkdir()
    (package / "__init__.py").touch()
    for file, text in {"provider": shape.provider, "config": shape.config, "adapter": shape.adapter}.items():
        lines = dedent(text if text.startswith("\n") else f"    {text}")
        (package / f"{file}.py").write_text(lines.replace("broken_package", name))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of packages, with one that works and one whose distribution has another version."""
    lay(tmp_path, "sound_package", Shape(()))
    lay(tmp_path, "pytest_like", Shape(()))
    about = tmp_path / "pytest_like-2.5.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: pytest-like\nVersion: 2.5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith(("sound_package", "broken_package", "pytest_like"))]:
        del sys.modules[name]


def entry(**changed: Any) -> dict[str, Any]:
    return {"provider_id": "bad", "provider_type": "remote::broken", "module": "broken_package", **changed}


def finding(message: str, path: Any, remedy: str | None = None, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(message, path, remedy=remedy, severity=severity)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
async def test_a_broken_package_is_named_with_the_fix_and_the_rest_serves(home: Path, shape: Shape) -> None:
    lay(home, "broken_package", shape)
    sound = entry(provider_id="good", module="sound_package")
    said = {"distro_name": "t", "providers": {"inference": [entry(**dict(shape.entry)), sound]}}
    config = RunConfig.model_validate(said, context={"environ": {"SQLITE_STORE_DIR": str(home)}, "home": home})
    found = [str(each) for each in check_providers(config, Catalog.of(config), finding)]
    if shape.checked:
        (checked,) = found
        assert "providers.inference[0]" in checked
        assert all(each.lower() in checked.lower() for each in shape.says), checked
    else:
        assert found == []
    async with Stack.open(config, state_dir=home / "state") as stack:
        (problem,) = stack.problems
        assert str(problem).startswith("provider 'bad' (remote::")
        assert all(each in problem.message for each in shape.says), problem
        assert [opened.id for opened in stack.providers] == ["good"]
        health = {each.provider_id: each.health for each in (await stack.services.admin.list_providers()).data}
        assert (health["bad"].status, health["bad"].message) == ("Error", problem.message)
        assert health["good"].status == "Not Implemented"
        assert (await stack.services.models.list_models(Call())).data == []


def no_http(provider_id: str, network: BaseModel | None) -> HttpClient:
    raise AssertionError("no network here")


def opener(home: Path, **limits: float) -> ProviderOpener:
    return ProviderOpener(Catalog(), state_dir=home, http=no_http, kv=lambda api, provider_id: memory_kv(), **limits)


async def test_a_factory_that_hangs_is_given_up(home: Path) -> None:
    lay(home, "broken_package", Shape((), adapter=factory("import asyncio; await asyncio.Event().wait()")))
    hanging = opener(home, open_timeout_s=0.05)
    assert await hanging.open("inference", ProviderEntry.model_validate(entry()), {}) is None
    (problem,) = hanging.problems
    assert "did not open within 0.05 seconds" in problem.message


async def test_a_factory_that_blocks_the_event_loop_is_told_of(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocking = "import time; time.sleep(0.5); from types import SimpleNamespace as N; return N(openai_completion=print)"
    lay(home, "broken_package", Shape((), adapter=factory(blocking)))
    watching = opener(home, stall_s=0.1)
    with caplog.at_level(logging.ERROR):
        assert await watching.open("inference", ProviderEntry.model_validate(entry()), {}) is not None
    (problem,) = watching.problems
    assert not problem.fatal
    assert "blocked the event loop for" in problem.message


async def test_a_provider_that_hangs_while_it_closes_holds_nobody_up(home: Path) -> None:
    hanging = """
    class Adapter:
        async def openai_chat_completion(self, params): ...
        async def shutdown(self):
            import asyncio; await asyncio.Event().wait()

    async def get_adapter_impl(config, deps):
        return Adapter()
    """
    lay(home, "broken_package", Shape((), adapter=hanging))
    closing = opener(home, close_timeout_s=0.05)
    assert await closing.open("inference", ProviderEntry.model_validate(entry()), {}) is not None
    await closing.close()
    (problem,) = closing.problems
    assert "did not close (TimeoutError" in problem.message


async def test_what_a_package_says_of_its_config_does_not_repeat_secrets(home: Path) -> None:
    said = "raise OSError(f'401 for {config.url}/v1?key={config.api_key} with {config.api_key!r}')"
    config = CONFIG.replace("retries: int = 1", "api_key: str = ''")
    lay(home, "broken_package", Shape((), config=config, adapter=factory(said)))
    telling = opener(home)
    given = {"url": "http://user:pa55word@host", "api_key": "sk-very-secret"}
    assert await telling.open("inference", ProviderEntry.model_validate(entry(config=given)), {}) is None
    (problem,) = telling.problems
    assert "401 for http://user:********@host" in problem.message
    assert "sk-very-secret" not in str(problem)


async def test_a_provider_that_exits_when_it_is_asked_does_not_take_the_server_along(home: Path) -> None:
    adapter = ADAPTER.replace("raise NotImplementedError", "raise SystemExit(1)")
    lay(home, "broken_package", Shape((), adapter=adapter))
    opened = await opener(home).open("inference", ProviderEntry.model_validate(entry()), {})
    assert opened is not None
    asked = ChatCompletionRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "?"}]})
    with pytest.raises(ProviderError, match="ended its work"):
        await opened.impl.openai_chat_completion(asked, Call())


async def test_a_deprecation_warning_is_passed_on(home: Path) -> None:
    lay(home, "broken_package", Shape((), provider=spec(deprecation_warning='"soon gone"')))
    warning = opener(home)
    assert await warning.open("inference", ProviderEntry.model_validate(entry()), {}) is not None
    (problem,) = warning.problems
    assert (problem.fatal, problem.message) == (False, "deprecated: soon gone")


@pytest.mark.parametrize(
    ("versions", "fits"),
    [
        ("==2.5", True), ("==2.5.0", True), ("==2.*", True), (">=2,<3", True), ("~=2.4", True), ("!=2.4", True),
        ("==2.5.1", False), ("==3.*", False), (">2.5", False), ("~=3.0", False), ("!=2.5", False), ("==2.5rc1", False),
    ],
)  # fmt: skip
async def test_versions_behind_the_name(home: Path, versions: str, fits: bool) -> None:
    one = opener(home)
    named = ProviderEntry.model_validate(entry(module=f"pytest-like{versions}"))
    assert (await one.open("inference", named, {}) is not None) is fits
    assert [("2.5 of pytest-like is installed" in problem.message) for problem in one.problems] == [True] * (not fits)
