"""Limits of runs are those of the configuration; each error names its setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from llama_stack.config.runs import RunLimits, RunTimings
from llama_stack.runs.errors import RunLimitExceeded

__all__ = ["Endurance", "RunLimits", "RunTimings", "check_limit", "setting"]

SECTION: Final = "server.runs"


@dataclass(frozen=True, slots=True)
class Endurance:
    """What the runs of a kind may outlast, where it is more than `attempts_max` and `wall_time_s` of `RunLimits`: a
    batch has a day, in which its server may be started again any number of times."""

    attempts_max: int
    wall_time_s: float


def check_limit(limits: RunLimits, name: str, value: float, what: str) -> None:
    """`RunLimitExceeded` if `value` is beyond the limit `name`."""
    limit = getattr(limits, name)
    if value > limit:
        raise RunLimitExceeded(f"{what}: the limit is {limit:g}; {setting(name)} raises it")


def setting(name: str) -> str:
    return f"{SECTION}.{name}"
