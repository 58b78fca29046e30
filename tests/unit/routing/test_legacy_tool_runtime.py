"""A tool runtime of a package written for llama-stack-api 0.7."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pydantic import BaseModel

from llama_stack.config.model import ProviderEntry
from llama_stack.routing.catalog import Catalog
from llama_stack.routing.opening import ProviderOpener
from llama_stack.routing.tool_groups import tool_groups
from llama_stack_api.api import Api
from llama_stack_api.ports.http import HttpClient
from llama_stack_api.ports.tool_runtime import EndpointTools, ToolInvocation, WebSearch
from llama_stack_api.principal import Call
from llama_stack_api.tools import ToolDef
from tests.unit.routing.parts import memory_kv

pytestmark = pytest.mark.anyio

PROVIDER = """
    from pydantic import BaseModel
    from llama_stack_api.api import Api
    from llama_stack_api.specs import RemoteProviderSpec
    from llama_stack_api.tools import ListToolDefsResponse, ToolDef, ToolInvocationResult

    class Config(BaseModel):
        greeting: str = "Hello"

    class Greeter:
        def __init__(self, config):
            self.config, self.tools = config, [ToolDef(name="greet", input_schema={"type": "object"})]

        async def list_runtime_tools(self, tool_group_id=None, mcp_endpoint=None, authorization=None):
            return ListToolDefsResponse(data=self.tools)

        async def invoke_tool(self, tool_name, kwargs, authorization=None):
            if tool_name == "plain":
                return {"content": "as a dict"}
            return ToolInvocationResult(content=f"{self.config.greeting}, {kwargs['name']}")

        async def shutdown(self): ...

    async def get_adapter_impl(config, deps):
        return Greeter(config)

    def get_provider_spec():
        return RemoteProviderSpec(
            api=Api.tool_runtime, provider_type="remote::greeter", adapter_type="greeter",
            config_class="former_tools.provider.Config", module="former_tools.provider", pip_packages=[],
        )
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    home = tmp_path / "former_tools"
    home.mkdir()
    (home / "__init__.py").touch()
    (home / "provider.py").write_text(dedent(PROVIDER))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "former_tools"]:
        del sys.modules[name]


def no_http(name: str, network: BaseModel | None) -> HttpClient:
    raise AssertionError("no network here")


async def opened(tmp_path: Path, *entries: ProviderEntry) -> ProviderOpener:
    opener = ProviderOpener(
        Catalog(entry_points=tuple), state_dir=tmp_path, http=no_http, kv=lambda api, name: memory_kv()
    )
    for entry in entries:
        await opener.open("tool_runtime", entry, {})
    return opener


@pytest.mark.usefixtures("package")
async def test_its_tools_are_listed_and_run(tmp_path: Path) -> None:
    entry = ProviderEntry(
        provider_id="hi", provider_type="remote::greeter", module="former_tools", config={"greeting": "Salut"}
    )
    opener = await opened(tmp_path, entry)
    assert opener.problems == []
    impl: Any = opener.opened[Api.tool_runtime, "hi"].impl
    assert isinstance(impl, ToolInvocation)
    assert not isinstance(impl, WebSearch | EndpointTools)
    assert await impl.list_tools(Call()) == [ToolDef(name="greet", input_schema={"type": "object"})]
    assert (await impl.invoke_tool("greet", {"name": "Ann"}, Call())).content == "Salut, Ann"
    assert (await impl.invoke_tool("plain", {}, Call())).content == "as a dict"
    (group,) = tool_groups(opener.opened.values())
    assert (group.id, [tool.name for tool in await group.list_tools(Call())]) == ("builtin::greeter", ["greet"])
    await opener.close()


async def test_a_provider_whose_needs_are_not_met_is_a_problem(tmp_path: Path) -> None:
    entry = ProviderEntry(provider_id="mcp", provider_type="remote::model-context-protocol")
    opener = await opened(tmp_path, entry)
    assert "connectors" in opener.problems[0].message
    assert opener.opened == {}
