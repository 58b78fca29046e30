"""The provider of the README works as it stands there."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

import llama_stack_api
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.ports.inference import ChatCompletions, Embeddings, ModelListing
from llama_stack_api.principal import Call
from llama_stack_api.provider import ProviderContext, descriptors_in

pytestmark = pytest.mark.anyio

README = Path(llama_stack_api.__file__).parents[2] / "README.md"


@pytest.fixture
def shout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert code
    path = tmp_path / "shout_provider.py"
    path.write_text(code[1])
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def example(shout: ModuleType) -> Any:
    [descriptor] = descriptors_in(shout)
    assert (descriptor.name, descriptor.is_remote) == ("shout", False)
    return descriptor.create(descriptor.config(), cast(ProviderContext, None))  # it asks nothing of its context


def ask(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest(model="shout-1", messages=[{"role": "user", "content": "hello you"}], **fields)


def test_it_satisfies_the_ports_that_it_implements(example: Any) -> None:
    assert isinstance(example, ChatCompletions)
    assert isinstance(example, ModelListing)
    assert not isinstance(example, Embeddings)


async def test_it_answers(example: Any) -> None:
    reply = await example.openai_chat_completion(ask(), Call())
    assert reply.choices[0].message.content == "HELLO YOU !"
    assert [model.id for model in await example.list_models(Call())] == ["shout-1"]


async def test_it_streams(example: Any) -> None:
    chunks = [chunk async for chunk in await example.openai_chat_completion(ask(stream=True), Call())]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "HELLO YOU !"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, "stop"]
