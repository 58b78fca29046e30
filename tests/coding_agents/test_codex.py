"""Codex CLI, which speaks only Responses, completes a task of several tool calls through our server, unmodified."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.coding_agents.conftest import PROGRAMS
from tests.support.running import running
from tests.support.upstream import Answer, Recorded, Tool, Upstream, calls, models, text

MODEL = "scripted/coder"
TASK = "Write add.py with a function add, and try it with 2 and 3."
WRITE = "printf 'def add(a, b):\\n    return a + b\\n' > add.py"
TRY = "python3 -c 'from add import add; print(add(2, 3) * 111)'"
COMMANDS = ("pwd", WRITE, TRY)
TIMEOUT_S = 90.0


def coder(request: Recorded) -> Answer:
    """A model that runs the commands one after the other, and reports what the last of them said."""
    results = [message for message in request.body["messages"] if message["role"] == "tool"]
    if len(results) < len(COMMANDS):
        number = len(results)
        tool = Tool("exec_command", {"cmd": COMMANDS[number]}, id=f"call_{number}")
        return calls(tool, content=f"Step {number + 1}.", reasoning="What is next?")(request)
    return text(f"The file is written. It said: {results[-1]['content']}")(request)


def config(upstream: Upstream, directory: Path) -> Path:
    provider = {"provider_id": "scripted", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}
    path = directory / "run.yaml"
    path.write_text(yaml.safe_dump({"version": 2, "distro_name": "agents", "providers": {"inference": [provider]}}))
    return path


def codex_home(url: str, directory: Path) -> Path:
    home = directory / "codex"
    home.mkdir()
    (home / "config.toml").write_text(
        f'model = "{MODEL}"\nmodel_provider = "stack"\n[model_providers.stack]\nname = "stack"\n'
        f'base_url = "{url}/v1"\nwire_api = "responses"\nenv_key = "STACK_KEY"\n'
    )
    return home


def messages_of(request: Recorded, role: str) -> list[Any]:
    return [message for message in request.body["messages"] if message["role"] == role]


def test_codex_completes_a_task(upstream: Upstream, tmp_path: Path) -> None:
    upstream.always(coder, on="/chat/completions")
    upstream.always(models("coder"), on="/models")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    with running(str(config(upstream, tmp_path)), "--port", "0", home=tmp_path) as server:
        done = subprocess.run(
            [PROGRAMS / "codex", "exec", "--skip-git-repo-check", "-s", "danger-full-access", TASK],
            cwd=workspace,
            env={**os.environ, "CODEX_HOME": str(codex_home(server.url, tmp_path)), "STACK_KEY": "none"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr + server.said
    assert (workspace / "add.py").read_text() == "def add(a, b):\n    return a + b\n"
    assert "555" in done.stdout, "what the program said came back to the model, and its answer to the user"
    asked = [request for request in upstream.requests if request.path.endswith("/chat/completions")]
    assert len(asked) == len(COMMANDS) + 1
    last = asked[-1]
    assert [json.loads(call["function"]["arguments"])["cmd"] for call in _calls(last)] == list(COMMANDS)
    assert len(messages_of(last, "tool")) == len(COMMANDS)
    assert {tool["function"]["name"] for tool in last.body["tools"]} >= {"exec_command", "write_stdin"}


def _calls(request: Recorded) -> list[dict[str, Any]]:
    return [call for message in messages_of(request, "assistant") for call in message.get("tool_calls") or ()]
