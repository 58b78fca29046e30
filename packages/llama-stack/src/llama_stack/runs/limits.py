"""Limits of runs are those of the configuration; each error names its setting."""

from __future__ import annotations

from typing import Final

from llama_stack.config.runs import RunLimits, RunTimings
from llama_stack.runs.errors import RunLimitExceeded

__all__ = ["RunLimits", "RunTimings", "check_limit", "setting"]

SECTION: Final = "server.runs"


def check_limit(limits: RunLimits, name: str, value: float, what: str) -> None:
    """`RunLimitExceeded` if `value` is beyond the limit `name`."""
    limit = getattr(limits, name)
    if value > limit:
        raise RunLimitExceeded(f"{what}: the limit is {limit:g}; {setting(name)} raises it")


def setting(name: str) -> str:
    return f"{SECTION}.{name}"
