"""Claude Code as its users run it, with nothing but the address of our server in its environment."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.coding_agents.conftest import PROGRAMS
from tests.support.running import RunningServer, running
from tests.support.upstream import Recorded, Upstream, models

MODEL = "coder"
"""The first of the upstream's models. The agent asks for models of Anthropic's by name."""
TIMEOUT_S = 90.0


@dataclass(frozen=True, slots=True)
class Claude:
    """`home` holds its settings and sessions, `workspace` what it works on."""

    server: RunningServer
    home: Path
    workspace: Path

    def ask(self, task: str, *arguments: str) -> dict[str, Any]:
        """What it reports at the end: `result` is what it said, `num_turns`, `session_id`, `permission_denials`, …"""
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.home), "ANTHROPIC_BASE_URL": self.server.url}
        program = str(PROGRAMS / "claude")
        done = subprocess.run(
            [program, "-p", task, "--output-format", "json", "--allowedTools", "Write Edit Read Bash", *arguments],
            cwd=self.workspace,
            env=environ | {"ANTHROPIC_API_KEY": "none"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr + self.server.said
        report: dict[str, Any] = json.loads(done.stdout)
        return report


@contextmanager
def claude(
    upstream: Upstream, directory: Path, *others: str, model_names: Mapping[str, str] | None = None
) -> Iterator[Claude]:
    """`others` are models that the upstream has besides; `model_names` are rules in place of the default, by which any
    model answers to any name of Anthropic's."""
    upstream.always(models(MODEL, *others), on="/models")
    provider = {
        "provider_id": "scripted",
        "provider_type": "remote::openai",
        "config": {"base_url": upstream.base_url, "api_key": "none"},
    }
    config, home, workspace = directory / "run.yaml", directory / "home", directory / "workspace"
    whole: dict[str, Any] = {"version": 2, "distro_name": "agents", "providers": {"inference": [provider]}}
    if model_names is not None:
        whole["server"] = {"messages": {"model_names": dict(model_names)}}
    config.write_text(yaml.safe_dump(whole))
    home.mkdir()
    workspace.mkdir()
    with running(str(config), "--port", "0", home=directory) as server:
        yield Claude(server, home, workspace)


def is_turn(request: Recorded) -> bool:
    """One of the agent's own; a name for the session has no tools."""
    return request.path.endswith("/chat/completions") and bool(request.body.get("tools"))


def messages_of(request: Recorded, role: str) -> list[dict[str, Any]]:
    return [message for message in request.body["messages"] if message["role"] == role]


def calls_of(request: Recorded) -> list[tuple[str, dict[str, Any]]]:
    """The calls that the model is shown to have made."""
    calls = [call for message in messages_of(request, "assistant") for call in message.get("tool_calls") or ()]
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]


def refusals(server: RunningServer) -> list[dict[str, Any]]:
    """What the server has answered with an error, by its access log; whole once it has stopped."""
    requests = server.events("request")
    assert requests, "there is no access log"
    return [request for request in requests if request["status"] >= 400]
