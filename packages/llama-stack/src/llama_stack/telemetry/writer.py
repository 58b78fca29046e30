"""Log lines to a stream or file, written by a thread: a terminal or disk that stalls must not stall the event loop."""

from __future__ import annotations

import queue
import threading
from typing import TextIO

LINES_QUEUED_MAX = 10_000
CLOSE_TIMEOUT_S = 2.0


class LogWriter:
    """Lines beyond `LINES_QUEUED_MAX` are dropped; the next line that gets through is preceded by their number."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """`text` is one or several whole lines, without the last line's end."""
        if self._lines.qsize() >= LINES_QUEUED_MAX:
            self._dropped += 1
            return
        self._lines.put(text)

    def close(self) -> None:
        """Write what is queued, unless the stream has stalled."""
        self._lines.put(None)
        self._thread.join(CLOSE_TIMEOUT_S)

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _run(self) -> None:
        while (text := self._lines.get()) is not None:
            if self._dropped:
                text = f"{self._dropped} log lines were dropped: the log could not be written fast enough\n{text}"
                self._dropped = 0
            try:
                self._stream.write(text + "\n")
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):
                # A closed pipe or a full disk: there is no better place to say so.
                continue
