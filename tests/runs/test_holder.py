"""Whether the holder of a lease is still there."""

from __future__ import annotations

import subprocess
import sys

from llama_stack.runs.holder import is_dead, new_holder

HOLD = "from llama_stack.runs.holder import new_holder; print(new_holder(), flush=True); input()"


def test_a_process_is_dead_once_it_is_gone() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        holder = process.stdout.readline().strip()
        assert not is_dead(holder)
        where, pid, started, _ = holder.split("/")
        assert is_dead(f"{where}/{pid}/{int(started) - 1}/x"), "another process has its number now"
        assert not is_dead(f"elsewhere/{pid}/{int(started) - 1}/x"), "of other machines nothing is known"
        process.kill()
    assert is_dead(holder)


def test_this_process_is_alive() -> None:
    assert not is_dead(new_holder())
    assert new_holder() != new_holder()
    assert not is_dead("rubbish")
    assert not is_dead("")
