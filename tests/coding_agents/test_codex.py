"""Codex CLI, which speaks only Responses, completes tasks of several tool calls through our server, unmodified."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.coding_agents.codex import codex, commands_of, is_turn, messages_of, results_of
from tests.support.upstream import Answer, Recorded, Say, Tool, Upstream, Wire, models, text

TASK = "Write add.py with a function add, and try it with 2 and 3."
WRITE = "printf 'def add(a, b):\\n    return a + b\\n' > add.py"
TRY = "python3 -c 'from add import add; print(add(2, 3) * 111)'"
Rounds = tuple[tuple[str, ...], ...]
ONE_BY_ONE: Rounds = (("pwd",), (WRITE,), (TRY,))
MORE = "Now try it with 3 and 4."
TRY_MORE = "python3 -c 'from add import add; print(add(3, 4) * 111)'"


class Coder:
    """A model that runs commands, those of a round at once, and reports what the last of them said.

    `wire` is how it says what it says for the time of that number.
    """

    def __init__(self, rounds: Rounds, wires: dict[int, Wire] | None = None) -> None:
        self.asked: list[Recorded] = []
        self._rounds = rounds
        self._wires = wires or {}

    def __call__(self, request: Recorded) -> Answer:
        if not is_turn(request):
            return text("**Next step**\n\nI looked for the next step.")(request)
        self.asked.append(request)
        results = results_of(request)
        answered = len(results)
        wire = self._wires.get(len(self.asked), Wire())
        for number, commands in enumerate(self._rounds):
            if answered == 0:
                tools = tuple(
                    Tool("exec_command", {"cmd": command}, id=f"call_{number}_{place}")
                    for place, command in enumerate(commands)
                )
                return Say(f"Step {number + 1}.", tools=tools, reasoning="What is next?", wire=wire)(request)
            answered -= len(commands)
        return replace(text(f"The file is written. It said: {results[-1]['content']}"), wire=wire)(request)


def coder(upstream: Upstream, rounds: Rounds, wires: dict[int, Wire] | None = None) -> Coder:
    model = Coder(rounds, wires)
    upstream.always(model, on="/chat/completions")
    upstream.always(models("coder"), on="/models")
    return model


def test_codex_completes_a_task(upstream: Upstream, tmp_path: Path) -> None:
    model = coder(upstream, ONE_BY_ONE)
    with codex(upstream, tmp_path) as agent:
        said = agent.exec(TASK)
    assert (agent.workspace / "add.py").read_text() == "def add(a, b):\n    return a + b\n"
    assert "555" in said, "what the program said came back to the model, and its answer to the user"
    assert len(model.asked) == len(ONE_BY_ONE) + 1
    last = model.asked[-1]
    assert commands_of(last) == ["pwd", WRITE, TRY]
    assert len(messages_of(last, "tool")) == len(ONE_BY_ONE)
    assert {tool["function"]["name"] for tool in last.body["tools"]} >= {"exec_command", "write_stdin"}


def test_calls_at_once_and_a_session_that_is_resumed(upstream: Upstream, tmp_path: Path) -> None:
    rounds: Rounds = (("pwd", "ls -a", WRITE), (TRY,))
    model = coder(upstream, rounds)
    with codex(upstream, tmp_path) as agent:
        assert "555" in agent.exec(TASK)
        assert len(model.asked) == 3
        commands = ["pwd", "ls -a", WRITE, TRY]
        assert commands_of(model.asked[-1]) == commands
        again = coder(upstream, (*rounds, (TRY_MORE,)))
        assert "777" in agent.exec("resume", "--last", MORE)
    first, last = again.asked[0], again.asked[-1]
    assert len(again.asked) == 2
    assert commands_of(first) == commands, "the session is there as it was left"
    assert [message["content"] for message in messages_of(first, "user")][-2:][1:] == [MORE]
    assert "The file is written." in str(messages_of(first, "assistant")[-1]["content"])
    assert commands_of(last) == [*commands, TRY_MORE]
    assert {message["tool_call_id"] for message in messages_of(last, "tool")} == {
        "call_0_0", "call_0_1", "call_0_2", "call_1_0", "call_2_0"
    }  # fmt: skip


@pytest.mark.parametrize("cut_after", [6, 9])
def test_a_provider_that_breaks_off_in_the_middle(upstream: Upstream, tmp_path: Path, cut_after: int) -> None:
    """In a text, and behind the last word of a call. The model is asked again; no command runs that was said in an
    answer without an end, although Codex tries to run every call that has one itself, so none runs twice."""
    append = "echo once >> log"
    breaks = Wire(cut_after=cut_after)
    model = coder(upstream, ((append,), (WRITE,), (TRY,)), {1: breaks, 3: breaks})
    with codex(upstream, tmp_path) as agent:
        assert "555" in agent.exec(TASK)
        assert (agent.workspace / "log").read_text() == "once\n"
    assert model.asked[1].body["messages"] == model.asked[0].body["messages"], "the server asked again, not the agent"
    assert commands_of(model.asked[-1]) == [append, WRITE, TRY]
    assert len(results_of(model.asked[-1])) == 3
