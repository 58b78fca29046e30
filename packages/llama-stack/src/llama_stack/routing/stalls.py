"""Who keeps the event loop busy: told while it lasts, since a loop that is blocked for good can tell nothing itself."""

from __future__ import annotations

import asyncio
import threading
import time
from types import TracebackType
from typing import Self

from llama_stack.telemetry.logs import get_logger

_BEATS = 4
"""Per `after_s`."""


class StallWatch:
    """Around what `name` does on the running loop. `longest_s` is the longest time that nothing else could run."""

    def __init__(self, name: str, after_s: float) -> None:
        self._name = name
        self._after_s = after_s
        self._log = get_logger("stalls")
        self._done = threading.Event()
        self._beat = 0.0
        self.longest_s = 0.0

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._beat = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._beaten()
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        told = False
        while not self._done.wait(self._after_s / _BEATS):
            self._loop.call_soon_threadsafe(self._beaten)
            if not told and time.monotonic() - self._beat > self._after_s:
                told = True
                self._log.error("event_loop_blocked", by=self._name, after_s=self._after_s)

    def _beaten(self) -> None:
        now = time.monotonic()
        self.longest_s = max(self.longest_s, now - self._beat)
        self._beat = now
