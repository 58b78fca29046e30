"""What a code scanner says: a rule, and where code breaks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["low", "medium", "high"]
SEVERITIES: Final[tuple[Severity, ...]] = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Rule:
    """`cwe` is the number of the weakness in MITRE's enumeration."""

    id: str
    cwe: int
    severity: Severity
    message: str


@dataclass(frozen=True, slots=True)
class Finding:
    """`line` counts from 1 within the code."""

    rule: Rule
    line: int
