"""Agents that `llama stack connect` has pointed at a server: their environment has only a home directory of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.coding_agents.conftest import OPENCODE, PROGRAMS
from tests.support.running import RunningServer, running
from tests.support.upstream import Answer, Recorded, Say, Tool, Upstream, models, text

TIMEOUT_S = 120.0
TASK = "Write add.py with a function add, and try it with 2 and 3."
WRITE = "printf 'def add(a, b):\\n    return a + b\\n' > add.py"
TRY = "python3 -c 'from add import add; print(add(2, 3) * 111)'"
LLAMA = [sys.executable, "-c", "from llama_stack.cli.main import main; main()", "stack"]


@dataclass(frozen=True, slots=True)
class Agent:
    """`ask` are the arguments in front of a task; `shell` and `command_in` how it calls its tool for commands."""

    name: str
    ask: tuple[str, ...]
    shell: str
    command_in: Callable[[str], dict[str, Any]]


AGENTS = (
    Agent("codex", ("exec", "--skip-git-repo-check", "-s", "danger-full-access"), "exec_command", lambda c: {"cmd": c}),
    Agent("claude", ("-p", "--allowedTools", "Bash", "--"), "Bash", lambda c: {"command": c, "description": "A step"}),
    Agent("opencode", ("run",), "bash", lambda c: {"command": c, "description": "A step"}),
)


class Coder:
    """A model that calls whatever tool a trial offers, and of an agent runs `WRITE`, then `TRY`, and says what came."""

    def __init__(self, agent: Agent) -> None:
        self.asked: list[Recorded] = []
        self._agent = agent

    def __call__(self, request: Recorded) -> Answer:
        names = {tool["function"]["name"] for tool in request.body.get("tools") or ()}
        if not names:
            return text("A task")(request)
        if self._agent.shell not in names:
            return Say(tools=(Tool(next(iter(names)), {"city": "Paris"}),))(request)
        self.asked.append(request)
        results = [message for message in request.body["messages"] if message["role"] == "tool"]
        if len(results) < 2:
            call = Tool(
                self._agent.shell, self._agent.command_in((WRITE, TRY)[len(results)]), id=f"call_{len(results)}"
            )
            return Say("A step.", tools=(call,))(request)
        return Say(f"It is written. It said: {results[-1]['content']}")(request)


@dataclass(frozen=True, slots=True)
class Desk:
    """`home` is where the agents keep their settings, `workspace` what they work on."""

    server: RunningServer
    home: Path
    workspace: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def connect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run([*LLAMA, "connect", *arguments, "--url", self.server.url])

    def connected_run(self, name: str, *arguments: str) -> str:
        """What the agent says that `connect` runs."""
        return self._checked(self._run([*LLAMA, "connect", name, "--url", self.server.url, "--", *arguments]))

    def ask(self, name: str, *arguments: str) -> str:
        """What the agent says that is run by itself."""
        return self._checked(self._run([name, *arguments]))

    def _checked(self, done: subprocess.CompletedProcess[str]) -> str:
        assert done.returncode == 0, done.stdout + done.stderr + self.server.said
        return done.stdout

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(PROGRAMS), str(OPENCODE.parent), os.environ["PATH"]])
        return subprocess.run(
            command,
            cwd=self.workspace,
            env={"PATH": path, "HOME": str(self.home), **self.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )


@contextmanager
def desk(
    upstream: Upstream, directory: Path, environ: Mapping[str, str] | None = None, **server_settings: Any
) -> Iterator[Desk]:
    upstream.always(models("coder"), on="/models")
    provider = {
        "provider_id": "scripted",
        "provider_type": "remote::openai",
        "config": {"base_url": upstream.base_url, "api_key": "none"},
    }
    config, home, workspace = directory / "run.yaml", directory / "agent-home", directory / "workspace"
    whole = {"version": 2, "distro_name": "agents", "providers": {"inference": [provider]}, "server": server_settings}
    config.write_text(yaml.safe_dump(whole))
    home.mkdir()
    workspace.mkdir()
    with running(str(config), "--port", "0", home=directory) as server:
        yield Desk(server, home, workspace, environ or {})
