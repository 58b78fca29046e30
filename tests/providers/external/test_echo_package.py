"""A provider in a package of its own: installed with llama-stack-api alone, found by entry point and by `module:`."""

import asyncio
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llama_stack.config.model import RunConfig
from llama_stack.stack import Stack
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import Call

PACKAGE = Path(__file__).parents[2] / "external" / "llama-stack-provider-echo"
CONTRACT = ("llama_stack_api", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection", "annotated_types")

ALONE = """
import asyncio, importlib.util, sys
sys.path[:0] = sys.argv[1:]
from llama_stack_api.openai.chat import ChatCompletionRequest
from llama_stack_api.principal import Call
from llama_stack_provider_echo.shout import Shout, EchoConfig

async def main():
    echo = Shout(EchoConfig(prefix="> "), None)
    ask = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}
    whole = await echo.openai_chat_completion(ChatCompletionRequest.model_validate(ask), Call())
    stream = await echo.openai_chat_completion(ChatCompletionRequest.model_validate({**ask, "stream": True}), Call())
    words = [chunk.choices[0].delta.content or "" async for chunk in stream]
    print(whole.choices[0].message.content, "|", "".join(words).strip())

asyncio.run(main())
assert importlib.util.find_spec("llama_stack") is None, "the server is importable here: this proves nothing"
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory into which pip has installed the package, without anything that it does not declare."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    options = ["--no-deps", "--no-build-isolation", "--no-cache-dir", "--target", str(target)]
    subprocess.run([*pip, *options, str(PACKAGE)], check=True, stderr=subprocess.PIPE, text=True)
    return target


@pytest.fixture
def on_path(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(installed))
    yield
    for name in [name for name in sys.modules if name.startswith("llama_stack_provider_echo")]:
        del sys.modules[name]


def test_the_contract_alone_is_enough(installed: Path, tmp_path: Path) -> None:
    for name in CONTRACT:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        origin = origin.parent if origin.name == "__init__.py" else origin
        (tmp_path / origin.name).symlink_to(origin)
    command = [sys.executable, "-I", "-S", "-c", ALONE, str(tmp_path), str(installed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "> HELLO THERE | > HELLO THERE"), done.stderr


def run_config(tmp_path: Path, *entries: dict[str, Any]) -> RunConfig:
    backends = {
        "kv_default": {"type": "kv_sqlite", "db_path": str(tmp_path / "kv.db")},
        "sql_default": {"type": "sql_sqlite", "db_path": str(tmp_path / "sql.db")},
    }
    providers = {"inference": list(entries)}
    return RunConfig.model_validate({"distro_name": "t", "providers": providers, "storage": {"backends": backends}})


async def ask(stack: Stack, model: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    served = await stack.services.inference.openai_chat_completion(ChatCompletionRequest.model_validate(body), Call())
    assert isinstance(served.body, bytes)
    return str(msgspec.json.decode(served.body)["choices"][0]["message"]["content"])


@pytest.mark.anyio
@pytest.mark.usefixtures("on_path")
async def test_both_ways_of_finding_it(tmp_path: Path) -> None:
    config = run_config(
        tmp_path,
        {"provider_id": "echo", "provider_type": "inline::echo", "config": {"prefix": "I hear: "}},
        {"provider_id": "shout", "provider_type": "inline::shout", "module": "llama_stack_provider_echo.shout"},
    )
    async with Stack.open(config, state_dir=tmp_path) as stack:
        assert stack.problems == []
        assert await asyncio.gather(ask(stack, "echo/parrot"), ask(stack, "shout/parrot")) == ["I hear: hello", "HELLO"]


@pytest.mark.anyio
async def test_a_missing_package_is_named_and_the_rest_serves(tmp_path: Path) -> None:
    config = run_config(
        tmp_path, {"provider_id": "gone", "provider_type": "inline::gone", "module": "no_such_package==1.0"}
    )
    async with Stack.open(config, state_dir=tmp_path) as stack:
        assert len(stack.problems) == 1
        assert "no_such_package" in str(stack.problems[0])
        assert (await stack.services.admin.list_providers()).data[0].health.status == "Error"
