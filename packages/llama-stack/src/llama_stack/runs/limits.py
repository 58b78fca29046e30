"""What a run may use, and how often the machinery looks. Each error of a limit names its setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from llama_stack.runs.errors import RunLimitExceeded

SECTION: Final = "server.runs"


@dataclass(frozen=True, slots=True)
class RunLimits:
    attempts_max: int = 5
    """Claims of one run; a run that keeps killing its workers ends `failed`."""
    wall_time_s: float = 3600.0
    """From its first start to its end, over all attempts."""
    steps_max: int = 1000
    step_bytes_max: int = 16 * 1024 * 1024
    """Of one intent, and of one result."""
    payload_bytes_max: int = 64 * 1024 * 1024
    """Of what a run is asked to do, and of its result."""
    event_bytes_max: int = 16 * 1024 * 1024
    log_bytes_max: int = 256 * 1024 * 1024
    """Of all events of a run."""
    uncommitted_bytes_max: int = 1024 * 1024
    """Of events that wait to be committed, or, without a store, to be read; beyond it `emit` waits."""
    queued_per_tenant_max: int = 10_000
    concurrent_max: int = 64
    """Queued runs that one worker executes at a time."""
    foreground_max: int = 1000
    """Runs that one process executes at once for a caller who waits."""
    retention_s: float | None = 30 * 24 * 3600.0
    """How long a run is kept after its end; None: for ever."""

    def check(self, name: str, value: float, what: str) -> None:
        """`RunLimitExceeded` if `value` is beyond the limit `name`."""
        limit = getattr(self, name)
        if value > limit:
            raise RunLimitExceeded(f"{what}: the limit is {limit:g}; {setting(name)} raises it")


@dataclass(frozen=True, slots=True)
class RunTimings:
    lease_s: float = 30.0
    """A worker that is silent for so long has lost its runs."""
    poll_s: float = 0.5
    """How often a reader of another process's run, or an idle worker, looks where no wake-up came."""
    batch_s: float = 0.025
    """Events that arrive within this time of the last commit share the next."""
    drain_s: float = 10.0
    """How long a worker that closes lets its runs go on."""

    @property
    def heartbeat_s(self) -> float:
        return self.lease_s / 3


def setting(name: str) -> str:
    return f"{SECTION}.{name}"
