"""Opening providers from their entries: the good ones serve whatever the others do."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pydantic import BaseModel

from llama_stack.routing.catalog import Catalog
from llama_stack.routing.opening import ProviderOpener
from llama_stack_api.ports.http import HttpClient
from llama_stack_api.ports.inference import ChatCompletions
from tests.unit.routing.parts import memory_kv

pytestmark = pytest.mark.anyio

PACKAGE = """
    from pydantic import BaseModel, ConfigDict
    from llama_stack_api.api import Api
    from llama_stack_api.provider import provider
    from llama_stack_api.specs import InlineProviderSpec

    class Config(BaseModel):
        model_config = ConfigDict(extra="allow")
        size: int = 1

    class Base:
        def __init__(self, config, context):
            self.config, self.context, self.events = config, context, []

        async def open(self):
            self.events.append("open")

        async def close(self):
            self.events.append("close")

    @provider(api=Api.inference, type="inline::good", description="", config=Config)
    class Good(Base):
        async def openai_chat_completion(self, params, call):
            return self.config.size

    made = []

    @provider(api=Api.inference, type="inline::useless", description="", config=Config)
    class Useless(Base):
        def __init__(self, config, context):
            super().__init__(config, context)
            made.append(self)

    @provider(api=Api.inference, type="inline::defective", description="", config=Config)
    class Defective(Good):
        async def open(self):
            raise ZeroDivisionError("oops")

    @provider(api=Api.inference, type="inline::lacking", description="", config=Config)
    class Lacking(Good):
        async def open(self):
            import no_such_package.part

    @provider(api=Api.inference, type="inline::needy", description="", config=Config, api_dependencies=(Api.safety,))
    class Needy(Good):
        pass

    def get_provider_spec():
        return InlineProviderSpec(
            api=Api.inference, provider_type="inline::former", config_class="various.provider.Config", module=__name__
        )

    async def get_provider_impl(config, deps):
        return Former()

    class Former:
        async def openai_chat_completion(self, params):
            return "former"
"""


@dataclass
class ConfiguredEntry:
    provider_id: str
    provider_type: str
    config: dict[str, Any] = field(default_factory=dict)
    module: str | None = "various"


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "various").mkdir()
    (tmp_path / "various" / "__init__.py").touch()
    (tmp_path / "various" / "provider.py").write_text(dedent(PACKAGE))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("various", "various.provider"):
        sys.modules.pop(name, None)


def no_http(provider_id: str, network: BaseModel | None) -> HttpClient:
    raise AssertionError("no network here")


def opener(tmp_path: Path) -> ProviderOpener:
    return ProviderOpener(Catalog(), state_dir=tmp_path, http=no_http, kv=lambda api, provider_id: memory_kv())


async def test_providers_open_and_close_in_reverse_order(tmp_path: Path) -> None:
    providers = opener(tmp_path)
    opened = await providers.open("inference", ConfiguredEntry("one", "inline::good", {"size": 3}), {})
    assert opened is not None
    impl: Any = opened.impl
    assert isinstance(opened.impl, ChatCompletions)
    assert impl.config.size == 3
    assert impl.context.state_dir == tmp_path / "inference" / "one"
    await providers.close()
    assert impl.events == ["open", "close"]
    assert providers.problems == []


async def test_a_legacy_provider_is_checked_once_it_has_its_methods(tmp_path: Path) -> None:
    providers = opener(tmp_path)
    opened = await providers.open("inference", ConfiguredEntry("old", "inline::former"), {})
    assert providers.problems == []
    assert opened is not None
    assert isinstance(opened.impl, ChatCompletions)
    await providers.close()


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (ConfiguredEntry("x", "inline::absent"), "no provider type 'inline::absent' in module 'various'"),
        (ConfiguredEntry("x", "inline::good", {"size": "secret"}), "config.size: Input should be a valid integer"),
        (ConfiguredEntry("x", "inline::defective"), "did not open (ZeroDivisionError: oops)"),
        (
            ConfiguredEntry("x", "inline::lacking"),
            "needs 'no_such_package', which is not installed: `pip install no-such-package`",
        ),
        (ConfiguredEntry("x", "inline::needy"), "needs a provider of safety"),
        (ConfiguredEntry("x", "inline::useless"), "none of the methods of inference: openai_chat_completion"),
    ],
)
async def test_one_that_fails_is_a_problem_and_the_others_serve(
    tmp_path: Path, entry: ConfiguredEntry, complaint: str
) -> None:
    providers = opener(tmp_path)
    assert await providers.open("inference", entry, {}) is None
    assert await providers.open("inference", ConfiguredEntry("good", "inline::good"), {}) is not None
    assert [opened.id for opened in providers.opened.values()] == ["good"]
    [problem] = providers.problems
    assert problem.fatal
    assert complaint in str(problem)
    assert "secret" not in str(problem)
    assert [useless.events for useless in sys.modules["various.provider"].made] in ([], [["open", "close"]])


async def test_an_unknown_key_is_a_doubt_with_the_nearest_known_one(tmp_path: Path) -> None:
    providers = opener(tmp_path)
    assert await providers.open("inference", ConfiguredEntry("x", "inline::good", {"sise": 3}), {}) is not None
    [problem] = providers.problems
    assert not problem.fatal
    assert "did you mean 'size'?" in str(problem)
