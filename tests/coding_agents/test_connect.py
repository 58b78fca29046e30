"""What `llama stack connect` prints, writes and runs makes the agents work, without any further edit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.coding_agents.claude import refusals
from tests.coding_agents.conftest import OPENCODE
from tests.coding_agents.connected import AGENTS, TASK, Agent, Coder, Desk, desk
from tests.support.upstream import Upstream

KEY = "sk-ls-of-the-agents"
VARIABLE = "AGENTS_KEY"


@pytest.fixture(params=AGENTS, ids=lambda agent: agent.name)
def agent(request: pytest.FixtureRequest) -> Agent:
    found: Agent = request.param
    if found.name == "opencode" and not OPENCODE.exists():
        pytest.skip("this machine has no opencode in node_modules")
    return found


def coder(upstream: Upstream, agent: Agent) -> Coder:
    model = Coder(agent)
    upstream.always(model, on="/chat/completions")
    return model


def completed(at: Desk, model: Coder, said: str) -> None:
    assert (at.workspace / "add.py").read_text() == "def add(a, b):\n    return a + b\n"
    assert "555" in said
    assert len(model.asked) == 3
    assert {request.body["model"] for request in model.asked} == {"coder"}


def test_settings_that_were_written(upstream: Upstream, tmp_path: Path, agent: Agent) -> None:
    model = coder(upstream, agent)
    with desk(upstream, tmp_path) as at:
        written = at.connect(agent.name, "--write")
        assert written.returncode == 0, written.stderr
        completed(at, model, at.ask(agent.name, *agent.ask, TASK))
    assert refusals(at.server) == []


def test_settings_that_were_printed(upstream: Upstream, tmp_path: Path, agent: Agent) -> None:
    model = coder(upstream, agent)
    with desk(upstream, tmp_path) as at:
        printed = at.connect(agent.name)
        assert printed.returncode == 0, printed.stderr
        file = Path(printed.stderr.partition("Add to ")[2].partition(",")[0])
        assert file.is_relative_to(at.home)
        file.parent.mkdir(parents=True)
        file.write_text(printed.stdout)
        completed(at, model, at.ask(agent.name, *agent.ask, TASK))


def test_an_agent_that_connect_runs(upstream: Upstream, tmp_path: Path, agent: Agent) -> None:
    model = coder(upstream, agent)
    with desk(upstream, tmp_path, {"ANTHROPIC_API_KEY": "a-key-for-anthropic-itself"}) as at:
        completed(at, model, at.connected_run(agent.name, *agent.ask, TASK))
    assert refusals(at.server) == []


def locked() -> dict[str, object]:
    hashed = "sha256:" + hashlib.sha256(KEY.encode()).hexdigest()
    return {"auth": {"provider_config": {"type": "api_keys", "keys": [{"id": "agents", "hash": hashed}]}}}


def test_a_key_stays_in_its_variable(upstream: Upstream, tmp_path: Path, agent: Agent) -> None:
    model = coder(upstream, agent)
    with desk(upstream, tmp_path, {VARIABLE: KEY}, **locked()) as at:
        written = at.connect(agent.name, "--write", "--key-env", VARIABLE)
        assert written.returncode == 0, written.stderr
        kept = [path for path in at.home.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
        assert kept == []
        assert KEY not in written.stdout + written.stderr
        completed(at, model, at.ask(agent.name, *agent.ask, TASK))


def test_a_key_in_the_file_if_that_is_asked_for(upstream: Upstream, tmp_path: Path, agent: Agent) -> None:
    model = coder(upstream, agent)
    with desk(upstream, tmp_path, {VARIABLE: KEY}, **locked()) as at:
        written = at.connect(agent.name, "--write", "--key-env", VARIABLE, "--key-in-file")
        assert written.returncode == 0, written.stderr
        assert KEY not in written.stdout + written.stderr
        alone = Desk(at.server, at.home, at.workspace)
        completed(alone, model, alone.ask(agent.name, *agent.ask, TASK))


def test_a_run_hands_the_key_on(upstream: Upstream, tmp_path: Path, agent: Agent) -> None:
    model = coder(upstream, agent)
    with desk(upstream, tmp_path, {"LLAMA_STACK_API_KEY": KEY}, **locked()) as at:
        completed(at, model, at.connected_run(agent.name, *agent.ask, TASK))
        assert not json.dumps(at.server.log).count(KEY)
