"""`doctor`: everything that can be found out without starting a server, in the order in which it is best put right."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from llama_stack.cli.doctor.finding import Finding

SECRET_CHARS_MIN = 8
_COLOURS = {"ok": "32", "warning": "33", "problem": "1;31"}


def doctor(
    config: Annotated[
        str | None, typer.Argument(metavar="DISTRO|FILE", help="A file, or a distribution's name. Default: starter.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is wrong with a config, this machine and the backends, and what to do; starts and changes nothing."""
    from llama_stack.cli.doctor.examination import examine
    from llama_stack.cli.doctor.finding import Level

    findings = [_without_secrets(finding, os.environ) for finding in examine(config, os.environ)]
    if as_json:
        counts = {
            f"{level.value}s": sum(f.level is level for f in findings) for level in (Level.WARNING, Level.PROBLEM)
        }
        print(json.dumps({"findings": [_as_data(finding) for finding in findings], **counts}, indent=2))
    else:
        print(_rendered(findings, coloured=sys.stdout.isatty() and not os.environ.get("NO_COLOR")))
    if any(finding.level is Level.PROBLEM for finding in findings):
        raise typer.Exit(1)


def _as_data(finding: Finding) -> dict[str, str | None]:
    return {
        "check": finding.check,
        "level": finding.level.value,
        "what": finding.what,
        "remedy": finding.remedy,
    }


def _rendered(findings: Iterable[Finding], *, coloured: bool) -> str:
    findings = list(findings)
    width = max(len(finding.check) for finding in findings)
    lines = []
    for finding in findings:
        level = finding.level.value.ljust(7)
        shown = f"\x1b[{_COLOURS[finding.level.value]}m{level}\x1b[0m" if coloured else level
        lines.append(f"{shown}  {finding.check.ljust(width)}  {finding.what}")
        if finding.remedy:
            lines.append(f"{' ' * (len(level) + width + 4)}→ {finding.remedy}")
    counts = {name: sum(f.level.value == name for f in findings) for name in ("problem", "warning")}
    said = [f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items() if count]
    return "\n".join([*lines, "", f"{' and '.join(said)}." if said else "All is well."])


def _without_secrets(finding: Finding, environ: Mapping[str, str]) -> Finding:
    """What others say may quote what they were sent; so no value of a variable that looks like a secret gets out."""
    from dataclasses import replace

    marks = ("KEY", "TOKEN", "SECRET", "PASSWORD")
    secrets = [v for n, v in environ.items() if any(m in n for m in marks) and len(v) >= SECRET_CHARS_MIN]
    what, remedy = finding.what, finding.remedy
    for secret in secrets:
        what = what.replace(secret, "***")
        remedy = remedy and remedy.replace(secret, "***")
    return replace(finding, what=what, remedy=remedy)
