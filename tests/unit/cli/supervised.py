"""A program of a supervisor with workers that do nothing, for the tests of the supervisor.

    python -m tests.unit.cli.supervised WORKERS BEHAVIOUR

Workers print `up NUMBER PID`; BEHAVIOUR is `wait` (until SIGTERM), `fail` (before they serve) or `crash` (after).
"""

from __future__ import annotations

import os
import select
import signal
import sys

from llama_stack.cli.runner import supervisor
from llama_stack.cli.runner.supervisor import Supervisor, SupervisorGaveUp, WorkerSide


def say(text: str) -> None:
    """In one write, so that lines of several processes do not mix."""
    os.write(1, f"{text}\n".encode())


def main(count: int, behaviour: str) -> int:
    supervisor.RESTART_DELAY_S = 0.01

    def work(side: WorkerSide) -> int:
        if behaviour == "fail":
            return 7
        read, write = os.pipe()
        os.set_blocking(write, False)
        signal.signal(signal.SIGTERM, lambda number, _: None)
        signal.set_wakeup_fd(write)
        side.ready()
        say(f"up {side.number} {os.getpid()}")
        if behaviour == "crash":
            return 3
        select.select([read, side.alive], [], [])
        say(f"down {side.number}")
        return 0

    runner = Supervisor(
        work,
        count,
        grace_s=1,
        note=lambda text: say(f"note {text}"),
        on_exit=lambda pid: say(f"exit {pid}"),
    )
    say(f"supervisor {os.getpid()}")
    try:
        runner.run()
    except SupervisorGaveUp as error:
        say(f"gave up: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2]))
