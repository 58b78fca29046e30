"""In a process of its own: the supervisor forks, which a test process with its threads must not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

DEADLINE_S = 20


@contextmanager
def supervised(count: int, behaviour: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    command = [sys.executable, "-m", "tests.unit.cli.supervised", str(count), behaviour]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    # Should it hang, its end closes the pipe that the test reads: workers follow their supervisor.
    watchdog = threading.Timer(DEADLINE_S, process.kill)
    watchdog.start()
    try:
        yield process, process.stdout
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.kill()
        process.wait(10)
        process.stdout.close()


def read_until(output: IO[str], count: int, start: str) -> list[list[str]]:
    """The words of the next `count` lines that begin with `start`."""
    found: list[list[str]] = []
    for line in output:
        if line.startswith(start):
            found.append(line.split())
        if len(found) == count:
            return found
    raise AssertionError(f"the output ended after {found}")


def test_workers_end_with_the_supervisor() -> None:
    with supervised(3, "wait") as (process, output):
        up = read_until(output, 3, "up")
        assert {words[1] for words in up} == {"0", "1", "2"}
        process.send_signal(signal.SIGTERM)
        rest = output.read()
        assert process.wait(10) == 0
    assert rest.count("down") == 3
    assert {f"exit {words[2]}" in rest for words in up} == {True}


def test_a_worker_that_dies_is_started_again_in_its_place() -> None:
    with supervised(2, "wait") as (process, output):
        pids = {words[1]: int(words[2]) for words in read_until(output, 2, "up")}
        os.kill(pids["1"], signal.SIGKILL)
        note = read_until(output, 1, "note")[0]
        assert " ".join(note[1:]) == f"worker 1 (pid {pids['1']}) ended with code -9; it is started again"
        again = read_until(output, 1, "up")[0]
        assert again[1] == "1"
        assert int(again[2]) != pids["1"]
        process.send_signal(signal.SIGINT)
        output.read()
        assert process.wait(10) == 0


def test_workers_that_do_not_start_end_it() -> None:
    with supervised(2, "fail") as (process, output):
        said = output.read()
        assert process.wait(10) == 1
    assert "did not start (exit code 7)" in said


def test_workers_that_crash_again_and_again_end_it() -> None:
    with supervised(1, "crash") as (process, output):
        said = output.read()
        assert process.wait(10) == 1
    assert "gave up: workers ended 6 times within 60 s" in said
    assert said.count("up 0") == 6


def test_workers_notice_that_the_supervisor_is_gone() -> None:
    with supervised(2, "wait") as (process, output):
        read_until(output, 2, "up")
        process.kill()
        assert output.read().count("down") == 2
