"""What a process holds of the runs that it executes: the newest committed events, for readers in the same process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from llama_stack.runs.model import Event, Outcome, Run

KEPT_BYTES_MAX = 256 * 1024


class LiveLog:
    """The tail end of one run's log. A reader who falls behind it reads from the store instead.

    It is over when `outcome` is set (the run has ended) or when it is `gone` (the run left this process, or cannot go
    on here); a reader of a run that is gone goes on with the store.
    """

    def __init__(self, run: Run, *, stored: bool = True, kept_bytes_max: int = KEPT_BYTES_MAX) -> None:
        self.run = run
        self.stored = stored
        self.outcome: Outcome | None = None
        self.gone = False
        self.change = asyncio.Event()
        """Set when something is published or it is over; to be taken before a look that may find nothing."""
        self._next: int | None = 0 if run.fence <= 1 else None  # of earlier attempts only the store knows
        self._batches: deque[tuple[int, Sequence[bytes]]] = deque()
        self._bytes = 0
        self._kept_bytes_max = kept_bytes_max

    def resume(self, next_event: int) -> None:
        self._next = next_event

    def publish(self, first: int, events: Sequence[bytes]) -> None:
        """Events that are committed."""
        if events:
            self._batches.append((first, events))
            self._bytes += _size(events)
            self._next = first + len(events)
            self._forget()
            self._wake()

    def end(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self._wake()

    def leave(self) -> None:
        self.gone = True
        self._wake()

    def read(self, next_event: int) -> list[Event] | None:
        """Events from `next_event` on, as many as were committed together; none if there are none yet, None if only
        the store has them."""
        if self._next is not None and next_event >= self._next:
            return []
        for first, events in reversed(self._batches):
            if first <= next_event:
                return [Event(number, data) for number, data in enumerate(events, first) if number >= next_event]
        return None

    async def room(self) -> None:
        """Until there is room for more events; at once where old ones are dropped."""

    def _forget(self) -> None:
        while self._bytes > self._kept_bytes_max and len(self._batches) > 1:
            self._drop_first()

    def _drop_first(self) -> None:
        self._bytes -= _size(self._batches.popleft()[1])

    def _wake(self) -> None:
        self.change.set()
        self.change = asyncio.Event()


class ReadOnceLog(LiveLog):
    """Of a run without a store that somebody streams: nothing is dropped before it was read, and the run waits."""

    def __init__(self, run: Run, *, kept_bytes_max: int) -> None:
        super().__init__(run, stored=False, kept_bytes_max=kept_bytes_max)
        self._read = asyncio.Event()

    def read(self, next_event: int) -> list[Event] | None:
        while self._batches and self._batches[0][0] + len(self._batches[0][1]) <= next_event:
            self._drop_first()
            self._read.set()
        return super().read(next_event)

    async def room(self) -> None:
        while self._bytes > self._kept_bytes_max:
            self._read.clear()
            await self._read.wait()

    def _forget(self) -> None:
        pass


def _size(events: Sequence[bytes]) -> int:
    return sum(map(len, events))
