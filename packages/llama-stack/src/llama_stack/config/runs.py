"""`server.runs`: what runs (responses, and whatever else takes several steps) may use, and how they are carried out.

The journal and its workers are handed these sections as they are; nothing repeats the defaults.
"""

from __future__ import annotations

from pydantic import Field

from llama_stack.config.section import Section

_MIB = 1024 * 1024
_DAY_S = 24 * 3600.0


class RunLimits(Section):
    """What runs may use. Each error names the setting that raises its limit."""

    attempts_max: int = Field(default=5, ge=1)
    """Times that one run is begun or taken up; one that keeps killing its workers ends `failed`."""
    wall_time_s: float = Field(default=3600, gt=0)
    """Seconds from a run's first start to its end, over all attempts."""
    steps_max: int = Field(default=1000, ge=1)
    """Calls of models and tools of one run."""
    step_bytes_max: int = Field(default=16 * _MIB, ge=1)
    """Bytes of what is stored before one step, and of its result."""
    payload_bytes_max: int = Field(default=64 * _MIB, ge=1)
    """Bytes of what a run is asked to do, of its result, and of each further document that it leaves."""
    event_bytes_max: int = Field(default=16 * _MIB, ge=1)
    """Bytes of one event."""
    log_bytes_max: int = Field(default=256 * _MIB, ge=1)
    """Bytes of all events of a run."""
    uncommitted_bytes_max: int = Field(default=_MIB, ge=1)
    """Bytes of events that wait to be stored, or, if nothing is stored, to be read; beyond it the run waits."""
    queued_per_tenant_max: int = Field(default=10_000, ge=1)
    """Runs of one tenant that may wait for a worker; further ones are refused with 503."""
    concurrent_max: int = Field(default=64, ge=1)
    """Queued runs that one process executes at a time."""
    concurrent_per_tenant_max: int | None = Field(default=None, ge=1)
    """Of them, those of one tenant. Without it places go to tenants in turn, and one alone may have all."""
    foreground_max: int = Field(default=1000, ge=1)
    """Runs that one process executes at a time for callers who wait; further ones are refused with 503."""
    chain_runs_max: int = Field(default=1000, ge=1)
    """Runs in a row, each going on from the one before."""
    chain_bytes_max: int = Field(default=64 * _MIB, ge=1)
    """Bytes of what is read of such a row."""
    retention_s: float = Field(default=30 * _DAY_S, ge=0)
    """Seconds that a run is kept after its end; 0: for ever. What others go on from is kept for them."""
    events_retention_s: float | None = Field(default=None, gt=0)
    """Seconds that a run's events are kept after its end; absent: as long as the run."""


class RunTimings(Section):
    """How often the machinery looks."""

    lease_s: float = Field(default=30, gt=0)
    """Seconds of silence after which a worker has lost its runs to others."""
    poll_s: float = Field(default=0.5, gt=0)
    """Seconds between looks of whoever waits for another process, where no wake-up comes."""
    batch_s: float = Field(default=0.025, ge=0)
    """Seconds after a commit within which events share the next one."""
    drain_s: float = Field(default=10, ge=0)
    """Seconds that runs get to go on when their process stops; then another one goes on with them."""

    @property
    def heartbeat_s(self) -> float:
        return self.lease_s / 3


class RunsConfig(RunLimits, RunTimings):
    execute: bool = True
    """Whether servers take queued runs and those of processes that are gone. With false, `llama stack worker` does,
    and servers execute only what their callers wait for."""
