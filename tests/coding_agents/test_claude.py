"""Claude Code, which speaks only Messages, completes tasks with file edits through our server, unmodified."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.coding_agents.claude import MODEL, Claude, calls_of, claude, is_turn, messages_of, refusals
from tests.support.upstream import Answer, Recorded, Say, Tool, Upstream, Wire, text

TASK = "Write add.py with a function add, and try it with 2 and 3."
TRY = "python3 -c 'from add import add; print(add(2, 3) * 111)'"
Call: TypeAlias = tuple[str, dict[str, Any]]


class Coder:
    """A model that calls the tools of a round at once, and reports what the last of them said."""

    def __init__(self, rounds: list[list[Call]], wire: Wire | None = None) -> None:
        self.asked: list[Recorded] = []
        self._rounds = rounds
        self._wire = wire or Wire()

    def __call__(self, request: Recorded) -> Answer:
        if not is_turn(request):
            return text("A task")(request)
        self.asked.append(request)
        results = messages_of(request, "tool")
        answered = len(results)
        for number, calls in enumerate(self._rounds):
            if answered == 0:
                tools = tuple(
                    Tool(name, given, id=f"call_{number}_{place}") for place, (name, given) in enumerate(calls)
                )
                return Say(f"Step {number + 1}.", tools=tools, reasoning="What is next?", wire=self._wire)(request)
            answered -= len(calls)
        return Say(f"It is written. It said: {results[-1]['content']}", wire=self._wire)(request)


def edits(workspace: Path) -> list[list[Call]]:
    """The file is written wrong, and put right."""
    path = str(workspace / "add.py")
    return [
        [("Write", {"file_path": path, "content": "def add(a, b):\n    return a - b\n"})],
        [("Edit", {"file_path": path, "old_string": "a - b", "new_string": "a + b"}), ("Read", {"file_path": path})],
        [("Bash", {"command": TRY, "description": "Try it"})],
    ]


def coder(upstream: Upstream, rounds: list[list[Call]], wire: Wire | None = None) -> Coder:
    model = Coder(rounds, wire)
    upstream.always(model, on="/chat/completions")
    return model


def completed(agent: Claude, report: dict[str, Any]) -> None:
    assert (agent.workspace / "add.py").read_text() == "def add(a, b):\n    return a + b\n"
    assert "555" in report["result"], "what the program said came back to the model, and its answer to the user"
    assert (report["is_error"], report["permission_denials"]) == (False, [])


@pytest.mark.parametrize("wire", [Wire(), Wire(split_bytes=7)], ids=["whole-events", "split-anywhere"])
def test_claude_code_completes_a_task(upstream: Upstream, tmp_path: Path, wire: Wire) -> None:
    with claude(upstream, tmp_path) as agent:
        rounds = edits(agent.workspace)
        model = coder(upstream, rounds, wire)
        completed(agent, agent.ask(TASK))
    assert refusals(agent.server) == []
    assert len(model.asked) == len(rounds) + 1
    last = model.asked[-1]
    made = calls_of(last)
    assert [name for name, _ in made] == ["Write", "Edit", "Read", "Bash"]
    assert made[-1][1]["command"] == TRY
    assert len(messages_of(last, "tool")) == 4
    assert {tool["function"]["name"] for tool in last.body["tools"]} >= {"Bash", "Edit", "Read", "Write"}
    assert last.body["model"] == MODEL, "the names of Anthropic's models stand for the one that is there"


def test_a_session_that_is_continued(upstream: Upstream, tmp_path: Path) -> None:
    with claude(upstream, tmp_path) as agent:
        rounds = edits(agent.workspace)
        coder(upstream, rounds)
        first = agent.ask(TASK)
        completed(agent, first)
        more = "python3 -c 'from add import add; print(add(3, 4) * 111)'"
        again = coder(upstream, [*rounds, [("Bash", {"command": more, "description": "Try more"})]])
        second = agent.ask("Now try it with 3 and 4.", "--continue")
        assert "777" in second["result"]
        assert second["session_id"] == first["session_id"]
    assert refusals(agent.server) == []
    assert len(again.asked) == 2
    assert [name for name, _ in calls_of(again.asked[0])] == ["Write", "Edit", "Read", "Bash"]
    assert "It is written." in str(messages_of(again.asked[0], "assistant")[-1]["content"])


def test_a_tool_that_fails_is_told_to_the_model(upstream: Upstream, tmp_path: Path) -> None:
    with claude(upstream, tmp_path) as agent:
        missing = str(agent.workspace / "missing.py")
        model = coder(
            upstream, [[("Edit", {"file_path": missing, "old_string": "a", "new_string": "b"}), ("Nonsense", {"x": 1})]]
        )
        report = agent.ask("Put missing.py right.")
        assert not report["is_error"]
    assert refusals(agent.server) == []
    failed, unknown = messages_of(model.asked[-1], "tool")
    assert "does not exist" in str(failed["content"])
    assert "No such tool" in str(unknown["content"])


def test_a_name_is_given_to_a_model_by_rule(upstream: Upstream, tmp_path: Path) -> None:
    upstream.always(text("Hello from the small one."), on="/chat/completions")
    rules = {"claude-haiku-*": "scripted/small", "claude-*": f"scripted/{MODEL}"}
    with claude(upstream, tmp_path, "small", model_names=rules) as agent:
        assert agent.ask("Hello", "--model", "haiku")["result"] == "Hello from the small one."
        assert upstream.last.body["model"] == "small"
        assert agent.ask("Hello", "--model", "opus")["result"]
        assert upstream.last.body["model"] == MODEL
    assert refusals(agent.server) == []
