"""Codex CLI as its users run it, with our server as its only provider."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.coding_agents.conftest import PROGRAMS
from tests.support.running import RunningServer, running
from tests.support.upstream import Recorded, Upstream

MODEL = "scripted/coder"
TIMEOUT_S = 90.0


@dataclass(frozen=True, slots=True)
class Codex:
    """`home` holds its configuration and its sessions, `workspace` what it works on."""

    server: RunningServer
    home: Path
    workspace: Path

    def exec(self, *arguments: str) -> str:
        """What it said at the end."""
        done = subprocess.run(
            [PROGRAMS / "codex", "exec", "--skip-git-repo-check", "-s", "danger-full-access", *arguments],
            cwd=self.workspace,
            env={**os.environ, "CODEX_HOME": str(self.home), "STACK_KEY": "none"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr + self.server.said
        return done.stdout


@contextmanager
def codex(upstream: Upstream, directory: Path) -> Iterator[Codex]:
    provider = {"provider_id": "scripted", "provider_type": "remote::vllm", "config": {"base_url": upstream.base_url}}
    config, home, workspace = directory / "run.yaml", directory / "codex", directory / "workspace"
    config.write_text(yaml.safe_dump({"version": 2, "distro_name": "agents", "providers": {"inference": [provider]}}))
    home.mkdir()
    workspace.mkdir()
    with running(str(config), "--port", "0", home=directory) as server:
        (home / "config.toml").write_text(
            f'model = "{MODEL}"\nmodel_provider = "stack"\n[model_providers.stack]\nname = "stack"\n'
            f'base_url = "{server.url}/v1"\nwire_api = "responses"\nenv_key = "STACK_KEY"\n'
        )
        yield Codex(server, home, workspace)


def is_turn(request: Recorded) -> bool:
    """One of the agent's own; a summary of what the model thought has no tools."""
    return request.path.endswith("/chat/completions") and bool(request.body.get("tools"))


def messages_of(request: Recorded, role: str) -> list[dict[str, Any]]:
    return [message for message in request.body["messages"] if message["role"] == role]


def results_of(request: Recorded) -> list[dict[str, Any]]:
    """What commands said that were run; calls that could not be read have an answer too."""
    return [message for message in messages_of(request, "tool") if "Process exited" in str(message["content"])]


def commands_of(request: Recorded) -> list[str]:
    """The shell commands that the model is shown to have asked for."""
    calls = [call for message in messages_of(request, "assistant") for call in message.get("tool_calls") or ()]
    arguments = [json.loads(call["function"]["arguments"]) for call in calls]
    return [each["cmd"] for each in arguments if "cmd" in each]
