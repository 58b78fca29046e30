"""`llama stack models pull` against an Ollama on loopback."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from llama_stack.cli.pull import ProgressLines
from llama_stack_api.ports.inference import PullProgress
from tests.support.ollama_upstream import TALKS, OllamaUpstream
from tests.unit.cli.conftest import Llama


@pytest.fixture
def ollama() -> Iterator[OllamaUpstream]:
    upstream = OllamaUpstream()
    upstream.library = {"qwen3:0.6b": TALKS}
    with upstream:
        yield upstream


@pytest.fixture
def config(tmp_path: Path, ollama: OllamaUpstream) -> str:
    file = tmp_path / "run.yaml"
    file.write_text(
        f"""version: 2
distro_name: pulling
providers:
  inference:
  - provider_id: ollama
    provider_type: remote::ollama
    config: {{base_url: "{ollama.url}", pull_models: [never]}}
  - provider_id: hosted
    provider_type: remote::openai
    config: {{api_key: k}}
"""
    )
    return str(file)


def test_a_model_is_pulled(llama: Llama, config: str, ollama: OllamaUpstream) -> None:
    result = llama("models", "pull", "ollama/qwen3:0.6b", "--config", config)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "ollama/qwen3:0.6b is there.\n"
    told = result.stderr.splitlines()
    assert told[0] == "pulling manifest"
    assert [line.rpartition(": ")[2] for line in told[1:5]] == ["0 %", "25 %", "50 %", "100 %"]
    assert told[-1] == "success"
    assert [request.path for request in ollama.requests] == ["/api/pull"], "nothing else is done that a start would do"
    assert "qwen3:0.6b" in ollama.models


def test_a_model_that_nobody_has(llama: Llama, config: str) -> None:
    result = llama("models", "pull", "ollama/no/such", "--config", config)
    assert result.exit_code == 1
    assert "Provider 'ollama': pull model manifest: file does not exist" in result.stderr


@pytest.mark.parametrize(
    ("model", "says", "code"),
    [
        ("qwen3", "names no provider", 2),
        ("vllm/qwen3", "no inference provider 'vllm'; it has: ollama, hosted", 1),
        ("hosted/gpt", "'hosted' (remote::openai) fetches no models", 1),
    ],
)
def test_what_cannot_be_pulled_is_explained(llama: Llama, config: str, model: str, says: str, code: int) -> None:
    result = llama("models", "pull", model, "--config", config)
    assert (result.exit_code, says in result.stderr) == (code, True), result.stderr


def test_an_ollama_that_is_not_there(llama: Llama, config: str, ollama: OllamaUpstream) -> None:
    ollama.stop()
    result = llama("models", "pull", "ollama/qwen3", "--config", config)
    assert result.exit_code == 1
    assert "could not be reached" in result.stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_a_bar_in_one_line() -> None:
    out = Terminal()
    lines = ProgressLines(out)
    lines.show(PullProgress("pulling manifest"))
    lines.show(PullProgress("pulling 8934d96d3f08", 900_000_000, 2_000_000_000))
    lines.end()
    assert "\n" not in out.getvalue()
    _, bar, _ = (piece.removesuffix("\x1b[K") for piece in out.getvalue().removeprefix("\r").split("\r"))
    assert bar == "pulling 8934d96d3f08  ██████████░░░░░░░░░░░░░░  45 %  900.0 MB of 2.0 GB"
