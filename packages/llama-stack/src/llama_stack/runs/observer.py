"""What the machinery tells of its runs to whoever counts them."""

from __future__ import annotations

from typing import Protocol


class RunObserver(Protocol):
    """`kind` is that of the run or step, from the small set that the code names. Called often: returns at once."""

    def run_began(self, kind: str, *, again: bool) -> None:
        """A run executes here from now on; `again`: another attempt had begun it."""
        ...

    def run_left(self, kind: str) -> None:
        """It does not any more: it ended, or another worker has it."""
        ...

    def run_ended(self, kind: str, status: str, duration_s: float) -> None:
        """From its first start, or its creation if it never started."""
        ...

    def step_ended(self, kind: str, outcome: str) -> None:
        """`outcome` is `done`, `failed` or `interrupted`."""
        ...

    def committed(self, events: int, duration_s: float) -> None:
        """One transaction with events, steps or ends of runs."""
        ...

    def waiting(self, count: int) -> None:
        """Runs that could execute and that no worker has."""
        ...


class Unobserved:
    def run_began(self, kind: str, *, again: bool) -> None: ...

    def run_left(self, kind: str) -> None: ...

    def run_ended(self, kind: str, status: str, duration_s: float) -> None: ...

    def step_ended(self, kind: str, outcome: str) -> None: ...

    def committed(self, events: int, duration_s: float) -> None: ...

    def waiting(self, count: int) -> None: ...
