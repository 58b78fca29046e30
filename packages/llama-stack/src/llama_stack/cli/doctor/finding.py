"""What the doctor says of one thing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, or will, but not for everything, or not for long."""
    PROBLEM = "problem"
    """A server does not start, or a provider does not serve."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` names what was looked at, `what` is one line on it, `remedy` one on what to do. Neither has a secret."""

    check: str
    level: Level
    what: str
    remedy: str | None = None


def ok(check: str, what: str) -> Finding:
    return Finding(check, Level.OK, what)


def warning(check: str, what: str, remedy: str | None = None) -> Finding:
    return Finding(check, Level.WARNING, what, remedy)


def problem(check: str, what: str, remedy: str | None = None) -> Finding:
    return Finding(check, Level.PROBLEM, what, remedy)
