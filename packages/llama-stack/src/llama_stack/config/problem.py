"""What can be wrong with a run config, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

ConfigPath = tuple[str | int, ...]
"""Where in the file: keys and list indices, outermost first."""


class Severity(StrEnum):
    ERROR = "error"
    MISTAKE = "mistake"
    """Probably a slip of the pen: a warning, an error under `--strict`."""
    NOTICE = "notice"
    """Harmless, but good to know: always a warning."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `line` counts from 1; `remedy` says what to do. Neither text holds a configured value that may be
    secret."""

    message: str
    path: ConfigPath = ()
    line: int | None = None
    remedy: str | None = None
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = dotted(self.path)
        if self.line is not None:
            place = f"{place} (line {self.line})" if place else f"line {self.line}"
        text = f"{place}: {self.message}" if place else self.message
        return f"{text}. {self.remedy}" if self.remedy else text


def dotted(path: ConfigPath) -> str:
    """`providers.inference[0].config` for ("providers", "inference", 0, "config")."""
    text = ""
    for piece in path:
        if isinstance(piece, int):
            text += f"[{piece}]"
        else:
            text += f".{piece}" if text else piece
    return text


class ConfigError(Exception):
    """A run config that cannot be used, with all that is wrong with it."""

    def __init__(self, problems: Iterable[Problem], source: str | None = None) -> None:
        self.problems = tuple(problems)
        self.source = source
        super().__init__(self.render())

    def render(self) -> str:
        """All problems, one a line, under a heading that names the file."""
        if self.source is None and len(self.problems) == 1:
            return str(self.problems[0])
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        heading = f"{count} in {self.source or 'the run config'}:"
        return "\n".join([heading, *(f"  - {problem}" for problem in self.problems)])
