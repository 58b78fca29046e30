"""What several findings come to."""

from __future__ import annotations

from collections.abc import Iterable

from llama_stack.cli.doctor.finding import Finding, Level


def worst(findings: Iterable[Finding]) -> Level:
    return max((finding.level for finding in findings), key=list(Level).index, default=Level.OK)
