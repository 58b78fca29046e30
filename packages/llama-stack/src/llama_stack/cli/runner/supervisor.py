"""Several workers on one listening socket.

Workers are forked, so that the configuration reaches them in memory: no secret on a command line, in a file or in a
pipe. The supervisor itself runs no event loop and no thread, which is what makes forking again at any time safe.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

RESTARTS_MAX = 5
"""Restarts in `RESTART_WINDOW_S` seconds, per worker of the configured number; more means that something is broken."""
RESTART_WINDOW_S = 60.0
RESTART_DELAY_S = 0.5
KILL_AFTER_S = 10.0
"""Beyond the grace period, until a worker that does not end is killed."""

Work: TypeAlias = Callable[["WorkerSide"], int]
"""What a worker does; its exit code."""


@dataclass(frozen=True, slots=True)
class WorkerSide:
    """`number` counts from 0 and stays with a worker's place; `alive` becomes readable when the supervisor is gone."""

    number: int
    restarted: bool
    alive: int
    _ready: int

    def ready(self) -> None:
        os.write(self._ready, b"R")


@dataclass(slots=True)
class _Worker:
    number: int
    ready: int
    """The read end of the pipe on which the worker says that it serves."""
    was_ready: bool = False


class SupervisorGaveUp(Exception):
    """Workers end as soon as they start."""


class Supervisor:
    """Keeps `count` workers running until SIGTERM or SIGINT. `on_exit(pid)` is told of each that has ended.

    `note` says what happened to whoever reads the log. `grace_s` is what workers give running requests when they stop.
    """

    def __init__(
        self, work: Work, count: int, *, grace_s: float, note: Callable[[str], None], on_exit: Callable[[int], None]
    ) -> None:
        self._work = work
        self._count = count
        self._grace_s = grace_s
        self._note = note
        self._on_exit = on_exit
        self._workers: dict[int, _Worker] = {}
        self._restarts: deque[float] = deque()
        self._due: list[tuple[float, int]] = []
        self._stopping = False
        self._alive_read, self._alive_write = os.pipe()

    def run(self) -> None:
        """`SupervisorGaveUp` if workers fail at their start, or again and again."""
        gc.collect()
        gc.freeze()
        with _woken_by_signals() as (wake, received):
            for number in range(self._count):
                self._fork(number, restarted=False)
            gc.enable()  # which was off for the start
            try:
                while self._workers or (self._due and not self._stopping):
                    if not received:
                        self._wait(wake)
                    # Only what is seen here is forgotten: another signal may come between any two lines.
                    seen = received.copy()
                    received.difference_update(seen)
                    if seen.intersection((signal.SIGTERM, signal.SIGINT)) and not self._stopping:
                        self._stop()
                    self._reap()
                    self._restart_due()
            finally:
                self._end_all()

    def _fork(self, number: int, *, restarted: bool) -> None:
        ready_read, ready_write = os.pipe()
        os.set_blocking(ready_read, False)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(ready_read)
            self._be_worker(WorkerSide(number, restarted, self._alive_read, ready_write))
        os.close(ready_write)
        self._workers[pid] = _Worker(number, ready_read)

    def _be_worker(self, side: WorkerSide) -> NoReturn:
        """In the child: work, then end at once, without what the supervisor would do on its own way out."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(signum, signal.SIG_DFL)
            # Only the supervisor holds the write end, so that the pipe ends when the supervisor does.
            os.close(self._alive_write)
            code = self._work(side)
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _wait(self, wake: socket.socket) -> None:
        timeout_s = max(0.0, min(due for due, _ in self._due) - time.monotonic()) if self._due else None
        waiting = {worker.ready: worker for worker in self._workers.values() if not worker.was_ready}
        readable, _, _ = select.select([wake.fileno(), *waiting], [], [], timeout_s)
        for descriptor in readable:
            if descriptor == wake.fileno():
                wake.recv(4096)
            elif os.read(descriptor, 1):
                waiting[descriptor].was_ready = True
            else:
                self._reap(block_for=waiting[descriptor])

    def _reap(self, block_for: _Worker | None = None) -> None:
        for pid, worker in list(self._workers.items()):
            done, status = os.waitpid(pid, 0 if worker is block_for else os.WNOHANG)
            if done:
                self._ended(pid, worker, os.waitstatus_to_exitcode(status))

    def _ended(self, pid: int, worker: _Worker, code: int) -> None:
        with contextlib.suppress(OSError):
            worker.was_ready = worker.was_ready or bool(os.read(worker.ready, 1))
        os.close(worker.ready)
        del self._workers[pid]
        self._on_exit(pid)
        if self._stopping:
            return
        if not worker.was_ready:
            raise SupervisorGaveUp(f"worker {worker.number} did not start (exit code {code})")
        now = time.monotonic()
        self._restarts.append(now)
        while self._restarts[0] < now - RESTART_WINDOW_S:
            self._restarts.popleft()
        if len(self._restarts) > RESTARTS_MAX * self._count:
            raise SupervisorGaveUp(f"workers ended {len(self._restarts)} times within {RESTART_WINDOW_S:.0f} s")
        self._note(f"worker {worker.number} (pid {pid}) ended with code {code}; it is started again")
        self._due.append((now + RESTART_DELAY_S, worker.number))

    def _restart_due(self) -> None:
        now = time.monotonic()
        due = [number for at, number in self._due if at <= now]
        self._due = [(at, number) for at, number in self._due if at > now]
        for number in due if not self._stopping else []:
            self._fork(number, restarted=True)

    def _stop(self) -> None:
        self._stopping = True
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)

    def _end_all(self) -> None:
        """On the way out, whatever the way: nobody stays behind."""
        self._stop()
        deadline = time.monotonic() + self._grace_s + KILL_AFTER_S
        while self._workers and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.05)
        for pid in list(self._workers):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@contextmanager
def _woken_by_signals() -> Iterator[tuple[socket.socket, set[int]]]:
    """A socket that becomes readable at a signal, and the set of those that came."""
    received: set[int] = set()
    read, write = socket.socketpair()
    read.setblocking(False)
    write.setblocking(False)
    before = {
        signum: signal.signal(signum, lambda number, _: received.add(number))
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
    }
    wakeup = signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
    try:
        yield read, received
    finally:
        signal.set_wakeup_fd(wakeup)
        for signum, handler in before.items():
            signal.signal(signum, handler)
        read.close()
        write.close()
